"""A substitute of SQL Server in SQLite: system views are tables, and T-SQL is translated.

The queries of the scripts run against given rows. Only a real SQL Server shows whether it accepts them.
"""

import math
import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlglot
from sqlglot import exp

from exporter.sqlserver import script
from tests.repo.deploy.system_views import MSDB, VIEWS

SQL = Path(__file__).parents[3] / "deploy" / "sql"
PACKAGE = Path(script.__file__).parent
SCRIPTS = PACKAGE / "scripts"
UTC_NOW = datetime(2026, 11, 24, 12, 0, 0)  # noqa: DTZ001 - SQL Server's datetime has no zone
OFFSET = timedelta(hours=2)  # the server stands in Kyiv
CALLER = 259  # the principal who runs a script
OLD_THUMBPRINT = bytes.fromhex("0123456789ABCDEF0123456789ABCDEF01234567")  # session values of retire-version.sql
PROPERTIES = {
    "ServerName": "N1\\SQLPRD01",
    "MachineName": "N1",
    "InstanceName": "SQLPRD01",
    "ComputerNamePhysicalNetBIOS": "N1",
    "ProductVersion": "16.0.4105.2",
    "ErrorLogFileName": "C:\\Log\\ERRORLOG",
    "Edition": "Enterprise Edition (64-bit)",
}
GLOBALS = {"VERSION": "Microsoft SQL Server 2022 (RTM-CU15) on Windows Server 2022", "SERVERNAME": "N1\\SQLPRD01"}
PROVIDER = {"provider_id": 65536, "name": "AzureKV", "guid": "g", "version": "1.0.5.0", "is_enabled": 1}
EKM_KEY = {"provider_type": "CRYPTOGRAPHIC PROVIDER", "cryptographic_provider_guid": "g"}
PROVIDER_CREDENTIAL = {"target_type": "CRYPTOGRAPHIC PROVIDER", "target_id": 65536, "credential_identity": "contoso-prod"}

# What sqlcmd, or a query window, would obey within a name.
OBEYED = ("x\r\n:!! calc\r\nGO", "x\n!! calc", "x\u2028:r evil.sql", "x\x85GO", "x\x01", "$(EKM_SECRET)", "x$(PATH)")
REFUSAL = "RAISERROR(N'A name has a control character or a variable of sqlcmd: write this statement by hand.', 16, 1);"


def credential(name: str, created: str, altered: str, **more: object) -> dict[str, object]:
    return {"name": name, "create_date": created, "modify_date": altered, **PROVIDER_CREDENTIAL, **more}


def batches(name: str, folder: Path = SCRIPTS) -> list[str]:
    """Return the batches of a script as sqlcmd sends them."""
    return [one for one in re.split(r"(?mi)^GO\s*$", (folder / name).read_text()) if one.strip()]


def schema() -> dict[str, dict[str, dict[str, str]]]:
    return {
        "sys": {view: dict.fromkeys(columns.split(), "UNKNOWN") for view, (_, columns, _) in VIEWS.items()},
        "dbo": {table: dict.fromkeys(columns.split(), "UNKNOWN") for table, (_, columns) in MSDB.items()},
    }


def without_database(statement: exp.Expression) -> exp.Expression:
    for table in statement.find_all(exp.Table):
        table.set("catalog", None)
    return statement


def without_apply(statement: exp.Expression) -> exp.Expression:
    """Replace each CROSS APPLY of a function by a join with its rows: its arguments have the names of columns."""
    for join in list(statement.find_all(exp.Join)):
        if isinstance(join.this, exp.Lateral):
            call, alias = join.this.this.expression, join.this.alias
            conditions = [exp.EQ(this=exp.column(one.name, alias), expression=one.copy()) for one in call.expressions]
            join.replace(exp.Join(this=exp.table_(call.name, "sys", alias=alias), on=exp.and_(*conditions)))
    for table in statement.find_all(exp.Table):  # a function of constants
        if isinstance(table.this, exp.Func):
            table.set("this", exp.to_identifier(str(table.this.this)))
    return statement


def rows_of(query: str | exp.Expression, **rows: Iterable[dict[str, object]]) -> list[dict[str, object]]:
    with closing(PretendServer(**rows)) as server:
        return server.query(query)


def quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{one}"' for one in names)


