"""The scripts for a DBA parse, use existing columns, and write no secret."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp
from sqlglot.optimizer.qualify import qualify

from exporter.core.connector import LOG_SCRIPTS, log_query, one_line
from exporter.knowledge.tickets import BY_ADDRESS, BY_REQUEST, EXPORTER_REQUESTS, SIGN_INS, request_queries
from exporter.sqlserver.audit import GRAPH, access_queries
from exporter.sqlserver.document import Row
from exporter.sqlserver.script import proof_batches
from tests.repo.deploy.pretend import (
    EKM_KEY,
    OBEYED,
    OLD_THUMBPRINT,
    PACKAGE,
    PROVIDER,
    PROVIDER_CREDENTIAL,
    REFUSAL,
    SCRIPTS,
    SQL,
    batches,
    rows_of,
    schema,
    without_apply,
    without_database,
)
from tests.repo.deploy.system_views import SIGN_IN_COLUMNS
from tests.support.patience import PROGRAM_SECONDS

TOOLS = SQL.parents[1] / ".cache" / "tools"
NAMES = sorted(path.name for path in SCRIPTS.glob("*.sql"))
# T-SQL statements that sqlglot does not parse and passes through.
AS_IT_IS = re.compile(r"PRINT @statement$|(?:CREATE|ALTER) EVENT SESSION \[ekm_calls\] ON SERVER\b[^;]*$")
# What sqlfluff does not know either.
EVENT_SESSION = re.compile(r"^(?:CREATE|ALTER) EVENT SESSION \[ekm_calls\] ON SERVER\b[^;]*;\nGO$", re.MULTILINE)


def statements(name: str) -> list[exp.Expression]:
    return [one for batch in batches(name) for one in sqlglot.parse(batch, dialect="tsql") if one is not None]


def is_temporary(statement: exp.Expression) -> bool:
    """Whether a statement is about a temporary table of the session alone."""
    tables = list(statement.find_all(exp.Table))
    return bool(tables) and all(table.this.args.get("temporary") for table in tables)


@pytest.mark.parametrize("name", NAMES)
def test_script_is_t_sql(name):
    unknown = [one for one in statements(name) if isinstance(one, exp.Command)]

    assert statements(name)
    assert all(AS_IT_IS.search(one.sql("tsql", comments=False)) for one in unknown)


def violations(text: str, folder: Path) -> list[str]:
    """What sqlfluff cannot parse as T-SQL. In the folder, no configuration of this project counts."""
    command = [str(TOOLS / "bin" / "sqlfluff"), "parse", "--dialect", "tsql", "-"]
    done = subprocess.run(  # noqa: S603 - fixed commands
        command, input=text, cwd=folder, capture_output=True, text=True, check=False, timeout=PROGRAM_SECONDS
    )
    found = re.findall(r"^L: .*\| +PRS \| (.*)", done.stdout, re.MULTILINE)
    assert done.returncode == int(bool(found)), done.stderr
    return found


@pytest.mark.tools
@pytest.mark.parametrize("path", [*(SCRIPTS / name for name in NAMES), PACKAGE / "proof.sql"], ids=lambda path: path.name)
def test_a_second_parser_reads_the_script(path, tmp_path):
    text, unread = EVENT_SESSION.subn("", path.read_text())
    assert unread == (2 if path.name == "trace-ekm.sql" else 0)
    assert violations(text, tmp_path) == []


@pytest.mark.tools
def test_the_second_parser_finds_a_mistake_at_the_end_of_a_long_script(tmp_path):
    batch = batches("proof.sql", PACKAGE)[-1]
    assert "sys.fn_xe_file_target_read_file(" in batch
    broken = f"/* {'long ' * 10_000} */\n" + batch.replace("NULL, NULL, NULL) AS f", "NULL, NULL, NULL AS f")
    assert len(violations(broken, tmp_path)) == 1


@pytest.mark.tools
def test_the_second_parser_reads_the_queries_of_calls_as_run_sends_them(tmp_path):
    trace: Row = {"file": "D:\\it's a log\\ekm_calls_0_1.xel", "offset": 512}
    sent = [text({"trace": (trace,)}) for name, text in proof_batches(trace=trace) if name == "calls" and callable(text)]
    assert [("it''s a log" in text, "xel', 512)" in text) for text in sent] == [(True, True), (True, False)]
    assert violations("\nGO\n".join(sent), tmp_path) == []


@pytest.mark.parametrize("name", NAMES)
def test_script_uses_columns_of_sql_server(name):
    selects = [one for one in statements(name) if isinstance(one, exp.Select) and one.find(exp.Table) and not is_temporary(one)]

    assert selects
    for one in selects:
        qualify(without_apply(without_database(one)), schema=schema(), dialect="tsql", validate_qualify_columns=True)


def test_names_of_msdb_are_compared_with_the_collation_of_the_server():
    """Message 468, if msdb has another one."""
    texts = [path.read_text() for path in (*SCRIPTS.glob("*.sql"), PACKAGE / "proof.sql")]
    compared = [
        line
        for text in texts
        for line in text.splitlines()
        if re.search(r"\w\.name = \w\.database_name|\.database_name = \w\.name", line)
    ]
    assert len(compared) == 2
    assert all(line.endswith("database_name COLLATE DATABASE_DEFAULT") for line in compared)


DYNAMIC = re.compile(
    r"GRANT VIEW (?:SERVER|ANY) [A-Z ]+ TO \[x\]|GRANT (?:SELECT|EXECUTE) ON (?:sys|dbo)\.\w+ TO \[x\]|CREATE LOGIN \[x\] FROM WINDOWS"
    r"|CREATE USER \[x\] FOR LOGIN \[x\]"
)


def test_dynamic_statements_are_t_sql():
    literals = [text.name for one in statements("login.sql") for text in one.find_all(exp.National)]
    texts = [text for text in literals if " {login}" in text]

    assert len(texts) == 10
    for text in texts:
        whole = text.replace("{login}", "[x]") + ("FROM WINDOWS" if text.startswith("CREATE LOGIN") else "")
        assert all(DYNAMIC.fullmatch(one.strip()) for one in whole.split(";") if one.strip()), whole
        assert sqlglot.parse(whole, dialect="tsql")


GRANT_LOGIN = (SCRIPTS / "grant-login.ps1").read_text(encoding="ascii")


def test_grant_login_sets_lines_that_login_has():
    (pattern,) = re.findall(r'\[regex\] "(.+?)"', GRANT_LOGIN)
    login = (SCRIPTS / "login.sql").read_text(encoding="ascii")
    names = re.findall(r"Set-ScriptValue \$script '(\w+)'", GRANT_LOGIN)
    assert names == ["login", "from", "error_log", "registry"]
    for name in names:
        assert len(re.findall(pattern.replace("$Variable", name), login)) == 1
    assert re.findall(r"^DECLARE @(\w+)", login, re.MULTILINE)[: len(names)] == names


def test_grant_login_connects_after_its_question_only():
    body = GRANT_LOGIN.partition("$script = Read-Script")[2]
    assert "SupportsShouldProcess" in GRANT_LOGIN
    assert body.index("$PSCmdlet.ShouldProcess(") < body.index("Add-Login $server") < body.index("} catch {")
    assert GRANT_LOGIN.count("Open-Instance $Server") == 1
    assert body.rstrip().endswith("if ($failed) { exit 1 }")


@pytest.mark.parametrize(
    "line",
    [
        "  - {address: n1.contoso.com, user: x}",
        "  - address: n1.contoso.com # mine",
        "    address: 'n1.contoso.com'",
        '  - {address: "n1.contoso.com"}',
    ],
)
def test_grant_login_finds_the_addresses_of_a_configuration(line):
    (pattern,) = re.findall(r"\$address = '(.+)'", GRANT_LOGIN)
    assert ["".join(found) for found in re.findall(pattern.replace("''", "'"), line)] == ["n1.contoso.com"]


def test_grant_login_finds_ports_and_instances():
    (pattern,) = re.findall(r"\$address = '(.+)'", GRANT_LOGIN)
    for text, name in (("n3,1450", "n3,1450"), (r"'n2\PROD'", r"n2\PROD"), ('"n2\\\\PROD"', r"n2\\PROD"), ("n4\\X}", r"n4\X")):
        assert ["".join(found) for found in re.findall(pattern.replace("''", "'"), f"- address: {text}")] == [name]
    assert re.findall(pattern.replace("''", "'"), "listen_address: x") == []


def test_scripts_change_nothing_but_rights():
    changing = (exp.Insert, exp.Update, exp.Delete, exp.Drop, exp.Create, exp.Alter)
    assert not [one for name in NAMES for one in statements(name) if one.find(*changing) and not is_temporary(one)]
    filled = [into.this.this for name in NAMES for one in statements(name) for into in one.find_all(exp.Into)]
    assert [(table.name, table.args.get("temporary")) for table in filled] == [("proof", True)]


def test_no_shipped_text_harms_a_key_or_the_log_chain():
    pages = [*SCRIPTS.iterdir(), *(SQL.parents[1] / "docs").glob("*.md"), *(SQL.parents[1] / "alerts" / "runbooks").glob("*.md")]
    assert len(pages) > len(list(SCRIPTS.iterdir())) > len(NAMES)
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"BACKUP\s+LOG\b[^;]*\bNUL\b", text, re.IGNORECASE), page.name
        assert not re.search(r"DROP\s+ASYMMETRIC\s+KEY\s+\S+\s+REMOVE", text, re.IGNORECASE), page.name
    for path in SCRIPTS.iterdir():
        assert not re.search(r"REMOVE\s+PROVIDER|BACKUP\s+LOG", path.read_text(encoding="ascii"), re.IGNORECASE), path.name


PROVIDERS = [{"provider_id": 65536, "name": "AzureKV"}]


def written(*credentials: dict[str, object]) -> str:
    """Return the output of alter-credential.sql on a server with these credentials."""
    query = next(one for one in statements("alter-credential.sql") if isinstance(one, exp.Select))
    rows = rows_of(query, cryptographic_providers=PROVIDERS, credentials=[PROVIDER_CREDENTIAL | one for one in credentials])
    return "\r\n".join(str(row["statement_to_run"]) for row in rows)


def test_each_credential_gets_a_batch_of_its_own():
    assert written({"name": "for sysadmin"}, {"name": "for TDE"}).splitlines() == [
        "ALTER CREDENTIAL [for TDE] WITH IDENTITY = N'contoso-prod', SECRET = N'$(EKM_SECRET)';",
        "GO",
        "ALTER CREDENTIAL [for sysadmin] WITH IDENTITY = N'contoso-prod', SECRET = N'$(EKM_SECRET)';",
        "GO",
    ]


def test_hostile_names_stay_quoted():
    text = written({"name": "a]; DROP LOGIN x --", "credential_identity": "o'brien"})

    assert text.startswith("ALTER CREDENTIAL [a]]; DROP LOGIN x --] WITH IDENTITY = N'o''brien', ")


@pytest.mark.parametrize("text", OBEYED)
@pytest.mark.parametrize("column", ["name", "credential_identity"])
def test_name_that_sqlcmd_would_obey_ends_the_output_before_anything_is_changed(column, text):
    first, second, *rest = written({"name": "a"}, {"name": "b", column: text}).splitlines()

    assert (first, second) == (REFUSAL, "GO")
    assert len(sqlglot.parse(first, dialect="tsql")) == 1
    assert [line[:20] for line in rest] == ["ALTER CREDENTIAL [a]", "GO"]
    assert "calc" not in first + "".join(rest)


def test_managed_identity_and_other_credentials_are_skipped():
    assert (
        written({"name": "mi", "credential_identity": "Managed Identity"}, {"name": "share", "target_type": None, "target_id": 0})
        == ""
    )


def test_alter_script_has_no_sqlcmd_variable():
    code = re.sub(r"(?m)^\s*--.*$", "", (SCRIPTS / "alter-credential.sql").read_text())

    assert "$(" not in code


START, LATER = "2026-11-24 11:00:00", "2026-11-24 11:00:01"  # local time


@pytest.mark.parametrize(
    ("sid", "credentials", "key", "opened"),
    [
        ("s", (START, LATER), {}, "yes"),
        ("s", (LATER, START), {}, "NO: no start since its credential was altered"),
        (None, (START, LATER), {}, "NO: no start since its credential was altered"),
        (None, (), {}, "yes"),
        *(
            ("s", (START,), {column: "2026-11-24 08:00:11"}, "NO: its key changed since it was opened")
            for column in ("create_date", "regenerate_date", "modify_date", "set_date")
        ),
    ],
)
def test_verify_marks_unproven_databases(sid, credentials, key, opened):
    rows = {
        "cryptographic_providers": [PROVIDER],
        "dm_os_sys_info": [  # 08:00 UTC, at another offset than today's
            {"sqlserver_start_time": "2026-11-24 11:00:00", "ms_ticks": 18_000_000, "sqlserver_start_time_ms_ticks": 3_600_000}
        ],
        "databases": [{"name": name, "database_id": number, "state": state} for name, number, state in DATABASES],
        "dm_database_encryption_keys": [
            {"database_id": number, "encryptor_type": "ASYMMETRIC KEY", "encryptor_thumbprint": b"\1", "opened_date": opened_utc}
            | key
            for (_, number, _), opened_utc in zip(
                DATABASES, ("2026-11-24 08:00:10", "2026-11-24 07:59:00", "2026-11-24 08:00:10"), strict=True
            )
        ],
        "asymmetric_keys": [EKM_KEY | {"name": "K1", "thumbprint": b"\1", "sid": sid}],
        "server_principals": [{"principal_id": 7, "sid": "s"}],
        "server_principal_credentials": [{"principal_id": 7, "credential_id": 1}],
        "credentials": [
            PROVIDER_CREDENTIAL | {"credential_id": number, "modify_date": altered}
            for number, altered in enumerate(credentials, 1)
        ],
    }
    query = next(one for one in statements("verify.sql") if one.find(exp.Table) and "proven" in one.named_selects)
    proven = {row["database_name"]: row["proven"] for row in rows_of(without_database(query), **rows)}

    assert proven == {"opened": opened, "opened before": "NO: not opened since the start", "pending": "NO: not online"}


def finding_rows(column: str, **rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Return the rows of the part of retire-version.sql that has the column."""
    selects = [one for one in statements("retire-version.sql") if isinstance(one, exp.Select)]
    query = next(one for one in selects if column in one.named_selects)
    return rows_of(without_database(query), **rows)


