"""The audit sheet in words, who may unwrap, which target a text names, and what a SQL Server itself requests."""

import re
import shlex

import pytest

from exporter.sqlserver.audit import (
    BASH,
    GRAPH,
    POWERSHELL,
    ChoiceError,
    access_queries,
    as_text,
    choose_target,
    is_hsm,
    key_roles,
    log_files_a_day,
    sheet,
)
from exporter.sqlserver.proof import server_proofs
from tests.support.gate_factories import URL, VAULT, row, state
from tests.support.sql_readings import a_reading, with_growing_logs

AT = "2026-11-28T12:00:00.000Z"
VERSION = "cgacf4f763ar42ffb0a1gca546aygd87"
READ = {
    "server": "SQLPRD01 on n1",
    "uses_key": True,
    "read_at": "2026-11-28T11:55:00.000Z",
    "databases": ["sales", "stock"],
    "login": "tde_login",
    "credential": "tde_cred",
    "credential_altered_at": None,
    "state": "proven",
    "proven_at": "2026-11-28T11:00:00.000Z",
    "proven_by": "log_backup",
    "database": "sales",
    "since": "2026-11-28T11:00:00.000Z",
    "codes_since": [],
    "backups_fail": False,
    "closed": [],
    "restart": "ready",
    "restart_missing": None,
    "restart_unwraps": 2,
    "log_files_a_day": 12.0,
    "trace_flag_15025": False,
}
DECLARED = {"server": "SQLPRD02", "ag": "AG7", "read_at": None, "uses_key": None}
DEPENDENTS = {"sql_servers": 2, "read": 1, "unused": 0, "databases": 2, "proven_at": "2026-11-28T11:00:00.000Z"}
EXPIRY = {
    "source": "graph",
    "expires_at": "2026-12-08T12:00:00.000Z",
    "looked_up_at": None,
    "failure": None,
    "wrong": None,
}
CREDENTIAL = {
    "credential": "sql-prod",
    "uses": ["current"],
    "type": "client_secret",
    "tenant_id": None,
    "client_id": "6666",
    "object_id": None,
    "may_expire": True,
    "expiries": [EXPIRY],
}
KEY_VERSION = {
    "version": VERSION,
    "pinned": True,
    "uri": f"https://contoso-prod.vault.azure.net/keys/ContosoRSAKey0/{VERSION}",
    "targets": ["contoso-key0"],
    "thumbprint": "0x2C56",
    "type": "RSA-HSM",
    "size_bits": 3072,
    "enabled": True,
    "not_before": None,
    "expires": "2027-11-28T12:00:00.000Z",
    "read": True,
}
PROBE = {
    "target": "contoso-key0",
    "version": VERSION,
    "credential": "sql-prod",
    "mode": "full",
    "from": "n1",
    "ready": True,
    "not_ready_since": None,
    "last_probe": AT,
    "last_round_trip": "2026-11-28T11:58:00.000Z",
    "last_unwrap": "2026-11-28T11:59:00.000Z",
    "step": None,
    "code": None,
    "symbol": None,
    "reason": None,
}
RECOVERY = {
    "target": "contoso-key0",
    "recovery_vault": "contoso-dr.vault.azure.net",
    "usable": True,
    "last_probe": AT,
    "last_unwrap": "2026-11-28T11:57:00.000Z",
    "backup_on": "2026-11-24",
}
RETAINED = {
    "key": "ContosoRSAKey0/0123",
    "vault": "contoso-prod.vault.azure.net",
    "until": "2033-01-01",
    "usable": True,
    "last_probe": "2026-11-28T11:56:00.000Z",
}


