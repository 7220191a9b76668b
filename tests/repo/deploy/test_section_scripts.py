"""inventory.sql and proof.sql: parsed, read-only, within the columns and rights of SQL Server, and with lines that survive."""

import re

import pytest
from sqlglot import exp
from sqlglot.optimizer.qualify import qualify

from exporter.sqlserver import script
from tests.repo.deploy.pretend import batches, schema
from tests.repo.deploy.section_scripts import INVENTORY, NAMES, PROOF, filled, parsed, query_of, section_of
from tests.repo.deploy.system_views import ANYBODY, BACKUPS, ERROR_LOG, MSDB, VIEWS
from tests.support.sql_inventory import WIDTH

EACH_BATCH = pytest.mark.parametrize("batch", INVENTORY + PROOF, ids=section_of)
LOGIN = "".join(batches("login.sql"))


def rights(script_batches):
    tables = {table.name for batch in script_batches for table in query_of(batch).find_all(exp.Table)}
    return {(VIEWS | MSDB)[name][0] for name in tables} - {ANYBODY}


@pytest.mark.parametrize("batches_of_script", NAMES, ids=["inventory", "proof"])
def test_script_has_its_sections_in_order(batches_of_script):
    assert tuple(section_of(batch) for batch in batches_of_script) == NAMES[batches_of_script]


@pytest.mark.parametrize(("sent", "printed"), [(script.INVENTORY, INVENTORY), (script.PROOF, PROOF)])
def test_package_sends_the_batches_of_the_script(sent, printed):
    assert script.batches(sent) == tuple((section_of(batch), batch.strip()) for batch in printed)


@EACH_BATCH
def test_batch_only_reads(batch):
    assert {type(one) for one in parsed(batch)} == {exp.Declare, exp.Select}
    assert not [one for one in parsed(batch) if one.find(exp.Into, exp.Insert, exp.Update, exp.Delete)]
    declared = re.findall(r"^DECLARE (@\w+) TABLE", batch, re.MULTILINE)
    assert [variable for variable, _ in filled(batch)] == declared * len(filled(batch) or declared)
    statements = re.sub("(?m)^--.*$", "", batch)
    assert len(re.findall("INSERT|EXEC", statements)) == 2 * len(filled(batch))


def test_table_variables_are_filled_by_statements_that_read():
    assert [statement for batch in INVENTORY + PROOF for _, statement in filled(batch)] == [
        "EXEC (N'DBCC TRACESTATUS (15025, -1) WITH NO_INFOMSGS;');",
        "EXEC master.sys.xp_readerrorlog 0, 1, NULL, NULL, @since, @until, N'desc';",
    ]


@EACH_BATCH
def test_batch_uses_columns_of_sql_server(batch):
    if query_of(batch).find(exp.Table):
        qualify(query_of(batch), schema=schema(), dialect="tsql", validate_qualify_columns=True)


@EACH_BATCH
def test_batch_prints_no_bare_bit(batch):
    bits = {column for _, _, those in VIEWS.values() for column in those.split()}
    assert not [one for one in query_of(batch).selects if isinstance(one.unalias(), exp.Column) and one.unalias().name in bits]


@EACH_BATCH
def test_batch_lines_fit_sqlcmd(batch):
    assert set(re.findall(r"\b(\d+) \* l\.n", batch)) == {str(WIDTH)}
    assert f"nvarchar({WIDTH})" in batch
    assert "WHERE @json IS NOT NULL AND" in batch  # a refused query prints no line
    assert f"AS {section_of(batch)}\n" in batch  # the name of the column
    assert "$(" not in batch  # a variable of sqlcmd


def test_line_is_shorter_than_the_window_of_sqlcmd():
    assert WIDTH + 2 < 80
    assert len("sha256:") + 64 <= WIDTH


@pytest.mark.parametrize("batch", PROOF, ids=section_of)
def test_batch_names_its_right_and_source(batch):
    (comment,) = re.findall(r"(?:^--.*\n)+", batch, re.MULTILINE)
    text = comment.replace("\n-- ", " ")
    assert re.search(r"Rights?: .+\. Sources?: .+\.\n", text)
    for right in rights([batch]):
        assert right.replace("ON dbo.", "on msdb.dbo.") in text


def test_login_gets_the_rights_of_both_scripts_only():
    parts = dict(re.findall(r"^-- (\d)\. (.*?)(?=^-- \d\. |^-- The rights)", LOGIN, re.MULTILINE | re.DOTALL))
    granted = {number: re.findall(r"GRANT (.+?) TO \{login\}", text) for number, text in parts.items()}
    needed = rights(INVENTORY + PROOF)

    assert {*granted["1"], *granted["2"]} - {"VIEW SERVER STATE"} == needed - {ERROR_LOG, BACKUPS}
    assert granted["3"] == [BACKUPS]
    assert granted["4"] == ["EXECUTE ON sys.xp_readerrorlog", ERROR_LOG]
    assert granted["5"] == ["EXECUTE ON sys.xp_regenumkeys", "EXECUTE ON sys.xp_regread"]
    assert rights(INVENTORY) <= {*granted["1"], *granted["2"]}
    for number, switch in (("4", "error_log"), ("5", "registry")):
        assert f"DECLARE @{switch} bit = 0;" in LOGIN
        assert len(re.findall(rf"WHEN @{switch} = [01]", parts[number])) == parts[number].count("CASE")


def test_login_script_may_run_again():
    assert "CASE WHEN SUSER_ID(@login) IS NULL THEN REPLACE(N'CREATE LOGIN {login} '" in LOGIN
    assert LOGIN.count("CREATE LOGIN") == 1
    assert (
        len(re.findall(r"WHEN @user IS NULL\b.* THEN REPLACE\(N'CREATE USER \{login\} FOR", LOGIN))
        == LOGIN.count("CREATE USER")
        == 2
    )


def test_login_that_is_a_user_under_another_name_gets_the_rights_as_that_user():
    """Message 15063 would end the script."""
    asked = re.findall(r"SET @user = .* FROM (\w+)\.sys\.database_principals AS p WHERE p\.sid = SUSER_SID\(@login\)\);", LOGIN)
    assert asked == ["msdb", "master"]
    assert LOGIN.count("N'dbo'") == 3  # which no right can be granted to
    granted = re.findall(r"ELSE N'GRANT (\w+) ON .*\nEND, N'\{login\}', QUOTENAME\(@user\)\);", LOGIN)
    assert granted == ["SELECT", "EXECUTE", "EXECUTE"]
