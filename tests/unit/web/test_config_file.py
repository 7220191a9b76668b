"""The web configuration file: its keys, each problem with its location, the command line, and docs/securing.md."""

import re
import ssl
from pathlib import Path

import pytest

from exporter.cli.main import main
from exporter.web import access, access_control, connections, listener
from exporter.web.config_file import SUITES
from exporter.web.tls import RateLimit
from tests.unit.web.authority import authority

HASH = "$2y$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze"
PAIR = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"


def test_a_whole_file_is_read(folder):
    loaded = folder.load(
        PAIR
        + """\
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.pem
  client_allowed_sans: [prometheus.corp, 10.0.0.5]
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: false
  curve_preferences: [X25519]
http_server_config:
  http2: false
  headers:
    Content-Security-Policy: default-src 'self'
    X-Frame-Options: sameorigin
    X-Content-Type-Options: nosniff
    X-XSS-Protection: "0"
    Strict-Transport-Security: max-age=31536000
"""
        + f"basic_auth_users:\n  alice: {HASH}\n  bob: {HASH}\nrate_limit:\n  interval: 1.5s\n  burst: 20\n"
    )
    assert (loaded.problems, loaded.warnings) == ((), ())
    config = loaded.config
    assert config.tls.client_certificate is ssl.CERT_REQUIRED
    assert config.tls.allowed_names == {"prometheus.corp", "10.0.0.5"}
    assert config.tls.ciphers == "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"
    assert (config.tls.server_preference, config.tls.curve) == (False, "X25519")
    assert set(config.users) == {"alice", "bob"}
    assert config.rate_limit == RateLimit(interval=1.5, burst=20)
    assert config.headers["X-Frame-Options"] == "sameorigin"
    assert config.authenticates_every_client
    assert {path.name for path in loaded.seen} == {"web.yml", "server.pem", "server.key", "ca.pem"}


@pytest.mark.parametrize("text", ["{}", "basic_auth_users: {}", "rate_limit: {interval: 0}"])
def test_file_without_restrictions_is_valid(folder, text):
    loaded = folder.load(text)
    assert loaded.problems == ()
    assert loaded.context is None
    assert not loaded.config.authenticates_every_client
    assert loaded.config.rate_limit is None


