"""Warnings appear once, at the key to change, and only if there is a reason."""

from datetime import date
from itertools import product
from pathlib import Path

import pytest

from exporter.config.load import NO_VERDICT, load_config
from exporter.core.values import Mode, Outcome, Step, Vantage
from exporter.knowledge.report import StepResult
from exporter.knowledge.verdict import WHY, assess
from tests.unit.web.authority import authority

GOOD = Path(__file__).parent / "good"
TODAY = date(2026, 6, 1)
QUIET = "global: {connector_generation: classic}\n"
MANAGED = "credentials: {c: {type: workload_identity}}\n"
SECRET = "type: client_secret, client_id: 66666666-7777-8888-9999-000000000000, client_secret_env: EKM_TEST_PLAIN"
TARGET = "{name: a, vault: contoso, key: k/1, credential: c}"


@pytest.fixture
def warnings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def of(text):
        Path("ekm.yml").write_text(text)
        loaded = load_config(Path("ekm.yml"), today=TODAY)
        assert loaded.problems == ()
        return [str(warning) for warning in loaded.warnings]

    return of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{QUIET}{MANAGED}targets: [{TARGET}]\n", []),
        (f"{MANAGED}targets: [{TARGET.replace('}', ', connector_generation: classic}')}]\n", []),
        (f"{QUIET}{MANAGED}modules: {{lab: {{}}}}\ntarget_defaults: {{modules: [lab]}}\ntargets: [{TARGET}]\n", []),
        (
            f"{QUIET}include: [targets.d/*.yml]\n{MANAGED}targets: [{TARGET}]\n",
            ["ekm.yml:2:11: include[0]: no file matches this pattern"],
        ),
        (
            f"{QUIET}{MANAGED}targets:\n  - {TARGET}\n  - {{name: b, vault: Contoso.vault.azure.net, key: K/1, credential: c}}\n",
            ["ekm.yml:5:5: targets[1]: same vault, key and credential as a: list all SQL Servers in the instances of one target"],
        ),
        (
            f"{QUIET}{MANAGED.replace('}}', '}, d: {type: workload_identity}}')}modules: {{m: {{}}}}\ntargets: [{TARGET}]\n",
            [
                "ekm.yml:2:48: credentials.d: no target uses this credential: remove it, or use it",
                "ekm.yml:3:14: modules.m: no target uses this module: remove it, or use it",
            ],
        ),
    ],
    ids=["good", "generation of a target", "module in target_defaults", "no match", "equal probes", "unused"],
)
def test_configuration_has_exactly_these_warnings(text, expected, warnings):
    assert warnings(text) == expected


def test_missing_generation_is_one_warning_for_all_targets(warnings):
    targets = "".join(f"  - {{name: t{n}, vault: contoso-{n}, key: k/1, credential: c}}\n" for n in range(5))
    assert warnings(f"{MANAGED}targets:\n{targets}") == [
        (
            "ekm.yml:1:1: global.connector_generation: not set, so 5 targets (t0, t1, t2, …) get the classic codes (30xx): "
            "write current for connector 1.0.5.0, which Azure's SQL IaaS extension installs since March 2026, or classic"
        )
    ]


def test_key_without_a_version_is_a_warning_except_for_canary(warnings):
    targets = "{name: a, vault: contoso, key: k, credential: c}, {name: b, vault: contoso, key: p, credential: c, module: m}"
    pin, canary = warnings(f"{QUIET}{MANAGED}modules: {{m: {{mode: canary}}}}\ntargets: [{targets}]\n")
    assert pin.startswith("ekm.yml:4:42: targets[0].key: no version, so no verdict")
    assert "sys.dm_database_encryption_keys" in pin
    assert "KeyUri" in pin
    assert canary.startswith("ekm.yml:4:118: targets[1].module: mode canary never gives a verdict")


def test_every_cause_of_a_missing_verdict_has_its_warning(warnings):
    everything_ok = [StepResult(step=step, outcome=Outcome.OK) for step in Step]
    caused = set()
    for pinned, mode, managed, vantage in product((True, False), Mode, (True, False), Vantage):
        why = assess(everything_ok, pinned=pinned, mode=mode, managed_identity=managed, vantage=vantage, unwrapped=True).why
        kind = "managed_identity" if managed else "workload_identity"
        target = TARGET if pinned else TARGET.replace("k/1", "k")
        lines = warnings(
            f"global: {{connector_generation: classic, vantage: {vantage}}}\ncredentials: {{c: {{type: {kind}}}}}\n"
            f"modules: {{default: {{mode: {mode}}}}}\ntargets: [{target}]\n"
        )
        if why == "ready":
            assert lines == []
            continue
        caused.add(why)
        assert [line for line in lines if NO_VERDICT[why][2] in line], (pinned, mode, managed, vantage)
    assert caused == set(NO_VERDICT)
    assert caused < set(WHY)