class PretendServer:
    """An instance with `rows` by view; a missing column is NULL. The caller closes it."""

    def __init__(self, **rows: Iterable[dict[str, object]]) -> None:
        self._base = sqlite3.connect(":memory:")
        self._base.execute("ATTACH ':memory:' AS sys")
        for name, function in FUNCTIONS.items():
            self._base.create_function(name, -1, function)
        for view, (_, columns, _) in VIEWS.items():
            self._base.execute(f"CREATE TABLE sys.{view} ({quoted(columns.split())})")
        self._base.execute("ATTACH ':memory:' AS dbo")
        for table, (_, columns) in MSDB.items():
            self._base.execute(f"CREATE TABLE dbo.{table} ({quoted(columns.split())})")
        for view, those in rows.items():
            for row in those:
                marks = ", ".join("?" * len(row))
                table = f"{'dbo' if view in MSDB else 'sys'}.{view}"
                self._base.execute(f"INSERT INTO {table} ({quoted(row)}) VALUES ({marks})", list(row.values()))  # noqa: S608 - no outside text

    def close(self) -> None:
        self._base.close()

    def query(self, statement: str | exp.Expression) -> list[dict[str, object]]:
        """Return the rows of the only SELECT in `statement`."""
        select = statement.copy() if isinstance(statement, exp.Expression) else sqlglot.parse_one(statement, dialect="tsql")
        without_apply(select)
        for node in reversed(list(select.walk())):  # from the leaves to the root
            if (other := translated(node)) is not node:
                node.replace(other)
        answer = self._base.execute(select.sql("sqlite", comments=False))
        return [dict(zip((column[0] for column in answer.description), row, strict=True)) for row in answer]


def translated(node: exp.Expression) -> exp.Expression:
    match node:
        case exp.National():
            return exp.Literal.string(node.name)
        case exp.Add():  # of numbers or of texts
            return called("plus", node.this, node.expression)
        case exp.Collate() | exp.TimeStrToTime():
            return node.this
        case exp.CurrentTimestamp():
            return exp.Anonymous(this="getdate")
        case exp.DateDiff():
            return called("datediff", unit(node), node.expression, node.this)
        case exp.DateAdd():
            return called("dateadd", unit(node), node.expression, node.this)
        case exp.Convert():
            return converted(node)
        case exp.Table() | exp.Select():
            node.set("catalog", None)
            node.set("for_", None)  # the rows, without FOR JSON
            node.set("into", None)  # or a temporary table
        case exp.Parameter() if not isinstance(node.parent, exp.Parameter):  # @@VERSION
            return exp.Literal.string(GLOBALS[node.this.name])
    return node


def converted(node: exp.Convert) -> exp.Expression:
    style = node.args.get("style")
    if style is not None and style.name == "126":
        return called("iso8601", node.expression)
    is_text = node.this.sql("tsql").lower().startswith("varchar")
    return called("hexadecimal", node.expression) if is_text else node.expression


def unit(node: exp.Expression) -> exp.Expression:
    return exp.Literal.string(node.args["unit"].name.lower())


def called(name: str, *arguments: exp.Expression) -> exp.Expression:
    return exp.Anonymous(this=name, expressions=list(arguments))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _datediff(unit: str, start: str | None, end: str | None) -> int | None:
    """Return the difference as T-SQL does: the number of crossed boundaries."""
    if start is None or end is None:
        return None
    return int((_moment(end) - _moment(start)) / timedelta(**{f"{unit}s": 1}))


def _dateadd(unit: str, count: int, start: str | None) -> str | None:
    return None if start is None else str(_moment(start) + timedelta(**{f"{unit}s": count}))


_SIGNS = re.compile(r"%|_|\[[^]]+\]|.", re.DOTALL)  # of a pattern


def _expression(pattern: str) -> str:
    """Return the regular expression of a pattern of LIKE."""
    known = {"%": ".*", "_": "."}
    return "".join(known.get(sign) or (sign if len(sign) > 1 else re.escape(sign)) for sign in _SIGNS.findall(pattern))


def _patindex(pattern: str, text: str | None) -> int | None:
    """Return the place of the first match of a pattern between two percent signs."""
    assert pattern[0] == pattern[-1] == "%"
    if text is None:
        return None
    found = re.search(_expression(pattern[1:-1]), text, re.DOTALL)
    return 0 if found is None else found.start() + 1


def _like(pattern: str | None, text: str | None) -> bool | None:
    return None if pattern is None or text is None else bool(re.fullmatch(_expression(pattern), text, re.DOTALL | re.IGNORECASE))


def _add(one: Any, other: Any) -> Any:
    return None if one is None or other is None else one + other


FUNCTIONS = {
    "like": _like,
    "plus": _add,
    "patindex": _patindex,
    "getdate": lambda: str(UTC_NOW + OFFSET),
    "getutcdate": lambda: str(UTC_NOW),
    "datediff": _datediff,
    "dateadd": _dateadd,
    "hexadecimal": lambda value: None if value is None else f"0x{value.hex().upper()}",
    "iso8601": lambda value: value and value.replace(" ", "T")[:19],
    "has_perms_by_name": lambda *_: 1,
    "is_srvrolemember": lambda *_: 0,
    "suser_id": lambda: CALLER,
    "serverproperty": PROPERTIES.get,
    "ceil": lambda value: value if value is None else math.ceil(value),
    "quotename": lambda name: "[" + name.replace("]", "]]") + "]",
    "nchar": chr,
    "charindex": lambda part, text: text.find(part) + 1,
    "session_context": lambda _: OLD_THUMBPRINT,
}
