"""Loaded configurations: defaults, merging, includes, and the effective configuration."""

import re
from datetime import date
from pathlib import Path

import pytest
import yaml

from exporter.config import build
from exporter.config.load import load_config
from exporter.config.schema import CREDENTIAL, GLOBAL, MODULE, PROXY, RETAINED, SQL_SERVER, TARGET, dump_yaml
from exporter.config.settings import ExpectPath, Module, SecretSource, Settings, mask_user
from exporter.core import durations
from exporter.core.values import CredentialKind, Generation, Mode
from tests.support.values import replace
from tests.unit.web.authority import authority

IN_VARIABLE = SecretSource(env="EKM_TEST_PLAIN")
HASH = "fa" * 31 + "0f"
GOOD = Path(__file__).parent / "good"
TODAY = date(2026, 6, 1)


@pytest.fixture
def everything():
    loaded = load_config(GOOD / "everything.yml", today=TODAY)
    assert loaded.problems == ()
    return loaded.config


def written(tmp_path, text):
    path = tmp_path / "ekm.yml"
    path.write_text(text)
    loaded = load_config(path)
    assert loaded.problems == ()
    return loaded.config


def test_smallest_configuration_gets_every_default():
    config = load_config(GOOD / "smallest.yml").config
    assert config.settings == Settings()
    assert config.modules == {"default": Module(name="default")}
    target = config.targets["a"]
    assert (target.vault, target.key_name, target.key_version) == ("contoso.vault.azure.net", "k", None)
    assert (target.interval, target.timeout, target.module) == (60.0, 10.0, "default")
    assert (target.generation, target.generation_declared) == (Generation.CLASSIC, False)


def test_documented_defaults_are_those_that_apply():
    data = yaml.safe_load(dump_yaml(load_config(GOOD / "smallest.yml").config))
    for fields, section in ((GLOBAL, data["global"]), (MODULE, data["modules"]["default"])):
        for field in fields:
            if " " in field.default or field.default in ("", "{}", "[]"):
                continue  # a sentence, or nothing that would be printed
            default, applies = yaml.safe_load(field.default), section[field.name]
            if field.kind.type_name == "duration":
                default, applies = durations.parse(default), durations.parse(applies)
            assert applies == default, field.name


def test_an_example_has_every_setting():
    keys = {key for path in GOOD.rglob("*.yml") for key in re.findall(r"(\w+):", path.read_text(encoding="utf-8"))}
    names = {field.name for section in (GLOBAL, CREDENTIAL, MODULE, PROXY, TARGET, RETAINED, SQL_SERVER) for field in section}
    # A secret is in a file or in a variable.
    missing = {name for name in names if not {name, re.sub("_file$", "_env", name)} & keys}
    assert missing == {"tls", "ca_file"}  # need a certificate


def test_every_setting_is_loaded(everything):
    module = everything.modules["default"]
    assert module.proxy.url == "http://proxy:3128"
    assert module.proxy.no_proxy == (".vault.azure.net", "localhost")
    assert module.proxy.password == SecretSource(env="EKM_TEST_PLAIN")
    assert module.connect_to == {"contoso.vault.azure.net:443": "10.1.2.3:443", "b:443": "[::1]:443"}
    assert (module.authority_host, module.expect_path, module.crl_check) == (
        "https://login.microsoftonline.com",
        ExpectPath.PRIVATE,
        False,
    )
    assert (module.token_max_age, module.round_trip_interval, module.api_version) == (300.0, 300.0, "2025-07-01")
    assert (module.auxiliary_interval, everything.modules["reading"].auxiliary_interval) == (900.0, 300.0)
    assert everything.credentials["sql-prod"].key_vault_lookup_credential == "vault-reader"
    assert everything.modules["reading"].mode is Mode.READ_ONLY
    assert everything.credentials["monitor"].password == SecretSource(env="EKM_TEST_PLAIN")
    assert everything.credentials["monitor"].certificate_file == GOOD / "everything.yml"
    assert everything.credentials["sql-prod"].expires_on == date(2027, 3, 1)
    assert [credential.kind for credential in everything.credentials.values()] == [
        CredentialKind.CLIENT_SECRET,
        CredentialKind.CLIENT_SECRET,
        CredentialKind.CONNECTOR_SECRET,
        CredentialKind.CLIENT_CERTIFICATE,
        CredentialKind.CLIENT_SECRET,
        CredentialKind.MANAGED_IDENTITY,
        CredentialKind.WORKLOAD_IDENTITY,
        CredentialKind.DEFAULT,
    ]
    target = everything.targets["contoso-key0"]
    assert (target.vault, target.interval, target.timeout) == ("contoso-prod.vault.azure.net", 30.0, 5.0)
    assert (target.recovery_vault, target.recovery_credential) == ("contoso-dr.vault.azure.net", "sql-prod")
    assert target.backup_on == date(2026, 1, 31)
    assert target.modules == ("reading",)  # its own needs no permission
    assert [target.allows(name) for name in ("default", "reading", "canary", "")] == [True, True, False, False]
    assert [(kept.key_name, kept.key_version, kept.vault, kept.credential, kept.until) for kept in target.retained_versions] == [
        ("ContosoRSAKey0", "0123", "contoso-prod.vault.azure.net", "sql-prod", date(2033, 1, 1)),
        ("Old", "1", "contoso-old.vault.azure.net", "by-pod", None),
    ]
    assert [instance["sql_instance"] for instance in target.instances] == ["SQLPRD01", "SQLPRD02"]
    assert everything.targets["b.c_d-1"].vault == "contoso.vault.azure.net:8443"
    assert everything.settings.sql_interval == 600.0
    first, second, third = everything.sql_servers.values()
    assert list(everything.sql_servers) == ["n1.contoso.com,1450", "n2\\SQLPRD02", "n3"]
    assert (first.user, first.password, first.sql_instance, first.host) == ("ekm", IN_VARIABLE, "SQLPRD01", "n1")
    assert (second.user, second.password, second.certificate_sha256) == ("other", IN_VARIABLE, "abcdef0123456789" * 4)
    assert (third.user, third.password, third.entra_credential) == (None, None, "sql-prod")