def facts(**changes):
    """Return facts in which everything is known."""
    known = {
        "at": AT,
        "exporter": {"version": "1.2.3", "host": "mon1", "vantage": "central"},
        "vault": "contoso-prod.vault.azure.net",
        "key": "ContosoRSAKey0",
        "targets": 1,
        "region": "westeurope",
        "scheduled_purge": None,
        "newest_version": VERSION,
        "versions": [KEY_VERSION],
        "dependents": DEPENDENTS,
        "sql_servers": [READ, DECLARED],
        "credentials": [CREDENTIAL],
        "probes": [PROBE],
        "recovery": [RECOVERY],
        "retained_versions": [RETAINED],
        "tls_certificates": [{"endpoint": "contoso-prod:443", "issuer": "CN=R1", "expires_at": "2027-01-01T00:00:00.000Z"}],
        "requests_in_10_seconds": 500,
        "roles": [{"role": "Owner", "effect": "may assign a role"}],
        "who_may": [{"about": "Roles on the key", "language": "az", "text": "az role assignment list"}],
        "who_did": [{"about": "Who used it", "language": "KQL", "text": "AZKVAuditLogs\n| count"}],
    }
    return known | changes


def lines(title, **changes):
    """The lines of a part as a mapping; of equal names the last one counts."""
    (part,) = [each for each in sheet(facts(**changes)) if each.title == title]
    return dict(part.lines)


def test_summary_has_every_answer_on_one_screen():
    assert list(lines("In short").items()) == [
        ("key", "ContosoRSAKey0 in contoso-prod.vault.azure.net"),
        ("as of", "2026-11-28 12:00 UTC, by ekm-exporter 1.2.3 on mon1"),
        ("depends on it", "2 SQL Servers, at least 2 databases; 1 of these SQL Servers is not read"),
        ("who may unwrap", "not known: the exporter has no right to read it in Azure. The queries below list it"),
        ("who did", "not known: the vault's log has it. The query below lists it"),
        ("last proven by probe", "2026-11-28 11:59 UTC (1m ago)"),
        ("last proven by SQL Server", "2026-11-28 11:00 UTC (1h ago); not known of 1 more SQL Server, which is not read"),
        ("recovery vault proven", "2026-11-28 11:57 UTC (3m ago)"),
        ("test restore", "not known: the exporter sees no restore. Record its date where you keep this sheet"),
        ("next expiry", "credential sql-prod, 2026-12-08 12:00 UTC (in 10d)"),
    ]


N1, N2 = "SQLPRD01 on n1", "SQLPRD02"
OF_VERSION = f"version {KEY_VERSION['version']}"


OLDEST = READ | {"server": "SQLPRD01 on n2", "proven_at": "2026-11-20T12:00:00.000Z"}
UNPROVEN = READ | {"server": "SQLPRD01 on n3", "proven_at": None, "state": "due"}
FAILING = READ | {"state": "failing", "codes_since": ["3303", "3077"], "since": "2026-11-28T11:30:00.000Z", "backups_fail": True}
CLOSED = READ | {"state": "closed", "closed": [{"database": "sales", "state": "RECOVERY_PENDING"}]}
UNUSED = {"server": "SQLPRD03 on n9", "ag": None, "read_at": READ["read_at"], "uses_key": False}
NO_RIGHT = UNUSED | {"uses_key": None}


def totals(servers, read, databases, unused=0, proven_at=None):
    found = {"sql_servers": servers, "read": read, "unused": unused, "databases": databases, "proven_at": proven_at}
    return {"dependents": found}


def proven_by(*rows):
    """The change of the facts for SQL Servers that are all read and use the key."""
    times = [row["proven_at"] for row in rows]
    return totals(len(rows), len(rows), 2, proven_at=None if None in times else min(times)) | {"sql_servers": [*rows]}