def test_unknown_and_past_expiry_of_a_secret_are_warnings(warnings):
    credentials = (
        f"credentials:\n  c: {{{SECRET}}}\n  d: {{{SECRET}, expires_on: 2026-05-31}}\n  e: {{{SECRET}, expires_on: 2026-06-01}}\n"
    )
    targets = "".join(f"  - {{name: {n}, vault: contoso, key: k/1, credential: {n}}}\n" for n in "cde")
    assert warnings(f"{QUIET}{credentials}targets:\n{targets}") == [
        (
            "ekm.yml:3:6: credentials.c.expires_on: the expiry of the secret is unknown: "
            "write expires_on, graph_credential or key_vault_secret"
        ),
        "ekm.yml:4:124: credentials.d.expires_on: 2026-05-31 is in the past: write the date of the current secret",
    ]


@pytest.mark.parametrize(
    ("credential", "unknown"),
    [
        (SECRET, True),
        ("type: connector_secret, secret_env: EKM_TEST_CONNECTOR", True),
        (f"{SECRET}, graph_credential: monitor", False),
        (f"{SECRET}, key_vault_secret: 'https://ops.vault.azure.net/secrets/c'", False),
        ("type: client_certificate, client_id: 66666666-7777-8888-9999-000000000000, certificate_file: ekm.yml", False),
        ("type: managed_identity", False),
        ("type: workload_identity", False),
    ],
)
def test_secret_without_an_expiry_source_is_a_warning(credential, unknown, warnings):
    monitor = "monitor: {type: workload_identity}"
    lines = warnings(f"{QUIET}credentials: {{c: {{{credential}}}, {monitor}}}\ntargets: [{TARGET}]\n")
    assert [line for line in lines if "expiry of the secret is unknown" in line] == lines[: int(unknown)]
    assert len([line for line in lines if "expiry of the secret is unknown" in line]) == unknown


def test_lookup_credential_needs_an_expiry_source_too(warnings):
    credentials = f"{{c: {{{SECRET}, graph_credential: g, tenant_id: a.test}}, g: {{{SECRET}, tenant_id: a.test}}}}"
    [warning] = warnings(f"{QUIET}credentials: {credentials}\ntargets: [{TARGET}]\n")
    assert "credentials.g.expires_on: the expiry of the secret is unknown" in warning


@pytest.mark.parametrize(
    ("more_keys", "lookup", "missing"),
    [
        ("", f"{SECRET}, expires_on: 2030-01-01", True),
        (", tenant_id: a.test", f"{SECRET}, expires_on: 2030-01-01", False),
        ("", f"{SECRET}, expires_on: 2030-01-01, tenant_id: a.test", False),
        ("", "type: managed_identity", False),
        ("", "type: workload_identity", False),
    ],
)
def test_graph_lookup_without_a_tenant_is_a_warning(more_keys, lookup, missing, warnings):
    credentials = f"{{c: {{{SECRET}, graph_credential: g{more_keys}}}, g: {{{lookup}}}}}"
    lines = warnings(f"{QUIET}credentials: {credentials}\ntargets: [{TARGET}]\n")
    assert [".graph_credential: credential g has no tenant_id" in line for line in lines] == [True] * missing
    assert all("az account show" in line for line in lines)


def test_credential_is_used_by_any_key_that_names_it():
    messages = [warning.message for warning in load_config(GOOD / "everything.yml", today=TODAY).warnings]
    assert not [message for message in messages if "uses this" in message]


def test_wrong_dates_are_warnings(warnings):
    target = (
        "{name: a, vault: contoso, key: k/1, credential: c, backup_on: 2026-06-02,"
        " retained_versions: [{key: k/2, until: 2026-05-31}, {key: k/3, until: 2026-06-01}]}"
    )
    assert [warning.partition("targets[0].")[2] for warning in warnings(f"{QUIET}{MANAGED}targets: [{target}]\n")] == [
        "backup_on: is in the future: correct the date",
        "retained_versions: k was needed until 2026-05-31: remove this entry, or correct the date",
    ]