def test_retire_version_lists_old_and_closed_databases():
    rows = finding_rows(
        "state_desc",
        databases=[
            *({"name": name, "database_id": number, "state": state} for name, number, state in DATABASES),
            {"name": "closed", "database_id": 9, "state": 0, "is_encrypted": 1},  # AUTO_CLOSE
            {"name": "tempdb", "database_id": 2, "state": 0, "is_encrypted": 1},
        ],
        dm_database_encryption_keys=[
            {"database_id": 5, "encryptor_thumbprint": OLD_THUMBPRINT},
            {"database_id": 6, "encryptor_thumbprint": b"\2"},
        ],
    )

    assert {row["database_name"]: row["finding"] for row in rows} == {
        "closed": "encrypted, but not open: use it, and run this again",
        "opened": "under the old version",
        "pending": "not online: cannot be checked",
    }


@pytest.mark.parametrize("text", OBEYED)
def test_retire_version_prints_no_name_that_sqlcmd_would_obey(text):
    (row,) = finding_rows(
        "backup_finish_date",
        backupset=[{"database_name": "sales", "media_set_id": 1, "position": 1}],
        backupmediafamily=[{"media_set_id": 1, "family_sequence_number": 1, "physical_device_name": text}],
    )

    assert row["statement_to_run"] == REFUSAL