@pytest.mark.parametrize(
    ("title", "label", "change", "text"),
    [
        ("In short", "targets", {"targets": 5000}, "1 of 5,000 targets of this key are on this sheet: audit another one by its name"),
        ("In short", "depends on it", totals(1, 1, 1), "1 SQL Server, 1 database"),
        ("In short", "depends on it", totals(3, 1, 1), "3 SQL Servers, at least 1 database; 2 of these SQL Servers are not read"),
        ("In short", "depends on it", totals(3, 2, 9), "3 SQL Servers, at least 9 databases; 1 of these SQL Servers is not read"),
        ("In short", "depends on it", totals(2, 0, 0), "2 SQL Servers; databases not known: the exporter reads none of them"),
        ("In short", "depends on it", totals(1, 1, 1, unused=1), "1 SQL Server, 1 database; 1 more is read and does not use it"),
        ("In short", "depends on it", totals(0, 0, 0, unused=2), "no SQL Server is known to use it; 2 more are read and do not use it"),
        ("In short", "last proven by SQL Server", proven_by(READ), "2026-11-28 11:00 UTC (1h ago)"),
        ("In short", "last proven by SQL Server", proven_by(READ, OLDEST),
            "2026-11-20 12:00 UTC (8d ago), the oldest of 2 SQL Servers: SQLPRD01 on n2"),
        ("In short", "last proven by SQL Server", proven_by(UNPROVEN, READ), "no start and no backup proves it on SQLPRD01 on n3"),
        ("In short", "last proven by SQL Server", proven_by(FAILING),
            f"2026-11-28 11:00 UTC (1h ago); {N1}: its error log has 3303, 3077 since 2026-11-28 11:30 UTC (30m ago), backups fail"),
        ("In short", "last proven by SQL Server", proven_by(*[CLOSED] * 5),
            "2026-11-28 11:00 UTC (1h ago), the oldest of 5 SQL Servers: "
             f"{N1}, {N1}, {N1} and 2 more" + f"; {N1}: closed: sales (RECOVERY PENDING)" * 3 + "; 2 more SQL Servers fail"),
        ("In short", "last proven by SQL Server", totals(101, 101, 1, proven_at="2026-11-20T12:00:00.000Z"),
            "2026-11-20 12:00 UTC (8d ago), the oldest of 101 SQL Servers"),
        ("In short", "last proven by SQL Server", totals(3, 1, 1, proven_at=READ["proven_at"]),
            "2026-11-28 11:00 UTC (1h ago); not known of 2 more SQL Servers, which are not read"),
        ("What depends on it", "SQLPRD03 on n9", {"sql_servers": [UNUSED]}, "read, does not use it: none of its databases is under this key"),
        ("What depends on it", "SQLPRD03 on n9", {"sql_servers": [NO_RIGHT]},
            "read, but not which key its databases have: /api/v1/sql-servers has the reason"),
        ("Last proven", "by SQLPRD03 on n9", {"sql_servers": [NO_RIGHT]}, "not known: the exporter does not read which key it uses"),
        ("Last proven", f"by {N1}", {"sql_servers": [CLOSED]},
            "2026-11-28 11:00 UTC (1h ago), log backup of sales (closed); closed: sales (RECOVERY PENDING)"),
        ("In short", "recovery vault proven", {"recovery": [RECOVERY | {"last_unwrap": None}]}, "never: no unwrap in the recovery vault has succeeded"),
        ("What depends on it", "more SQL Servers", {"dependents": DEPENDENTS | {"sql_servers": 1_402}},
            "and 1,400 more: /api/v1/sql-servers of the exporter lists each that it reads"),
        ("What depends on it", N2, {}, "declared (availability group AG7); its databases are not known: the exporter does not read it"),
        ("What depends on it", N2, {"sql_servers": [DECLARED | {"ag": None}]}, "declared; its databases are not known: the exporter does not read it"),
        ("What depends on it", N1, {}, "sales, stock; login tde_login, SQL credential tde_cred"),
        ("What depends on it", N1, {"sql_servers": [READ | {"databases": [], "login": None, "credential": None}]},
            "no database; login not known, SQL credential none"),
        ("Last proven", f"by {N1}", {}, "2026-11-28 11:00 UTC (1h ago), log backup of sales (proven)"),
        ("Last proven", f"by {N1}", {"sql_servers": [READ | {"proven_at": None, "state": "no_credential"}]},
            "no start and no finished backup proves it (no credential)"),
        ("Last proven", f"by {N2}", {}, "not known: the exporter does not read it"),
        *(
            ("Last proven", f"restart of {N1}", {"sql_servers": [READ | {"restart": restart, "restart_missing": missing}]}, text)
            for restart, missing, text in (
                ("ready", None, "would find the key, as this exporter sees it"),
                ("not_ready", "the key is disabled", "would not find the key: the key is disabled"),
                ("not_known", "the inventory is old", "not known: the inventory is old"),
                ("not_known", None, "not known: /api/v1/sql-servers has the reasons"),
                (None, None, "not known: /api/v1/sql-servers has the reasons"),
            )
        ),
        *(
            ("Recovery", "recovery vault of contoso-key0", {"recovery": [RECOVERY | {"usable": usable}]},
                f"contoso-dr.vault.azure.net: {word}; last unwrap there 2026-11-28 11:57 UTC (3m ago)")
            for usable, word in ((True, "usable"), (False, "not usable"), (None, "not known"))
        ),
        ("Recovery", "backup of the key, contoso-key0", {}, "declared: 2026-11-24"),
        ("Recovery", "old version ContosoRSAKey0/0123", {"retained_versions": [RETAINED]},
            "needed by backups until 2033-01-01, in contoso-prod.vault.azure.net: usable; last probe 2026-11-28 11:56 UTC (4m ago)"),
        ("Recovery", "old version ContosoRSAKey0/0123", {"retained_versions": [RETAINED | dict.fromkeys(("until", "usable", "last_probe"))]},
            "needed by backups without an end, in contoso-prod.vault.azure.net: not known; last probe not known"),
        *(
            ("What expires", "credential sql-prod", {"credentials": [CREDENTIAL | {"expiries": [EXPIRY | change]}]}, text)
            for change, text in (
                ({}, "2026-12-08 12:00 UTC (in 10d) (Microsoft Graph)"),
                ({"expires_at": None, "failure": "403"}, "not known (Microsoft Graph); 403"),
                ({"source": "other", "wrong": "Entra ID refused it"}, "2026-12-08 12:00 UTC (in 10d) (other); Entra ID refused it"),
            )
        ),
        ("What expires", f"key {OF_VERSION}", {"versions": [KEY_VERSION | {"expires": None}]}, "no date"),
        ("Key and versions", OF_VERSION, {}, "RSA-HSM of 3072 bits, enabled; probed by contoso-key0"),
        ("Key and versions", OF_VERSION, {"versions": [KEY_VERSION | {"enabled": False}]}, "RSA-HSM of 3072 bits, disabled; probed by contoso-key0"),
        ("Key and versions", "deleted, purged on", {"scheduled_purge": "2027-01-01T00:00:00Z"}, "2027-01-01 00:00 UTC"),
        ("Who did", f"requests of {N1}", {"requests_in_10_seconds": 500},
            "at a restart 2 unwraps at once, 0.4% of the limit; about 12 a day for new virtual log files (VLF); each backup one more at least"),
        ("Who did", f"requests of {N1}", {"sql_servers": [READ | {"log_files_a_day": None}], "requests_in_10_seconds": None},
            "at a restart 2 unwraps at once; new virtual log files (VLF): not known; each backup one more at least"),
        ("Who did", f"requests of {N2}", {}, "not known: its use of the key is not read. The rows of SQL Server in the second query count them"),
    ],
)  # fmt: skip
def test_line_of_the_sheet_follows_from_the_facts(title, label, change, text):
    assert lines(title, **change)[label] == text


