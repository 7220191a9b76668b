"""Answer a batch: what it yields, or the error that SQL Server would send.

It knows the batches of inventory.sql and proof.sql, and what clients send by themselves. Everything else is an error that names the statement.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence

from exporter.simulator.sql.registry import registry_result
from exporter.simulator.sql.response import ResultSet, SimulatedMessage, Value
from exporter.simulator.sql.rows import SECTIONS, SqlView
from exporter.simulator.sql_model import BACKUPS, ERROR_LOG, PERFORMANCE, SECURITY

Answer = tuple[ResultSet, ...] | SimulatedMessage

_SECTION = re.compile(r'\{"section":"(\w+)"')
_VIEW = re.compile(r"\b(?:sys|dbo)\.(\w+)")
_JSON = re.compile(r"\bFOR JSON\b", re.IGNORECASE)
_ALIAS = re.compile(r"\bAS (?:\[(\w+)\]|(\w+))(?= ?(?:,|$))", re.IGNORECASE)
_SELECT_LIST = re.compile(r"\bSELECT (.*?) ?(?:\bFROM\b|\bFOR JSON\b|$)", re.IGNORECASE)
_RESULTLESS = re.compile(r"(?:SET|USE|BEGIN TRAN)\b(?!.*\bSELECT\b)", re.IGNORECASE)  # FreeTDS begins with a transaction
_CONSTANT = re.compile(
    r"SELECT (\d{1,9}|@@VERSION|@@SERVERNAME|@@SPID|DB_NAME\(\)|SUSER_S?NAME\(\))(?: AS (\w+))?", re.IGNORECASE
)
_DAYS, _DAY = re.compile(r"DATEADD\(day, -(\d+), GETDATE\(\)\)"), 86400.0  # the first search of the backups
_WIDTH = 72  # characters between the bars of a line
_STATE_RIGHTS = {
    "dm_os_sys_info": PERFORMANCE,
    "dm_os_loaded_modules": PERFORMANCE,
    "dm_db_log_stats": PERFORMANCE,
    "dm_os_volume_stats": PERFORMANCE,
    "dm_database_encryption_keys": SECURITY,
}
_OBJECT_RIGHTS = {  # the right, and what message 229 shows
    "backupset": (BACKUPS, "SELECT", "database 'msdb', schema 'dbo'"),
    "xp_readerrorlog": (ERROR_LOG, "EXECUTE", "database 'mssqlsystemresource', schema 'sys'"),
}
_CONSTANTS: Mapping[str, Callable[[SqlView], Value]] = {
    "@@version": lambda view: f"Microsoft SQL Server 2022 - {view.server.product_version} (simulated) on Windows Server 2022",
    "@@servername": lambda view: view.server.name,
    "@@spid": lambda _: 51,
    "db_name()": lambda _: "master",
    "suser_name()": lambda _: "simulated",
    "suser_sname()": lambda _: "simulated",
}


def answer(text: str, view: SqlView) -> Answer:
    """Return the results of a batch, or its error."""
    plain = " ".join(_without_comments(text).split()).rstrip("; ")
    if not plain or _RESULTLESS.match(plain):
        return ()
    problem = _problem(plain, view)
    if problem is not None:
        return problem
    if section := _SECTION.search(plain):
        return _section(section[1], plain, view)
    if constant := _CONSTANT.fullmatch(plain):
        return (_constant(constant[1], constant[2] or "", view),)
    registry = registry_result(plain, view.server)
    return _unknown(plain) if registry is None else registry


def _without_comments(text: str) -> str:
    """Return the text without comments, in one pass: a client may send a long text of nothing but beginnings."""
    pieces, position = [], 0
    while (begin := text.find("/*", position)) >= 0:
        pieces.append(text[position:begin])
        end = text.find("*/", begin + 2)
        position = len(text) if end < 0 else end + 2
    pieces.append(text[position:])
    return "\n".join(line.partition("--")[0] for line in " ".join(pieces).splitlines())


def _problem(plain: str, view: SqlView) -> SimulatedMessage | None:
    """Return the error for a view that is missing or that the login may not read."""
    if view.server.product_version.startswith("12."):
        if _JSON.search(plain):
            return SimulatedMessage(102, "Incorrect syntax near 'JSON'.", level=15)
        if "is_distributed" in plain:
            return SimulatedMessage(207, "Invalid column name 'is_distributed'.")
    for name in _VIEW.findall(plain):
        if name in view.server.missing:
            return SimulatedMessage(208, f"Invalid object name 'sys.{name}'.")
        right = _STATE_RIGHTS.get(name)
        if right is not None and right not in view.server.rights:
            shown = right if view.server.product_version >= "16" else "VIEW SERVER STATE"
            return SimulatedMessage(300, f"{shown} permission was denied on object 'server', database 'master'.", level=14)
        right, action, place = _OBJECT_RIGHTS.get(name, (None, "", ""))
        if right is not None and right not in view.server.rights:
            return SimulatedMessage(229, f"The {action} permission was denied on the object '{name}', {place}.", level=14)
    return None


def _section(name: str, plain: str, view: SqlView) -> Answer:
    """Return a section as both scripts print it: JSON in lines, with a checksum."""
    rows = SECTIONS.get(name)
    if rows is None:
        return _unknown(plain)
    columns, since = _columns(plain), view.text(view.now - _DAY * int(days[1])) if (days := _DAYS.search(plain)) else ""
    shown = (row for row in rows(view) if name != "backups" or str(row["finished_utc"]) >= since)
    chosen = [{one: row[one] for one in columns if row.get(one) is not None} for row in shown]
    lines = section_lines(name, None if name in view.server.without_rows else chosen)
    return (ResultSet((name,), tuple((line,) for line in lines)),)


def section_lines(name: str, rows: Sequence[Mapping[str, object]] | None) -> list[str]:
    """Return the lines of one section; None is one that is damaged."""
    content = {"section": name} if rows is None else {"section": name, "rows": rows}
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    checksum = hashlib.sha256(text.encode("utf-16-le")).hexdigest().upper()
    whole = text + " " * (_WIDTH - len(text) % _WIDTH) + f"sha256:{checksum}"
    return [f"|{whole[start : start + _WIDTH]}|" for start in range(0, len(whole), _WIDTH)]


def _columns(plain: str) -> tuple[str, ...]:
    """Return the columns of the first SELECT, in its order."""
    listed = _SELECT_LIST.search(plain)
    return tuple(one or two for one, two in _ALIAS.findall(listed[1])) if listed is not None else ()


def _constant(constant: str, column: str, view: SqlView) -> ResultSet:
    value = _CONSTANTS.get(constant.lower())
    return ResultSet((column,), ((int(constant) if value is None else value(view),),))


def _unknown(plain: str) -> SimulatedMessage:
    return SimulatedMessage(50000, f"The simulator answers the statements of the product only, not: {plain[:200]}")