EVERYTHING = "next_credential: n, recovery_vault: contoso-dr, retained_versions: [{key: k/2}]"


@pytest.mark.parametrize(
    ("mode", "key", "more_keys", "expected"),
    [
        ("full", "k/1", EVERYTHING, {}),
        (
            "read_only",
            "k/1",
            EVERYTHING,
            dict.fromkeys(("next_credential", "recovery_vault", "retained_versions"), "can fail but never prove anything"),
        ),
        ("canary", "k/1", EVERYTHING, dict.fromkeys(("recovery_vault", "retained_versions"), "nothing about its backups")),
        ("full", "k", "recovery_vault: contoso-dr", {"recovery_vault": "only its newest version is tested"}),
        ("full", "k/1", "retained_versions: [{key: K/1}]", {"retained_versions": "K/1 is the key that the probe already tests"}),
        ("full", "k/1", "retained_versions: [{key: k/1, credential: n}, {key: k/1, vault: other}, {key: k/2}]", {}),
    ],
)
def test_auxiliary_probe_that_proves_little_is_a_warning(mode, key, more_keys, expected, warnings):
    credentials = "credentials: {c: {type: workload_identity}, n: {type: workload_identity}}\n"
    target = f"{{name: a, vault: contoso, key: {key}, credential: c, {more_keys}}}"
    found = warnings(f"{QUIET}{credentials}modules: {{default: {{mode: {mode}}}}}\ntargets: [{target}]\n")
    split = [line.partition("targets[0].")[2].partition(": ") for line in found]
    about = {field: what for field, _, what in split if field in ("next_credential", "retained_versions", "recovery_vault")}
    assert about.keys() == expected.keys()
    assert all(words in about[field] for field, words in expected.items())


@pytest.mark.parametrize(
    ("credentials", "field", "expected"),
    [
        (
            "{c: {type: workload_identity}, n: {type: managed_identity}}",
            "next_credential",
            "no other host can test it",
        ),
        ("{c: {type: default}, n: {type: workload_identity}}", "credential", "the identity of this host"),
    ],
)
@pytest.mark.parametrize("vantage", ["central", "sql_host"])
def test_identity_of_this_host_is_a_warning_for_another_host(credentials, field, expected, vantage, warnings):
    target = "{name: a, vault: contoso, key: k/1, credential: c, next_credential: n}"
    found = warnings(
        f"global: {{connector_generation: classic, vantage: {vantage}}}\ncredentials: {credentials}\ntargets: [{target}]\n"
    )
    assert [expected in line for line in found if f"targets[0].{field}: " in line] == ([True] if vantage == "central" else [])


@pytest.mark.parametrize(("no_proxy", "count"), [("[]", 1), ("[.vault.azure.net]", 0), ("['*']", 0), ("[other.net]", 1)])
def test_private_path_through_a_proxy_is_a_warning(no_proxy, count, warnings):
    module = f"modules: {{default: {{expect_path: private, proxy: {{url: 'http://p:3128', no_proxy: {no_proxy}}}}}}}\n"
    found = warnings(f"{QUIET}{MANAGED}{module}targets: [{TARGET}]\n")
    assert len([line for line in found if "the proxy gets" in line]) == count


def test_more_than_a_hundredth_of_a_vault_is_a_warning(warnings):
    targets = "".join(f"  - {{name: t{n}, vault: contoso, key: k/{n}, credential: c}}\n" for n in range(9))
    text = f"{QUIET}{MANAGED}targets:\n{targets}"
    # a probe is one request of 4000 and three about a key of 500 in ten seconds: 0.625 % at one probe in 10 s; every five minutes
    # two requests for the newest version come on top
    assert warnings(text.replace("classic}", "classic, interval: 60s}")) == [
        (
            "ekm.yml:4:5: targets[0].interval: 9 targets would use up to 1.0% of the request limit of contoso.vault.azure.net: "
            "probe less often"
        )
    ]
    assert warnings(text.replace("classic}", "classic, interval: 1m6s}")) == []