UNKNOWN = {
    "region": None,
    "newest_version": None,
    "versions": [
        KEY_VERSION
        | dict.fromkeys(("version", "thumbprint", "type", "size_bits", "enabled", "expires"))
        | {"pinned": False, "read": False}
    ],
    **totals(0, 0, 0),
    "sql_servers": [],
    "credentials": [CREDENTIAL | {"client_id": None, "expiries": []}],
    "probes": [PROBE | {"last_unwrap": None, "last_round_trip": None}],
    "recovery": [RECOVERY | dict.fromkeys(("recovery_vault", "usable", "last_unwrap", "backup_on"))],
    "tls_certificates": [],
    "requests_in_10_seconds": None,
}


def test_server_that_does_not_use_the_key_has_no_proof_and_no_requests():
    assert f"by {UNUSED['server']}" not in lines("Last proven", sql_servers=[UNUSED])
    assert f"requests of {UNUSED['server']}" not in lines("Who did", sql_servers=[UNUSED])
    assert lines("In short", **totals(1, 0, 0))["last proven by SQL Server"] == (
        "not known: the exporter reads none of these SQL Servers"
    )


def test_unknown_facts_are_sentences():
    unknown = [(name, text) for part in sheet(facts(**UNKNOWN)) for name, text in part.lines]
    assert all(name and text for name, text in unknown)
    known = dict(unknown)
    assert known["depends on it"] == "no SQL Server is declared or read"
    assert known["last proven by probe"] == "no unwrap is known"
    assert known["last proven by SQL Server"] == "no SQL Server is known to use it"
    assert known["recovery vault proven"] == "not known: no recovery_vault is configured"
    assert known["next expiry"] == "not known: no date of any kind"
    assert known["version not known"] == "not read yet, followed as the newest: no version is pinned; probed by contoso-key0"
    assert known["thumbprint"] == "not known: no target declares it"
    assert known["SQL Servers"] == "not known: no target of this key has instances"
    assert lines("What expires", **UNKNOWN)["credential sql-prod"] == "not known: no source is configured"
    assert known["key version not known"] == "not read yet"
    assert known["TLS certificates"] == "not known: no probe has reached an endpoint"
    assert known["limit"] == "none is published for this vault"
    assert known["recovery vault of contoso-key0"] == "none is configured"
    assert known["backup of the key, contoso-key0"] == "not known: backup_on is not declared"