def test_certificate_and_key_can_be_inline(folder):
    def block(name, data):
        return f"  {name}: |\n" + "".join(f"    {line}\n" for line in data.decode().splitlines())

    certificate, key = authority().server()
    inline = block("cert", certificate) + block("key", key) + block("client_ca", authority().pem)
    loaded = folder.load(f"tls_server_config:\n{inline}  client_auth_type: VerifyClientCertIfGiven\n")
    assert loaded.problems == ()
    assert loaded.context.verify_mode is ssl.CERT_OPTIONAL
    assert not loaded.config.authenticates_every_client
    assert "PRIVATE KEY" not in repr(loaded.config)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "web.yml:1:1: the file is empty"),
        ("- a", "web.yml:1:1: expected a mapping with keys such as tls_server_config, found a list"),
        ("tls_config: {}", "web.yml:1:1: tls_config: unknown key (did you mean 'tls_server_config'?)"),
        (f"basic_auth_users: {{alice: {HASH}, alice: {HASH}}}", "web.yml:1:89: basic_auth_users.alice: written twice, first in line 1: remove one"),
        ("basic_auth_users: {alice: hunter2}", "web.yml:1:27: basic_auth_users.alice: expected the bcrypt hash of a password, as `htpasswd -nBC 10 NAME` prints it after the name"),
        (f"basic_auth_users: {{alice: {HASH.replace('$2y', '$2x')}}}", "web.yml:1:27: basic_auth_users.alice: a hash of type $2x$ comes from a faulty bcrypt: hash the password again"),
        (f"basic_auth_users: {{'a:b': {HASH}}}", "web.yml:1:20: basic_auth_users.(key): expected a user name without a colon"),
        ("basic_auth_users: [alice]", "web.yml:1:19: basic_auth_users: expected a mapping, found a list"),
        ("rate_limit: {interval: 1s}", "web.yml:1:13: rate_limit.burst: is required: without it, every request would be refused"),
        ("rate_limit: {interval: 5, burst: 1}", "web.yml:1:24: rate_limit.interval: expected a duration with a unit, such as 1s or 100ms, or 0"),
        ("rate_limit: {interval: -1s, burst: 1}", "web.yml:1:24: rate_limit.interval: expected a duration with a unit, such as 1s or 100ms, or 0"),
        ("rate_limit: {interval: 1s, burst: 0}", "web.yml:1:35: rate_limit.burst: expected a whole number from 1 to 1000000"),
        ("http_server_config: {http2: true}", "web.yml:1:29: http_server_config.http2: only HTTP/1.1 is supported: write false, or omit the key"),
        ("http_server_config: {headers: {X-Powered-By: x}}", "web.yml:1:32: http_server_config.headers.X-Powered-By: unknown key"),
        ("http_server_config: {headers: {X-Frame-Options: DENY}}", "web.yml:1:49: http_server_config.headers.X-Frame-Options: expected one of deny, sameorigin (did you mean 'deny'?)"),
        ('http_server_config: {headers: {X-XSS-Protection: "a\\nb"}}', "web.yml:1:50: http_server_config.headers.X-XSS-Protection: contains a line break or a control character: remove it"),
    ],
)  # fmt: skip
def test_problem_has_its_location(folder, text, problem):
    assert folder.problems(text) == [problem]


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("  certificate: x\n", "web.yml:4:3: tls_server_config.certificate: unknown key"),
        ("  cert: '-----BEGIN CERTIFICATE-----'\n", "web.yml:4:9: tls_server_config.cert: conflicts with cert_file: write one of them"),
        ("  min_version: TLS10\n", "web.yml:4:16: tls_server_config.min_version: OpenSSL refuses TLS 1.0 and 1.1: write TLS12 or TLS13"),
        ("  max_version: SSL30\n", "web.yml:4:16: tls_server_config.max_version: expected TLS12 or TLS13"),
        ("  min_version: TLS13\n  max_version: TLS12\n", "web.yml:5:16: tls_server_config.max_version: is older than min_version"),
        ("  cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]\n", "web.yml:4:19: tls_server_config.cipher_suites[0]: expected one of"),
        ("  cipher_suites: [TLS_AES_128_GCM_SHA256]\n", "web.yml:4:18: tls_server_config.cipher_suites: names no suite of TLS 1.2: add one, or write min_version: TLS13"),
        ("  cipher_suites: []\n", "web.yml:4:18: tls_server_config.cipher_suites: is empty: omit the key, or list the allowed values"),
        ("  curve_preferences: [X25519, CurveP256]\n", "web.yml:4:22: tls_server_config.curve_preferences: Python can set only one curve: write one, or omit the key"),
        ("  curve_preferences: [Curve25519]\n", "web.yml:4:23: tls_server_config.curve_preferences[0]: expected one of"),
        ("  client_auth_type: RequestClientCert\n", "web.yml:4:21: tls_server_config.client_auth_type: Python cannot request a certificate without verifying it: write RequireAndVerifyClientCert"),
        ("  client_auth_type: RequireAnyClientCert\n", "web.yml:4:21: tls_server_config.client_auth_type: Python cannot request a certificate without verifying it: write RequireAndVerifyClientCert"),
        ("  client_auth_type: Require\n", "web.yml:4:21: tls_server_config.client_auth_type: expected one of NoClientCert, VerifyClientCertIfGiven, RequireAndVerifyClientCert"),
        ("  client_auth_type: RequireAndVerifyClientCert\n", "web.yml:4:21: tls_server_config.client_auth_type: needs client_ca_file: without it, certificates of any public authority would be accepted"),
        ("  client_ca_file: ca.pem\n", "web.yml:4:19: tls_server_config.client_ca_file: needs client_auth_type: without it, no certificate is requested"),
        ("  client_ca_file: server.key\n  client_auth_type: RequireAndVerifyClientCert\n", "web.yml:4:19: tls_server_config.client_ca_file: does not contain a certificate in PEM"),
        ("  client_ca_file: ca.pem\n  client_auth_type: VerifyClientCertIfGiven\n  client_allowed_sans: [a]\n", "web.yml:6:24: tls_server_config.client_allowed_sans: needs client_auth_type: RequireAndVerifyClientCert"),
    ],
)  # fmt: skip
def test_invalid_tls_has_its_location(folder, more, problem):
    (problem_text,) = folder.problems(PAIR + more)
    assert problem_text.startswith(problem)


def test_missing_file_is_reported_at_its_key(folder):
    folder.place("other", authority().server())
    folder.place("secret", authority().server(password=b"MARKED"))
    text = "tls_server_config: {{cert_file: {}, key_file: {}}}"
    assert folder.problems(text.format("server.pem", "other.key")) == [
        "web.yml:1:54: tls_server_config.key_file: is not the key of the first certificate"
    ]
    (problem_text,) = folder.problems(text.format("secret.pem", "secret.key"))
    assert problem_text.startswith("web.yml:1:54: tls_server_config.key_file: is encrypted: store it without a password")
    assert folder.problems(text.format("gone.pem", "server.pem")) == [
        "web.yml:1:32: tls_server_config.cert_file: file gone.pem: no such file",
    ]
    assert folder.problems(text.format("server.key", "server.pem")) == [
        "web.yml:1:32: tls_server_config.cert_file: does not contain a certificate in PEM",
        "web.yml:1:54: tls_server_config.key_file: does not contain a private key in PEM",
    ]
    assert folder.problems("tls_server_config: {}") == [
        "web.yml:1:20: tls_server_config.cert_file: is required",
        "web.yml:1:20: tls_server_config.key_file: is required",
    ]