BY_ENTRA, BY_PASSWORD = {"entra_credential": "c", "user": None, "password": None}, {"entra_credential": None, "user": "u"}


@pytest.mark.parametrize(
    ("default", "own", "expected"),
    [
        ("entra_credential: c", "user: u, password_env: EKM_TEST_PLAIN", BY_PASSWORD | {"password": IN_VARIABLE}),
        ("user: u, password_file: password", "entra_credential: c", BY_ENTRA),
        ("user: u, password_env: EKM_TEST_PLAIN", "entra_credential: c", BY_ENTRA),
        ("user: u, password_file: password", "password_env: EKM_TEST_PLAIN", BY_PASSWORD | {"password": IN_VARIABLE}),
        ("user: u, password_env: EKM_TEST_PLAIN", "password_file: password", BY_PASSWORD),
        (f"entra_credential: c, certificate_sha256: {HASH}", "ca_file: ca.pem", BY_ENTRA | {"certificate_sha256": None}),
        ("entra_credential: c, ca_file: ca.pem", f"certificate_sha256: {HASH}", BY_ENTRA | {"ca_file": None, "certificate_sha256": HASH}),
    ],
)  # fmt: skip
def test_own_way_to_sign_in_or_to_trust_replaces_the_default(tmp_path, default, own, expected):
    (tmp_path / "ca.pem").write_bytes(authority().pem)
    (tmp_path / "password").write_text("correct-horse\n")
    config = written(
        tmp_path,
        "credentials: {c: {type: managed_identity}}\ntargets: [{name: a, vault: contoso, key: k/1, credential: c}]\n"
        f"sql_server_defaults: {{{default}}}\nsql_servers: [{{address: n1, {own}}}]\n",
    )
    expected = {"password": SecretSource(file=tmp_path / "password")} | expected
    assert {name: getattr(config.sql_servers["n1"], name) for name in expected} == expected


def test_windows_account_signs_in_without_user_and_credential(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "is_windows", lambda: True)
    config = written(
        tmp_path,
        "credentials: {c: {type: managed_identity}}\ntargets: [{name: a, vault: contoso, key: k/1, credential: c}]\n"
        "sql_servers: [{address: n1}]\n",
    )
    assert (config.sql_servers["n1"].user, config.sql_servers["n1"].entra_credential) == (None, None)


def test_labels_are_merged_one_by_one_and_the_target_wins(everything):
    assert everything.targets["contoso-key0"].labels == {"env": "prod", "team": "sql"}


def test_target_defaults_apply_to_their_own_file_only(everything):
    hsm, chain = everything.targets["hsm"], everything.targets["chain"]
    assert (hsm.credential, hsm.interval, hsm.timeout, hsm.labels) == ("by-vm", 300.0, 10.0, {})
    assert (chain.interval, chain.labels) == (60.0, {})


def test_loaded_files_are_listed_for_reloading(everything):
    assert [path.name for path in everything.files] == ["everything.yml", "hsm.yml", "more.yml"]


def test_paths_are_relative_to_the_file_that_names_them(tmp_path):
    below = tmp_path / "below"
    below.mkdir()
    (below / "secret").write_text("s\n")
    (below / "more.yml").write_text(
        "credentials: {c: {type: client_secret, client_id: 66666666-7777-8888-9999-000000000000, client_secret_file: secret}}\n"
    )
    config = written(tmp_path, "include: [below/*.yml]\ntargets: [{name: a, vault: contoso, key: k/1, credential: c}]\n")
    assert config.credentials["c"].secret == SecretSource(file=below / "secret")