FAILS = PROBE | {
    "ready": False,
    "not_ready_since": "2026-11-28T11:30:00.000Z",
    "code": 3077,
    "reason": "forbidden_policy",
    "step": "x",
}


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([FAILS], "; not ready since 2026-11-28 11:30 UTC (30m ago): 3077 forbidden_policy"),
        ([FAILS | {"reason": None}], "; not ready since 2026-11-28 11:30 UTC (30m ago): 3077"),
        ([FAILS | {"code": None, "not_ready_since": None}], "; not ready since not known: no code"),
        (
            [
                PROBE,
                FAILS | {"not_ready_since": "2026-11-28T11:45:00.000Z", "code": 3303},
                FAILS | {"last_unwrap": READ["read_at"]},
            ],
            "; not ready since 2026-11-28 11:30 UTC (30m ago): 3077 forbidden_policy (2 of 3 targets)",
        ),
    ],
)
def test_key_that_fails_now_is_in_short_not_ready(rows, text):
    short = lines("In short", probes=rows)["last proven by probe"]
    assert short == f"2026-11-28 11:59 UTC (1m ago){text}"


@pytest.mark.parametrize(
    ("change", "end"),
    [
        ({}, "from n1, with credential sql-prod"),
        ({"step": "token", "code": 3303, "reason": "secret_expired"}, "the last probe failed at token: 3303 secret_expired"),
        ({"step": "token", "code": 3303}, "the last probe failed at token: 3303"),
    ],
)
def test_probe_has_times_place_and_failure(change, end):
    text = lines("Last proven", probes=[PROBE | change])["probe contoso-key0"]
    assert text.startswith(
        "unwrap 2026-11-28 11:59 UTC (1m ago); whole round trip with wrap 2026-11-28 11:58 UTC (2m ago); from n1"
    )
    assert text.endswith(end)


def test_contradicted_date_is_not_the_next_expiry():
    wrong = CREDENTIAL | {"expiries": [EXPIRY | {"wrong": "refused"}]}
    assert lines("In short", credentials=[wrong])["next expiry"].startswith("TLS of contoso-prod:443, 2027-01-01")


def test_identity_without_a_secret_and_staged_credential_are_named():
    managed = CREDENTIAL | {"type": "managed_identity", "may_expire": False, "expiries": [], "uses": ["current", "next"]}
    known = lines("What expires", credentials=[managed])
    assert known["credential sql-prod"] == "managed_identity has no secret that expires"
    assert "next credential" not in known
    identity = lines("Who may unwrap", credentials=[managed])["credential sql-prod"]
    assert identity == (
        "managed_identity, as current and next of the exporter: application 6666, object id not known, tenant not known"
    )