def test_valid_but_unsafe_settings_have_warnings(folder):
    folder.place("old", authority().server(ended=True))
    (folder.path / "old.key").chmod(0o644)
    warnings = folder.warnings(
        "tls_server_config: {cert_file: old.pem, key_file: old.key, cipher_suites: [TLS_AES_128_GCM_SHA256], min_version: TLS13}"
    )
    assert len(warnings) == 3
    assert "expired on " in warnings[0]
    assert warnings[1].endswith("key_file: file old.key: every user of this host can read it: restrict its permissions")
    assert warnings[2].endswith("cipher_suites: suites of TLS 1.3 cannot be chosen: all three are always offered")
    slow, other = HASH.replace("$10$", "$15$"), HASH
    assert [line.partition("users: ")[2] for line in folder.warnings(f"basic_auth_users: {{a: {slow}, b: {other}}}")] == [
        "hashes of different cost: the time of a response reveals which users exist; use one cost",
        "a cost above 14 takes seconds for each password: use a cost of 10",
    ]


@pytest.mark.parametrize(("name", "theirs"), SUITES.items())
def test_every_allowed_suite_exists_in_openssl(name, theirs, folder):
    context = folder.load(f"{PAIR}  cipher_suites: [{name}]\n").context
    assert [row["name"] for row in context.get_ciphers() if row["protocol"] != "TLSv1.3"] == [theirs]


def test_a_hash_never_shows_in_a_problem(folder):
    for text in (f"basic_auth_users: {{alice: {HASH}x}}", f"basic_auth_users: {{{HASH}: alice}}", f"basic_auth_users: {HASH}"):
        assert not any(HASH[8:20] in problem for problem in folder.problems(text))


CONFIG = """\
global: {connector_generation: classic}
credentials: {vm: {type: managed_identity}}
targets: [{name: a, vault: contoso, key: Key/0123456789abcdef0123456789abcdef, credential: vm}]
"""
GOOD = "tls_server_config: {cert_file: server.pem, key_file: server.key}\n"


def arguments(folder, command, text):
    return [command, "--config.file", str(folder.write(CONFIG, "ekm.yml")), "--web.config.file", str(folder.write(text))]


def test_check_command_reads_the_web_configuration(folder, capsys):
    assert main(arguments(folder, "check", GOOD)) == 0
    assert main(arguments(folder, "check", "tls_server_config: {cert: 1}\nbasic: {}\n")) == 2
    printed = capsys.readouterr().err
    assert "web.yml:2:1: basic: unknown key" in printed
    assert "web.yml: 3 problems, no warning" in printed


@pytest.mark.parametrize("more", [[], ["--config.check"]])
def test_run_does_not_start_with_an_invalid_web_configuration(folder, capsys, more):
    assert main([*arguments(folder, "run", "basic_auth_users: {alice: MARKED-password}"), *more]) == 2
    printed = capsys.readouterr().err
    assert "web.yml:1:27: basic_auth_users.alice: expected the bcrypt hash" in printed
    assert "MARKED" not in printed


def test_run_does_not_start_without_the_file(folder, capsys):
    missing = ["run", "--config.file", str(folder.write(CONFIG, "ekm.yml")), "--web.config.file", str(folder.path / "gone.yml")]
    assert main(missing) == 2
    assert "gone.yml:1:1: no such file" in capsys.readouterr().err


PAGE = Path(__file__).parents[3] / "docs" / "securing.md"
TEXT = PAGE.read_text(encoding="utf-8")
EXAMPLES = [block for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL) if "tls_server_config" in block]


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_each_example_is_valid_and_authenticates_every_client(folder, example):
    loaded = folder.load(example)
    assert (loaded.problems, loaded.warnings) == ((), ())
    assert loaded.config.authenticates_every_client


@pytest.mark.parametrize("path", sorted(access.OPEN_PATHS))
def test_every_open_path_is_named(path):
    assert f"`{path}`" in TEXT


@pytest.mark.parametrize(
    ("row", "numbers"),
    [
        ("handshake, and the header", (connections.HEADER_SECONDS,)),
        ("between two requests", (connections.IDLE_SECONDS,)),
        ("a response that the client does not read", (connections.WRITE_SECONDS, listener.SECONDS_TO_TAKE_IT)),
        ("request line", (listener.LONGEST_LINE // 1000,)),
        ("a whole request", (connections.MOST_BYTES / 1024, access.LARGEST_BODY / 1024)),
        ("connections that wait", (connections.MOST_WAITING, connections.MOST_WAITING_OF_ONE_ADDRESS)),
        ("connections with a request in work", (connections.MOST_BUSY_OF_ONE_ADDRESS,)),
        ("unfinished responses", (connections.MAX_UNFINISHED,)),
        ("all connections", (connections.MOST_CONNECTIONS,)),
        ("passwords being checked", (access_control.MOST_WAITING_OF_ONE_ADDRESS, access_control.MOST_WAITING)),
    ],
)
def test_limits_on_the_page_match_the_code(row, numbers):
    (line,) = [line for line in TEXT.splitlines() if line.startswith(f"| {row}")]
    documented = [int(number) for number in re.findall(r"\b[0-9]+\b", line.split("|")[2])]
    assert documented == [int(number) for number in numbers]