def test_signs_of_a_name_to_refuse_are_the_same_in_all_scripts():
    signs = [re.findall(r"(?ms)^(?:WITH )?signs AS \(.*?^\)", (SCRIPTS / name).read_text()) for name in NAMES]

    assert sorted(map(len, signs)) == [0] * (len(NAMES) - 3) + [1] * 3
    assert len({text.removeprefix("WITH ") for found in signs for text in found}) == 1


def test_retire_version_lists_backups_of_encrypted_databases():
    backups = [("sales", 1, None), ("plain", 2, None), ("dropped", 3, None), ("plain", 4, OLD_THUMBPRINT)]
    rows = finding_rows(
        "backup_finish_date",
        databases=[{"name": "sales", "is_encrypted": 1}, {"name": "plain", "is_encrypted": 0}],
        backupset=[
            {"database_name": name, "media_set_id": media, "position": 2, "encryptor_thumbprint": mark}
            for name, media, mark in backups
        ],
        backupmediafamily=[
            {"media_set_id": media, "family_sequence_number": 1, "device_type": 2, "physical_device_name": f"D:\\o'{media}.bak"}
            for _, media, _ in backups
        ],
    )

    assert [(row["database_name"], row["finding"]) for row in rows] == [
        ("sales", "run the statement"),
        ("dropped", "run the statement"),
        ("plain", "encrypted with the old version"),
    ]
    assert rows[0]["statement_to_run"] == "RESTORE FILELISTONLY FROM DISK = N'D:\\o''1.bak' WITH FILE = 2;"