def test_world_readable_secret_is_a_warning(warnings):
    for name, mode in (("open", 0o644), ("closed", 0o640)):
        Path(name).write_text("not a short one\n")
        Path(name).chmod(mode)
    secret = "type: client_secret, client_id: 66666666-7777-8888-9999-000000000000, expires_on: 2030-01-01, client_secret_file:"
    credentials = f"credentials:\n  c: {{{secret} open}}\n  d: {{{secret} closed}}\n"
    targets = f"  - {TARGET}\n  - {{name: b, vault: contoso, key: k/1, credential: d}}\n"
    assert warnings(f"{QUIET}{credentials}targets:\n{targets}") == [
        "ekm.yml:3:121: credentials.c.client_secret_file: every user of this host can read the file: restrict its permissions"
    ]


def test_interval_too_long_for_the_alerts_is_a_warning(tmp_path):
    text = "global: {{interval: {}, connector_generation: classic}}\ncredentials: {{c: {{type: managed_identity}}}}\n"
    target = "targets: [{name: a, vault: contoso, key: K/1, credential: c}]\n"
    lines = {}
    for interval in ("5m", "6m"):
        path = tmp_path / "ekm.yml"
        path.write_text(text.format(interval) + target)
        lines[interval] = [warning.what for warning in load_config(path).warnings if "alerts" in warning.what]
    assert lines["5m"] == []
    assert "a fault pages after 24m" in lines["6m"][0]


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        ("{}", None),
        ("{mode: read_only, token_max_age: 5m, crl_check: false, expect_path: private}", None),
        ("{authority_host: 'https://login.lab.example'}", "authority_host"),
        ("{proxy: {url: 'http://proxy:3128'}}", "proxy"),
        ("{connect_to: {'contoso.vault.azure.net:443': '10.1.2.3:443'}}", "connect_to"),
        ("{authority_host: 'https://a.example', connect_to: {'a.example:443': '10.1.2.3:443'}}", "authority_host, connect_to"),
    ],
)
def test_module_that_trusts_other_hosts_is_a_warning(warnings, other, differs):
    modules, listed = f"modules: {{lab: {other}}}\n", TARGET.replace("}", ", modules: [lab]}")
    found = warnings(f"{QUIET}{MANAGED}{modules}targets: [{listed}]\n")
    assert found == [
        f"ekm.yml:4:71: targets[0].modules: module lab differs from module default in {keys}, so a request to /probe can send this "
        "target's secret there: remove the module unless you want that"
        for keys in [differs]
        if keys is not None
    ]


def test_module_with_another_ca_file_is_a_warning(warnings, tmp_path):
    (tmp_path / "ca.pem").write_bytes(authority().pem)
    modules, listed = "modules: {lab: {tls: {ca_file: ca.pem}}}\n", TARGET.replace("}", ", modules: [lab]}")
    (found,) = warnings(f"{QUIET}{MANAGED}{modules}targets: [{listed}]\n")
    assert "module lab differs from module default in tls.ca_file" in found


HASH = "00FF" * 10


OLD = "2C5677D76F76D77F80"  # the hash of a name, by an old connector


@pytest.mark.parametrize(
    ("pins", "expected"),
    [
        ([("Tde/1", HASH), ("Tde/2", HASH.lower())], ["targets[1].thumbprint: target t0 has the same thumbprint, but another version"]),
        ([("Tde/1", HASH), ("Tde/1", "00FE" * 10)], ["targets[1].thumbprint: target t0 has the same key version, but another thumbprint"]),
        ([("Tde/1", HASH), ("Tde/1", HASH), ("Old/1", OLD), ("Old/2", OLD)], []),
        ([("Tde", HASH)], ["targets[0].thumbprint: the key has no version, so the thumbprint proves nothing"]),
    ],
    ids=["two versions", "two thumbprints", "restored and old", "bare name"],
)  # fmt: skip
def test_thumbprint_that_contradicts_its_version_is_a_warning(pins, expected, warnings):
    targets = "".join(
        f"  - {{name: t{n}, vault: contoso-{n}, key: {key}, thumbprint: 0x{thumbprint}, credential: c}}\n"
        for n, (key, thumbprint) in enumerate(pins)
    )
    found = [line for line in warnings(f"{QUIET}{MANAGED}targets:\n{targets}") if "].thumbprint: " in line]
    assert [any(text in line for line in found) for text in expected] == [True] * len(found)


SIGNS_IN = "type: client_secret, client_id: 66666666-7777-8888-9999-000000000000, expires_on: 2030-01-01"