def test_text_has_parts_and_queries():
    text = as_text(facts())
    assert text.startswith("Audit of key ContosoRSAKey0\n\nIn short\n--------\nkey ")
    assert "\nWho used it (KQL):\n\n  AZKVAuditLogs\n  | count\n" in text
    assert "Recovery\n--------\nrecovery vault of contoso-key0:\n" in text
    assert max(len(line) for line in text.splitlines() if "https://" not in line) <= 110


def test_texts_of_others_cannot_steer_a_terminal():
    text = as_text(
        facts(sql_servers=[DECLARED | {"server": "a\x1b[2Jb"}], who_did=[{"about": "a", "language": "b", "text": "\x1b\nc"}])
    )
    assert "\x1b" not in text
    assert "  ?\n  c\n" in text


@pytest.mark.parametrize(
    "change",
    [{"exporter": None}, {"versions": [{}]}, {"at": "soon"}, {"key": 1}, {"sql_servers": 5}, {"who_may": [{"about": 1}]}],
)
def test_facts_of_another_program_are_refused(change):
    with pytest.raises(ValueError, match=r"damaged|isoformat"):
        sheet(facts(**change))


WITH_PORT, HSM = "contoso-prod.vault.azure.net:8443", "contoso.managedhsm.azure.net"


@pytest.mark.parametrize("vault", [WITH_PORT, HSM, "vault.corp.example"])
def test_queries_have_the_names_and_no_placeholder_but_the_group(vault):
    name = vault.partition(".")[0]
    queries = access_queries(vault, "Key-0")
    assert all(name in each["text"] or "GROUP" in each["text"] for each in queries)
    assert not [each for each in queries if "VAULT" in each["text"] or "KEY" in each["text"] or "8443" in each["text"]]
    abouts = {each["about"]: {one["language"] for one in queries if one["about"] == each["about"]} for each in queries}
    assert all(languages in ({BASH, POWERSHELL}, {GRAPH}) for languages in abouts.values())


def test_commands_of_bash_are_whole():
    for vault in (WITH_PORT, HSM):
        for each in access_queries(vault, "Key-0"):
            if each["language"] == BASH:
                assert shlex.split(each["text"])[0] == "az"
                assert "\n" not in each["text"]


def test_inherited_roles_are_listed_on_the_key():
    first = access_queries(WITH_PORT, "Key-0")[0]["text"]
    assert '--include-inherited --scope "$(az keyvault show --name contoso-prod --query id -o tsv)/keys/Key-0"' in first


def test_managed_hsm_has_roles_of_its_own():
    assert [is_hsm(vault) for vault in (WITH_PORT, HSM, "vault.corp.example")] == [False, True, False]
    assert dict(key_roles(HSM)).keys() > local_roles({"unwrap"})
    assert dict(key_roles(WITH_PORT)).keys() > {"Owner", "User Access Administrator", "Key Vault Contributor"}


def test_azure_roles_on_a_managed_hsm_are_listed():
    about = "Who may change or delete the HSM: Azure roles on it, with those inherited from above"
    first, second = (each["text"] for each in access_queries(HSM, "k") if each["about"] == about)
    assert '--include-inherited --scope "$(az keyvault show --hsm-name contoso --query id -o tsv)" -o table' in first
    assert second.startswith('Get-AzRoleAssignment -Scope "$((Get-AzKeyVaultManagedHsm -Name contoso).ResourceId)" | ')
    (graph,) = (each["text"] for each in access_queries(HSM, "k") if each["language"] == GRAPH)
    assert 'type =~ "microsoft.keyvault/managedhsms" and name =~ "contoso"' in graph