@pytest.mark.parametrize("sid", [b"\7", None], ids=["a key with a login", "a key without sid"])
def test_retire_version_names_logins_and_credentials_of_the_key(sid):
    rows = finding_rows(
        "asymmetric_key_name",
        asymmetric_keys=[
            {"name": "tde_2025", "thumbprint": OLD_THUMBPRINT, "sid": sid},
            {"name": "tde_2027", "thumbprint": b"\2"},
        ],
        server_principals=[
            {"name": "tde_login", "principal_id": 270, "sid": b"\7", "type": "K"},
            {"name": "sa", "principal_id": 1, "sid": b"\1", "type": "S"},
        ],
        server_principal_credentials=[{"principal_id": 270, "credential_id": 9}],
        credentials=[{"credential_id": 9, "name": "tde_cred"}],
    )

    assert rows == [{"asymmetric_key_name": "tde_2025", "login_name": "tde_login", "credential_name": "tde_cred"}]


DATABASES = [("opened", 5, 0), ("opened before", 6, 0), ("pending", 7, 3)]


def test_sign_in_query_uses_known_columns():
    text = re.sub(r"//.*", "", LOG_SCRIPTS["signins.kql"])
    (table,) = re.findall(r"^\w+$", text, re.MULTILINE)
    own = set(re.findall(r"(?:let|extend)\s+(\w+) =|^\s+(\w+) = ", text, re.MULTILINE))
    own = {name for pair in own for name in pair if name}
    words = set(re.findall(r"\b[A-Z]\w+\b", re.sub(r'"[^"]*"', "", text)))

    assert table == "AADServicePrincipalSignInLogs"
    assert words - own - {table} <= set(SIGN_IN_COLUMNS.split())
    assert {"ServicePrincipalCredentialKeyId", "IPAddress", "AppId"} <= words