@pytest.mark.parametrize(
    ("secret", "shown"),
    [
        ("seven!!", True),
        ("vault.azure.net", True),
        ("CONTOSO-prod", True),
        ("prod.vault.azure", True),
        ("4f1c8e2a9b7d4036", True),
        ("sql-prod-of-payroll", True),
        ("ErrorHttpOperationForbidden", True),
        ("contoso-prod!8Q~", False),
        ("correct-horse-battery", False),
    ],
)
@pytest.mark.parametrize("place", ["credential", "connector", "password", "proxy", "sql_server"])
def test_secret_that_is_not_masked_is_a_warning(place, secret, shown, warnings, monkeypatch):
    monkeypatch.setenv("EKM_TEST_SECRET", f"66666666777788889999000000000000{secret}" if place == "connector" else secret)
    monkeypatch.setenv("EKM_TEST_GOOD", "another~Secret_9Z8")
    Path("sp.pem").write_text("any")
    Path("sp.pem").chmod(0o600)
    credential = {
        "connector": "type: connector_secret, secret_env: EKM_TEST_SECRET, expires_on: 2030-01-01",
        "password": f"{SIGNS_IN.replace('secret', 'certificate')}, certificate_file: sp.pem, password_env: EKM_TEST_SECRET",
        "proxy": f"{SIGNS_IN}, client_secret_env: EKM_TEST_GOOD",
    }.get(place, f"{SIGNS_IN}, client_secret_env: EKM_TEST_SECRET")
    if place == "sql_server":
        credential = credential.replace("EKM_TEST_SECRET", "EKM_TEST_GOOD")
    proxy = "{url: 'http://proxy:3128', username: u, password_env: EKM_TEST_SECRET}"
    module = f"modules: {{default: {{proxy: {proxy}}}}}\n" if place == "proxy" else ""
    target = "{name: a, vault: contoso-prod, key: k/4f1c8e2a9b7d4036a5e1c7f20b9d8346, credential: sql-prod-of-payroll}"
    server = "{address: n1, user: ekm, password_env: EKM_TEST_SECRET}" if place == "sql_server" else ""
    found = warnings(
        f"{QUIET}credentials: {{sql-prod-of-payroll: {{{credential}}}}}\n{module}targets: [{target}]\nsql_servers: [{server}]\n"
    )
    assert ["part of a configured name" in line for line in found] == [True] * shown
    assert secret not in str(found).replace("sql-prod-of-payroll", "")


LISTED = (
    "{address: n1.contoso.com, entra_credential: m, sql_instance: PROD}, {address: 'n2\\PROD', entra_credential: m, host: n2}"
)


@pytest.mark.parametrize(
    ("instances", "servers", "unlisted"),
    [
        ("{sql_instance: PROD, host: n1}, {sql_instance: prod, host: N2}", LISTED, []),
        ("{sql_instance: PROD, host: n1}, {sql_instance: PROD, host: n3}, {sql_instance: Q}", LISTED, ["PROD on n3", "Q"]),
        ("{sql_instance: OTHER, host: n7}", LISTED, []),
        ("{sql_instance: PROD, host: n1}, {sql_instance: PROD, host: n3}", "{address: '10.1.2.3,1450', entra_credential: m}", []),
        ("{sql_instance: PROD, host: n1}, {sql_instance: PROD, host: n3}", "", []),
    ],
    ids=["all", "node and instance", "none", "IP address", "no section"],
)
def test_instance_that_no_sql_server_is_is_a_warning(instances, servers, unlisted, warnings):
    target = TARGET.replace("}", f", instances: [{instances}]}}")
    credentials = "credentials: {c: {type: workload_identity}, m: {type: managed_identity}}\n"
    found = warnings(f"{QUIET}{credentials}targets: [{target}]\nsql_servers: [{servers}]\n")
    named = [
        line.partition(".instances: ")[2].partition(" is not under sql_servers")[0] for line in found if ".instances: " in line
    ]
    assert named == unlisted


def test_credential_of_a_sql_server_is_used(warnings):
    credentials = "credentials: {c: {type: workload_identity}, s: {type: managed_identity}}\n"
    assert warnings(f"{QUIET}{credentials}targets: [{TARGET}]\nsql_servers: [{{address: n1, entra_credential: s}}]\n") == []