# Microsoft's list of local roles, with those of their data actions that use, copy or give away a key, or grant that.
LOCAL = {
    "Managed HSM Administrator": "assign domain backup restore",
    "Managed HSM Crypto Officer": "assign export purge",
    "Managed HSM Crypto User": "unwrap decrypt backup release delete",
    "Managed HSM Policy Administrator": "assign",
    "Managed HSM Crypto Auditor": "",
    "Managed HSM Crypto Service Encryption User": "unwrap",
    "Managed HSM Crypto Service Release User": "release",
    "Managed HSM Backup User": "backup",
    "Managed HSM Restore User": "restore",
}
# Microsoft's list of roles for vaults, then those for any resource, in the same way.
IN_AZURE = {
    "Key Vault Administrator": "unwrap decrypt backup delete",
    "Key Vault Reader": "",
    "Key Vault Purge Operator": "",
    "Key Vault Certificates Officer": "",
    "Key Vault Certificate User": "",
    "Key Vault Crypto Officer": "unwrap decrypt backup delete",
    "Key Vault Crypto Service Encryption User": "unwrap",
    "Key Vault Crypto User": "unwrap decrypt backup",
    "Key Vault Crypto Service Release User": "release",
    "Key Vault Secrets Officer": "",
    "Key Vault Secrets User": "",
    "Key Vault Data Access Administrator": "assign",
    "Key Vault Contributor": "policy",
    "Owner": "assign",
    "Contributor": "policy",
    "Reader": "",
    "User Access Administrator": "assign",
    "Role Based Access Control Administrator": "assign",
}
WORDS = {
    "assign": "assign a role", "domain": "download the security domain", "backup": "back up|back the key up", "restore": r"restore\b", "export": r"export\b",
    "purge": "purge", "unwrap": "may unwrap", "decrypt": "decrypt", "release": "release", "delete": r"delete\b", "policy": "access policy",
}  # fmt: skip


def local_roles(actions):
    return {role for role, having in LOCAL.items() if actions & set(having.split())}


@pytest.mark.parametrize(("vault", "published"), [(HSM, LOCAL), (WITH_PORT, IN_AZURE)])
def test_every_published_role_that_reaches_the_key_is_listed(vault, published):
    listed = dict(key_roles(vault))
    assert {role for role, actions in published.items() if actions} == published.keys() & listed.keys()
    for role in published.keys() & listed.keys():
        found = {action for action, words in WORDS.items() if re.search(words, listed[role])}
        assert found == set(published[role].split()), role


def test_azure_roles_give_no_right_to_a_key_of_an_hsm():
    changing = dict(key_roles(HSM)).items() - dict.fromkeys(LOCAL, "").items()
    in_azure = {role: effect for role, effect in changing if role in IN_AZURE or role == "Managed HSM contributor"}
    assert len(in_azure) == 5
    assert all("no right to the key" in effect for effect in in_azure.values())


URI = f"https://{VAULT}/keys/K/1111aaaa2222"


def targets(*rows):
    return state(URL, *rows).targets


TWO = (row(), row(target="second", vault="other.vault.azure.net", key_version=None))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("contoso-key0", "contoso-key0"),
        ("second", "second"),
        ("K/1111aaaa2222", "contoso-key0"),
        (URI, "contoso-key0"),
        (URI.upper() + "/", "contoso-key0"),
        ("https://other.vault.azure.net/keys/K", "second"),
    ],
)
def test_target_is_found_by_name_version_or_uri(text, name):
    assert choose_target(text, targets(*TWO)).name == name


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("K", f"'K' is a key in 2 vaults: write its URI, such as {URI}"),
        (
            "contoso-key1",
            "no target and no key 'contoso-key1' (did you mean 'contoso-key0'?): write a target's name, KEY/VERSION or the key's URI",
        ),
        ("K/9", "no target and no key 'K/9': write a target's name, KEY/VERSION or the key's URI"),
    ],
)
def test_text_without_one_key_is_refused(text, problem):
    with pytest.raises(ChoiceError) as caught:
        choose_target(text, targets(*TWO))
    assert str(caught.value) == problem


def test_growing_logs_need_the_vault_for_each_new_file():
    # 1 MiB in five minutes for each database, and files of 64 MiB
    (server,) = server_proofs(with_growing_logs(a_reading("sales", "stock")))
    assert log_files_a_day(server) == pytest.approx(2 * 288 / 64)


@pytest.mark.parametrize(("flag", "files"), [(1, 0.0), (0, None)])
def test_trace_flag_spares_the_requests_for_log_files(flag, files):
    (server,) = server_proofs(a_reading(sections={"flags": [{"flag": 15025, "is_on": flag}]}))
    assert log_files_a_day(server) == files