# Those of Microsoft's reference that the queries use. AzureDiagnostics has its other columns only if a resource wrote them.
AUDIT_COLUMNS = (
    "(_ResourceId:string, CallerIpAddress:string, ClientInfo:string, CorrelationId:string, HttpStatusCode:int, Identity:dynamic, "
    "OperationName:string, RequestUri:string, ResultDescription:string, ResultType:string, TimeGenerated:datetime)"
)
DIAGNOSTIC_COLUMNS = (
    "(CallerIPAddress:string, Category:string, OperationName:string, Resource:string, ResourceProvider:string, "
    "ResultDescription:string, TimeGenerated:datetime, clientInfo_s:string, httpStatusCode_d:real)"
)
RESOURCE_COLUMNS = "(id:string, name:string, type:string, properties:dynamic)"  # of Azure Resource Graph


def diagnoses(*queries: str) -> list[list[str]]:
    """What Microsoft's parser finds in each KQL query, with the columns of the tables that scripts, documents and tickets use."""
    of_sign_ins = ", ".join(f"{name}:{'datetime' if name == 'TimeGenerated' else 'string'}" for name in SIGN_IN_COLUMNS.split())
    tables = (
        f"AADServicePrincipalSignInLogs=({of_sign_ins})",
        f"AADManagedIdentitySignInLogs=({of_sign_ins})",
        f"AZKVAuditLogs={AUDIT_COLUMNS}",
        f"AzureDiagnostics={DIAGNOSTIC_COLUMNS}",
        f"authorizationresources={RESOURCE_COLUMNS}",
        f"resources={RESOURCE_COLUMNS}",
    )
    command = ["node", str(Path(__file__).with_name("diagnose_kql.cjs")), str(TOOLS / "node_modules"), *tables]
    done = subprocess.run(  # noqa: S603 - fixed commands
        command, input=json.dumps(queries), capture_output=True, text=True, check=False, timeout=PROGRAM_SECONDS
    )
    assert done.returncode == 0, done.stderr
    found: list[list[str]] = json.loads(done.stdout)
    return found