def test_file_that_is_included_twice_is_read_once(tmp_path):
    (tmp_path / "one.yml").write_text("credentials: {c: {type: default}}\n")
    (tmp_path / "two.yml").symlink_to("one.yml")
    text = "include: [one.yml, one.yml, two.yml]\ntargets: [{name: a, vault: contoso, key: k/1, credential: c}]\n"
    assert list(written(tmp_path, text).credentials) == ["c"]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ("", 10.0),
        ("interval: 12s", 6.0),
        ("interval: 1500ms", 0.75),
        ("interval: 12s, timeout: 1s", 1.0),
    ],
)
def test_default_timeout_is_ten_seconds_or_half_the_interval(times, expected, tmp_path):
    config = written(
        tmp_path,
        f"credentials: {{c: {{type: default}}}}\ntarget_defaults: {{{times}}}\n"
        "targets: [{name: a, vault: contoso, key: k/1, credential: c}]\n",
    )
    assert config.targets["a"].timeout == expected


def test_default_concurrency_covers_timeouts_of_all_targets(tmp_path):
    targets = "".join(f"  - {{name: t{n}, vault: contoso, key: k/{n}, credential: c}}\n" for n in range(600))
    head = "global: {interval: 20s, timeout: 10s}\ncredentials: {c: {type: default}}\ntargets:\n"
    assert written(tmp_path, head + targets).settings.concurrency == 600  # they start within 7.2 s and take 10 s each


@pytest.mark.parametrize("name", ["smallest.yml", "everything.yml"])
def test_effective_configuration_loads_as_an_equal_configuration(name, tmp_path):
    config = load_config(GOOD / name, today=TODAY).config
    again = written(tmp_path, dump_yaml(config))
    assert dump_yaml(again) == dump_yaml(config)
    undeclared = {name: replace(target, generation_declared=True) for name, target in config.targets.items()}
    assert again == replace(config, files=again.files, targets=undeclared)


def test_user_in_a_url_is_masked():
    assert mask_user("http://u:S3CRET@proxy:3128") == "http://<secret>@proxy:3128"
    assert mask_user("http://proxy:3128") == "http://proxy:3128"


def test_default_next_credential_ignores_targets_that_use_it(tmp_path):
    config = written(
        tmp_path,
        "credentials: {now: {type: default}, new: {type: managed_identity}}\n"
        "target_defaults: {vault: contoso, key: K, credential: now, next_credential: new}\n"
        "targets: [{name: first, credential: new}, {name: second}]\n",
    )
    assert [(target.credential, target.next_credential) for target in config.targets.values()] == [("new", None), ("now", "new")]


@pytest.mark.parametrize("port", ["", ":443"])
@pytest.mark.parametrize("host", ["Contoso.vault.azure.net", "contoso.managedhsm.azure.net"])
def test_key_uri_names_vault_and_version(host, port, tmp_path):
    text = (
        f"targets: [{{name: a, credential: c, key: 'https://{host}{port}/keys/Tde/1'}}]\ncredentials: {{c: {{type: default}}}}\n"
    )
    target = written(tmp_path, text).targets["a"]
    assert (target.vault, target.key_name, target.key_version) == (host.lower(), "Tde", "1")


def test_key_uri_of_a_target_replaces_the_default_vault(tmp_path):
    text = (
        "target_defaults: {vault: contoso, credential: c}\ncredentials: {c: {type: default}}\n"
        "targets:\n"
        "  - {name: a, key: 'https://contoso-dr.vault.azure.net/keys/Tde/1', retained_versions: [{key: Tde/0}]}\n"
        "  - {name: b, key: Tde/1, retained_versions: [{key: 'https://contoso-old.vault.azure.net/keys/Tde/0'}]}\n"
        "  - {name: c, vault: contoso, key: 'https://contoso.vault.azure.net/keys/Tde/2'}\n"
    )
    targets = written(tmp_path, text).targets
    assert [target.vault for target in targets.values()] == [
        "contoso-dr.vault.azure.net",
        "contoso.vault.azure.net",
        "contoso.vault.azure.net",
    ]
    assert [targets[name].retained_versions[0].vault for name in ("a", "b")] == [
        "contoso-dr.vault.azure.net",
        "contoso-old.vault.azure.net",
    ]


def test_key_uri_is_dumped_as_vault_and_version(tmp_path):
    text = "targets: [{name: a, credential: c, key: 'https://contoso.vault.azure.net/keys/Tde/1'}]\ncredentials: {c: {type: default}}\n"
    config = written(tmp_path, text)
    [dumped] = yaml.safe_load(dump_yaml(config))["targets"]
    assert (dumped["vault"], dumped["key"]) == ("contoso.vault.azure.net", "Tde/1")
    again = written(tmp_path, dump_yaml(config)).targets["a"]
    assert (again.vault, again.key) == ("contoso.vault.azure.net", "Tde/1")


@pytest.mark.parametrize("thumbprint", ["0x" + "00ff" * 10, '"0x' + "00FF" * 10 + '"', "0X" + "00FF" * 10])
def test_thumbprint_is_kept_as_sql_server_writes_it(thumbprint, tmp_path):
    text = f"targets: [{{name: a, vault: contoso, credential: c, key: Tde/1, thumbprint: {thumbprint}}}]\ncredentials: {{c: {{type: default}}}}\n"
    config = written(tmp_path, text)
    assert config.targets["a"].thumbprint == "0x" + "00FF" * 10
    assert written(tmp_path, dump_yaml(config)).targets["a"].thumbprint == "0x" + "00FF" * 10