@pytest.mark.tools
def test_the_parser_finds_only_the_broken_queries():
    page = (SQL.parents[1] / "docs" / "placement.md").read_text(encoding="utf-8")
    queries = [*re.findall(r"```kusto\n(.*?)```", page, re.DOTALL), *re.findall(r"`(AzureDiagnostics [^`]*)`", page)]
    assert len(queries) == 2
    broken = ["AZKVAuditLogs | where A >>> 1", "AZKVAuditLogs | where Nothing == 1"]
    scripts = [text for _, text in sorted(LOG_SCRIPTS.items())]
    for vault in ("contoso.vault.azure.net", "contoso.managedhsm.azure.net"):
        scripts += [each["text"] for each in access_queries(vault, "Key-0") if each["language"] == GRAPH]
    found = diagnoses(*scripts, *queries, *broken)
    assert len(scripts) == 5
    assert found[:7] == [[]] * 7
    assert [len(one) > 0 for one in found[7:]] == [True, True]


@pytest.mark.tools
def test_the_parser_accepts_the_queries_of_tickets():
    callers = (BY_ADDRESS.format("203.0.113.7") + BY_REQUEST.format("0a1b"), EXPORTER_REQUESTS)
    hostile = '") or 1 == 1 //'
    queries = [
        *(query for _, query in request_queries(hostile, EXPORTER_REQUESTS)),
        *(each["text"] for each in access_queries(hostile, hostile) if each["language"] == GRAPH),
        *(log_query(name, vault=hostile, key=hostile) for name in LOG_SCRIPTS),
        *(SIGN_INS.format(table=f"AAD{each}SignInLogs", client_id="0") for each in ("ServicePrincipal", "ManagedIdentity")),
        *(query for caller in callers for _, query in request_queries("contoso", caller)),
        one_line(log_query("callers.kql", vault="contoso.vault.azure.net")),
    ]
    assert diagnoses(*queries) == [[]] * len(queries)
    assert not any("1 == 1" in query for query in queries)


def test_page_of_sql_servers_lists_the_rights_of_the_login():
    page = " ".join((SQL.parents[1] / "docs" / "sql-servers.md").read_text(encoding="utf-8").split())
    granted = set(re.findall(r"GRANT (VIEW [A-Z ]+) TO ", "\n".join(batches("login.sql"))))
    assert granted
    assert set(re.findall(r"`(VIEW [A-Z ]+)`", page)) == granted
