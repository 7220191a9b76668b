"""Answer a batch: what it yields, or the error that SQL Server would send; and the tokens of TDS in which it travels.

It knows the batches of inventory.sql and proof.sql, and what clients send by themselves. Everything else is an error that names the statement.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from exporter.simulator.environment import (
    BACKUPS,
    DEFINITIONS,
    ERROR_LOG,
    ONLINE,
    PERFORMANCE,
    PROVIDER,
    SECURITY,
    STATES,
    EventSession,
    SimulatedSqlServer,
    SqlDatabase,
    SqlKey,
)
from exporter.simulator.sql_day import LOG, Backup, SqlDay
from exporter.sqlserver.instance import EKM_OPTION

# The tokens of a response (MS-TDS 2.2.7): rows, messages, changes of the environment, ends.

Value = str | int | float | bytes | None
COLLATION = bytes.fromhex("0904D00034")  # SQL_Latin1_General_CP1_CI_AS
SERVER_VERSION = struct.pack(">BBH", 16, 0, 4105)
_LONGEST = 4000  # characters of nvarchar(n); a longer text is nvarchar(max)
_LONGEST_BACKUP = 140  # characters after BACKUP DATABASE
_ENV_LANGUAGE, _ENV_DATABASE, _ENV_PACKET_SIZE, _ENV_COLLATION = 2, 1, 4, 7
MORE, FAILED, COUNTED, ATTENTION = 0x01, 0x02, 0x10, 0x20


@dataclass(frozen=True, slots=True)
class SimulatedMessage:
    """A message of SQL Server; from level 11 on it is an error."""

    number: int
    text: str
    level: int = 16
    state: int = 1
    line: int = 1


@dataclass(frozen=True, slots=True)
class ResultSet:
    """Columns and rows. The type of a column is that of its values; without values it is text."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...] = ()


def message(one: SimulatedMessage, server: str) -> bytes:
    """Return a token ERROR or INFO."""
    text = one.text[:_LONGEST].encode("utf-16-le")
    body = struct.pack("<IBBH", one.number, one.state, one.level, len(text) // 2) + text + _text(server) + _text("")
    return _sized(0xAA if one.level > 10 else 0xAB, body + struct.pack("<I", one.line))


def login_acknowledged(version: int, database: str, server: str, *, token: bool) -> bytes:
    named = _text("Microsoft SQL Server\0\0")
    parts = [
        _environment(_ENV_DATABASE, _text(database) + _text("master")),
        message(SimulatedMessage(5701, f"Changed database context to '{database}'.", level=0, state=2), server),
        _environment(_ENV_COLLATION, bytes([len(COLLATION)]) + COLLATION + b"\0"),
        _environment(_ENV_LANGUAGE, _text("us_english") + _text("")),
        message(SimulatedMessage(5703, "Changed language setting to us_english.", level=0), server),
        _sized(0xAD, b"\x01" + struct.pack(">I", version) + named + SERVER_VERSION),
        b"\xae\x02" + struct.pack("<I", 0) + b"\xff" if token else b"",
        _environment(_ENV_PACKET_SIZE, _text("4096") + _text("4096")),
        done(),
    ]
    return b"".join(parts)


def database_changed(database: str) -> bytes:
    """Return the token after USE."""
    return _environment(_ENV_DATABASE, _text(database) + _text("master"))


def done(flags: int = 0, count: int = 0) -> bytes:
    """Return the end of a statement."""
    return struct.pack("<BHHQ", 0xFD, flags, 0xC1 if flags & COUNTED else 0, count)


def rows(result: ResultSet) -> bytes:
    """Return the tokens of columns and rows, without the end."""
    types = [_Column([row[number] for row in result.rows]) for number in range(len(result.columns))]
    parts = [b"\x81" + struct.pack("<H", len(types))]
    parts += [struct.pack("<IH", 0, 1) + kind.info + _text(name) for name, kind in zip(result.columns, types, strict=True)]
    for row in result.rows:
        parts.append(b"\xd1")
        parts += [kind.encoded(value) for kind, value in zip(types, row, strict=True)]
    return b"".join(parts)


class _Column:
    """The type of a column, from its values."""

    def __init__(self, values: Sequence[Value]) -> None:
        present = [value for value in values if value is not None]
        self._long = any(isinstance(value, str | bytes) and len(value) > _LONGEST for value in present)
        if present and all(isinstance(value, int) for value in present):
            wide = any(isinstance(value, int) and not -(2**31) <= value < 2**31 for value in present)
            self._width = 8 if wide else 4
            self.info = bytes([0x26, self._width])
        elif present and all(isinstance(value, int | float) for value in present):
            self.info = b"\x6d\x08"
        elif present and all(isinstance(value, bytes) for value in present):
            self.info = b"\xa5" + (b"\xff\xff" if self._long else struct.pack("<H", 8000))
        else:
            self.info = b"\xe7" + (b"\xff\xff" if self._long else struct.pack("<H", 2 * _LONGEST)) + COLLATION

    def encoded(self, value: Value) -> bytes:
        match self.info[0]:
            case 0x26:
                return b"\0" if value is None else struct.pack("<Bi" if self._width == 4 else "<Bq", self._width, value)
            case 0x6D:
                return b"\0" if value is None else struct.pack("<Bd", 8, value)
        if value is None:
            return b"\xff" * (8 if self._long else 2)
        data = value if isinstance(value, bytes) else str(value).encode("utf-16-le", "surrogatepass")
        if self._long:
            return struct.pack("<QI", len(data), len(data)) + data + (b"\0\0\0\0" if data else b"")
        return struct.pack("<H", len(data)) + data


def _environment(kind: int, values: bytes) -> bytes:
    return _sized(0xE3, bytes([kind]) + values)


def _sized(token: int, body: bytes) -> bytes:
    return struct.pack("<BH", token, len(body)) + body


def _text(text: str) -> bytes:
    """Encode a text of at most 255 characters."""
    data = text[:255].encode("utf-16-le")
    return bytes([len(data) // 2]) + data


# The registry of the host: `xp_regenumkeys` and `xp_regread` on the connector's key, and their variants `xp_instance_...`.

ROOT = r"SOFTWARE\Microsoft\SQL Server Cryptographic Provider\Azure Key Vault"
_CALL = re.compile(
    r"EXEC(?:UTE)? (?:\[?master\]?\.)?(?:\[?(?:dbo|sys)\]?\.)?\[?(xp_(?:instance_)?reg(?:enumkeys|read))\]? (.*)", re.IGNORECASE
)
_ARGUMENT = re.compile(r"(?:@\w+ ?= ?)?N?'([^']*)'")
_MISSING = "{}() returned error 2, 'The system cannot find the file specified.'"
_DENIED = "The EXECUTE permission was denied on the object '{}', database 'mssqlsystemresource', schema 'sys'."


def registry_result(plain: str, server: SimulatedSqlServer) -> tuple[ResultSet, ...] | SimulatedMessage | None:
    """Return the result of a registry call, None for any other statement."""
    call = _CALL.fullmatch(plain)
    if call is None:
        return None
    procedure, arguments = call[1].lower(), _ARGUMENT.findall(call[2])
    if not server.registry_readable:
        return SimulatedMessage(229, _DENIED.format(procedure), level=14)
    _, path, name, *_ = [*arguments, "", "", ""]
    found = _tree(server).get(path.strip("\\").lower())
    if found is None:
        return SimulatedMessage(22001, _MISSING.format("RegOpenKeyEx"), level=1)
    subkeys, uri = found
    if procedure.endswith("enumkeys"):
        return (ResultSet(("SubKey",), tuple((one,) for one in subkeys)),)
    if uri is None or name.lower() != "keyuri":
        return SimulatedMessage(22001, _MISSING.format("RegQueryValueEx"), level=1)
    return (ResultSet(("Value", "Data"), ((name, uri),)),)


def _tree(server: SimulatedSqlServer) -> dict[str, tuple[list[str], str | None]]:
    """Return the subkeys and the URI of each path, in lower case."""
    vaults: dict[str, list[str]] = {}
    tree: dict[str, tuple[list[str], str | None]] = {}
    for key in server.keys:
        vault = f"https://{key.vault}"
        vaults.setdefault(vault, []).append(key.thumbprint)
        tree[f"{ROOT}\\{vault}\\{key.thumbprint}".lower()] = ([], key.uri)
    tree |= {f"{ROOT}\\{vault}".lower(): (marks, None) for vault, marks in vaults.items()}
    return tree | {ROOT.lower(): (list(vaults), None)}


# The rows of one instance under the column names of inventory.sql and proof.sql: one function for each section.

Rows = list[dict[str, Any]]
_DLL = r"C:\Program Files\SQL Server Connector for Microsoft Azure Key Vault\Microsoft.AzureKeyVaultService.EKM.dll"
_FRIENDLY_NAME = "SQL Server Connector for Microsoft Azure Key Vault"
_ASYMMETRIC = "ASYMMETRIC KEY"
_TRACE_FLAG = 15025
_ENCRYPTED_UTC = "2026-01-05T09:00:00"  # each database, long before the first backup that is shown
_AFTER = re.compile(r"s\.backup_set_id > (\d+)")  # from which number the history of backups is read on
_MINUTES = re.compile(r"DATEADD\(minute, -(\d+), GETUTCDATE\(\)\)")  # since when the error log is asked for, ...
_EARLIER = 7200.0  # ... and the seconds that the search begins before that
_ARCHIVE = re.compile(r"\bxp_readerrorlog [1-9]")
_NO_ARCHIVE = "xp_readerrorlog() returned error 2, 'The system cannot find the file specified.'"


@dataclass(slots=True)
class SqlView:
    """One instance at one moment, with the public keys of its keys by thumbprint.

    `primary_backups` has the time of the last log backup of each database that another server backs up.
    """

    server: SimulatedSqlServer
    day: SqlDay
    public_keys: Mapping[str, str]
    primary_backups: Mapping[str, float]
    now: float
    asked: str = ""  # the statement

    @property
    def definitions(self) -> bool:
        return DEFINITIONS in self.server.rights

    @property
    def keys(self) -> tuple[SqlKey, ...]:
        """The asymmetric keys that the login may see."""
        return self.server.keys if self.definitions else ()

    @property
    def open_databases(self) -> list[SqlDatabase]:
        return [one for one in self.server.databases if one.state == ONLINE]


def _utc(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _providers(view: SqlView) -> Rows:
    registered = "1.0.5.0" if view.server.file_version.startswith("15.") else view.server.file_version
    return [{"name": PROVIDER, "version": registered, "dll_path": _DLL, "is_enabled": int(view.server.provider_enabled)}]


def _credentials(view: SqlView) -> Rows:
    times = {"created_utc": _utc(view.server.altered - 86400), "modified_utc": _utc(view.server.altered)}
    seen = sorted(view.server.credentials.items()) if view.definitions else ()
    return [{"name": name, "identity": identity, "provider": PROVIDER, **times} for name, identity in seen]


def _opened(view: SqlView) -> Rows:
    opened = _utc(view.server.started)
    return [
        {"database": one.name, "opened_utc": opened, "set_utc": _ENCRYPTED_UTC, "encryption_state": 3, "percent_complete": 0}
        for one in sorted(view.open_databases, key=lambda one: one.name)
    ]


def _backups(view: SqlView) -> Rows:
    """The backups that this server made, of those that are searched. Some are of databases that another one backs up since."""
    searched = _AFTER.search(view.asked)
    after = int(searched[1]) if searched else 0
    found: dict[tuple[str, str], list[Backup]] = {}
    for backup in view.day.history:
        if backup.number > after:
            found.setdefault((backup.database, backup.kind), []).append(backup)
    is_open = {one.name for one in view.open_databases}
    return [_backup(view, *of, made) for of, made in sorted(found.items()) if of[0] in is_open]


def _backup(view: SqlView, database: str, kind: str, made: Sequence[Backup]) -> dict[str, Any]:
    """Return the last of the backups of a database of one type, and the gaps between them."""
    started, finished = view.day.databases[database].finished[kind]
    gaps = sorted((int(later.finished) - int(one.finished) for one, later in pairwise(made)), reverse=True)
    return {
        "database": database,
        "type": kind,
        "started_utc": _utc(started),
        "finished_utc": _utc(finished),
        "offset_minutes": 0,
        "gaps": len(gaps),
        "longest_seconds": gaps[0] if gaps else None,
        "second_seconds": gaps[1] if len(gaps) > 1 else None,
    }


def _logs(view: SqlView) -> Rows:
    """The logs of this server's databases; a secondary replica has the time of the last log backup alone."""
    settings = view.server.day
    rows: Rows = [{"database": name, "log_backup_utc": _utc(moment)} for name, moment in view.primary_backups.items()]
    for day in view.day.shown(view.server):
        total = day.total_kb(settings)
        rows.append(
            {
                "database": day.name,
                "vlf_sequence_number": day.sequence,
                "vlf_count": math.ceil(total / settings.vlf_kb),
                "vlf_mb": math.ceil(settings.vlf_kb / 1024),
                "total_kb": int(total),
                "used_kb": int(day.used_kb),
                "since_backup_kb": int(day.used_kb),
                "log_backup_utc": _utc(day.finished[LOG][1]) if LOG in day.finished else None,
                "limit_kb": settings.limit_kb or None if view.definitions else None,
                "volume": f"L:\\{day.name}\\" if view.definitions else None,  # each log has its own disk
                "disk_free_kb": int(day.disk_free_kb(settings)) if view.definitions else None,
                "reuse_wait": "LOG_BACKUP" if day.log_backup_failed else "NOTHING",
            }
        )
    return sorted(rows, key=lambda row: row["database"])


def _errors(view: SqlView) -> Rows:
    """The lines of the error log by code, and the row of the file: it begins with the start, and a healthy server writes into it all the time."""
    minutes = _MINUTES.search(view.asked)
    asked = view.now - 60.0 * int(minutes[1]) if minutes else view.now
    first, lines = max(view.server.started, asked - _EARLIER), view.day.log_lines(view.server, asked - _EARLIER)
    times: dict[tuple[str, str], list[float]] = {("read", ""): [first, *(line.at for line in lines), view.now]}
    for line in lines:
        times.setdefault((line.code, line.backup_of), []).append(line.at)
    return [
        {
            "code": code,
            "backup_of": f"{of}. Check the backup application log for detailed messages."[:_LONGEST_BACKUP] if of else None,
            "lines": len(found),
            "first_utc": _utc(found[0]),
            "last_utc": _utc(found[-1]),
            "since_utc": _utc(asked) if code == "read" else None,
        }
        for (code, of), found in sorted(times.items())
    ]


_LOG_FOLDER = r"C:\Program Files\Microsoft SQL Server\MSSQL16.MSSQLSERVER\MSSQL\Log"
_XEL = _LOG_FOLDER + r"\{}_0_13{:016}.xel"
_PER_FILE, _FILES = 400, 2  # calls of a file, and files of a session
_READ_FROM = re.compile(r"fn_xe_file_target_read_file\(N'((?:[^']|'')*)', NULL, (?:NULL|N'((?:[^']|'')*)'), (NULL|\d+)\)")
_NO_FILE = 'The file name "{}" is invalid. Verify that the file exists and that the SQL Server service account has access to it.'
_EVENT = (
    '<event name="sec_ekm_provider_called" package="sqlserver" timestamp="{at}.250Z"><data name="cred_prov_result"><type name="int32" '
    'package="package0"></type><value>{code}</value></data><data name="cred_prov_name"><type name="unicode_string" package="package0"></type>'
    '<value><![CDATA[{provider}]]></value></data><data name="cred_prov_api"><type name="unicode_string" package="package0"></type>'
    "<value><![CDATA[{function}]]></value></data></event>"
)


def _event_rows(view: SqlView) -> Rows:
    """Return the calls in the files that have not rolled away. Each is in a buffer of its own."""
    trace = view.server.trace
    if trace is None or trace.started is None:
        return []
    every = [call for call in view.day.calls if call.at >= trace.started]
    oldest = max(0, (len(every) - 1) // _PER_FILE + 1 - _FILES) * _PER_FILE
    return [
        {
            "event": _EVENT.format(at=_utc(call.at), code=call.code, provider=PROVIDER, function=call.function),
            "file": _XEL.format(trace.name, int(trace.started) * 1000 + number // _PER_FILE),
            "offset": 512 * (number % _PER_FILE + 1),
        }
        for number, call in enumerate(every)
        if number >= oldest
    ]


def _trace(view: SqlView) -> Rows:
    trace = view.server.trace
    if trace is None or trace.started is None:
        return []
    file = next((row["file"] for row in reversed(_event_rows(view))), _XEL.format(trace.name, int(trace.started) * 1000))
    flags = {"is_filtered": int(trace.is_filtered), "is_delayed": int(trace.is_delayed)}
    files = {"file": file, "error_log": rf"{_LOG_FOLDER}\ERRORLOG"}
    return [{"started_utc": _utc(trace.started), "dropped": trace.dropped, **flags, **files}]


def _calls(view: SqlView) -> Rows | SimulatedMessage:
    asked, found = _READ_FROM.search(view.asked), _event_rows(view)
    file, offset = (asked[2], asked[3]) if asked is not None else (None, "NULL")
    if file and not any(row["file"] == file for row in found):
        return SimulatedMessage(25718, _NO_FILE.format(file))
    rest = [row for row in found if not file or (row["file"], row["offset"]) > (file, int(offset))]
    return [{**row, "anew": int(not file)} for row in rest[:2000]]


_SESSION = re.compile(r"(CREATE|ALTER|DROP) EVENT SESSION \[?(\w+)\]? ON SERVER\b(.*)", re.IGNORECASE)


def event_session(text: str, server: SimulatedSqlServer, now: float) -> tuple[EventSession | None] | None:
    """Return the session after a statement of trace-ekm.sql, in a tuple; None for any other statement."""
    plain = " ".join(_without_comments(text).split()).rstrip("; ")
    named, known = _SESSION.fullmatch(plain), server.trace
    if named is None:
        return None
    verb, name, rest = named[1].upper(), named[2], named[3].upper()
    if verb == "CREATE" and "SEC_EKM_PROVIDER_CALLED" in rest and "PACKAGE0.EVENT_FILE" in rest:
        return (EventSession(name, " WHERE " in rest, re.search(r"MAX_DISPATCH_LATENCY = (?:0|INFINITE)\b", rest) is not None),)
    if known is None or known.name != name:
        return (known,)
    return (None if verb == "DROP" else known._replace(started=now if "START" in rest else None),)


SECTIONS: Mapping[str, Callable[[SqlView], Rows | SimulatedMessage]] = {
    "instance": lambda view: [
        {
            "server_name": view.server.name,
            "machine": view.server.machine,
            "instance_name": view.server.instance_name,
            "node": view.server.machine,
            "product_version": view.server.product_version,
            "edition": "Enterprise Edition (64-bit)",
            "platform": "windows",
            "may_view_definitions": int(view.definitions),
            "may_view_security_definitions": int(view.definitions),
            "may_view_databases": 1,
            "read_at_utc": _utc(view.now),
            "utc_offset_minutes": 0,
        }
    ],
    "providers": _providers,
    "modules": lambda view: [{"provider": PROVIDER, "file_version": view.server.file_version}],
    "credentials": _credentials,
    "keys": lambda view: [
        {
            "name": key.name,
            "thumbprint": key.thumbprint,
            "key_length": 8 * ((len(view.public_keys[key.thumbprint]) - 2) // 2 - 20),
            "public_key": view.public_keys[key.thumbprint],
            "provider": PROVIDER,
            "has_sid": 1,
            "login": f"{key.credential}-login",
            "credential": key.credential if view.server.login_has_credential else None,
        }
        for key in view.keys
    ],
    "logins": lambda _: [],  # those of keys without a SID
    "encryption": lambda view: [
        {"database": one.name, "encryption_state": 3, "encryptor_type": _ASYMMETRIC, "thumbprint": one.thumbprint}
        for one in view.open_databases
    ],  # the encryption keys of databases that opened
    "databases": lambda view: [
        {
            "name": one.name,
            "state": STATES[one.state],
            "is_encrypted": 1,
            "in_group": int(one.ag is not None),
            "ag": one.ag if view.definitions else None,
            "auto_close": 0,
        }
        for one in view.server.databases
    ],
    "replicas": lambda view: [
        {"ag": ag, "server_name": name, "mode": "SYNCHRONOUS_COMMIT"}
        for ag, names in view.server.groups
        if view.definitions
        for name in names
    ],
    "configurations": lambda view: [
        {"name": EKM_OPTION, "value": int(view.server.ekm_configured), "value_in_use": int(view.server.ekm_in_use)}
    ],
    "start": lambda view: [{"started_utc": _utc(view.server.started)}],
    "nodes": lambda _: [],  # of a failover cluster instance
    "service": lambda view: [{"started_utc": _utc(view.server.started)}],
    "opened": _opened,
    "history": lambda view: [{"newest_id": view.day.history[-1].number if view.day.history else None}],
    "backups": _backups,
    "logs": _logs,
    "flags": lambda view: [{"flag": _TRACE_FLAG, "is_on": int(view.server.day.trace_flag)}],
    "errors": _errors,
    "loaded": lambda view: [
        {"provider": PROVIDER, "provider_version": view.server.file_version, "friendly_name": _FRIENDLY_NAME}
    ],
    "trace": _trace,
    "calls": _calls,
}
"""The sections of inventory.sql and proof.sql."""

# The batch.

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
_SESSIONS = re.compile(r"SELECT s\.name AS session_name, .* FROM sys\.dm_xe_sessions AS s .*")  # the end of trace-ekm.sql
_WIDTH = 72  # characters between the bars of a line
_STATE_RIGHTS = {
    "dm_os_sys_info": PERFORMANCE,
    "dm_os_loaded_modules": PERFORMANCE,
    "dm_db_log_stats": PERFORMANCE,
    "dm_os_volume_stats": PERFORMANCE,
    "dm_database_encryption_keys": SECURITY,
    "dm_xe_sessions": PERFORMANCE,
    "fn_xe_file_target_read_file": PERFORMANCE,
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
        value = _CONSTANTS.get(constant[1].lower())
        return (ResultSet((constant[2] or "",), ((int(constant[1]) if value is None else value(view),),)),)
    if _SESSIONS.fullmatch(plain):
        return (_sessions(view),)
    registry = registry_result(plain, view.server)
    return _unknown(plain) if registry is None else registry


def _sessions(view: SqlView) -> ResultSet:
    """Return the session that runs, as the end of trace-ekm.sql asks for it. The local time of simulated servers is UTC."""
    columns = ("session_name", "target_name", "started_local_time", "dropped_events", "dropped_buffers")
    trace = view.server.trace
    if trace is None or trace.started is None:
        return ResultSet(columns)
    return ResultSet(columns, ((trace.name, "event_file", _utc(trace.started), trace.dropped, 0),))


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
    listed = _SELECT_LIST.search(plain)  # of the first SELECT
    columns = [one or two for one, two in _ALIAS.findall(listed[1])] if listed is not None else []
    if _ARCHIVE.search(plain):
        return SimulatedMessage(22004, _NO_ARCHIVE)
    view.asked = plain
    found = rows(view)
    if isinstance(found, SimulatedMessage):
        return found
    chosen = [{one: row[one] for one in columns if row.get(one) is not None} for row in found]
    lines = section_lines(name, None if name in view.server.without_rows else chosen)
    return (ResultSet((name,), tuple((line,) for line in lines)),)


def section_lines(name: str, rows: Sequence[Mapping[str, object]] | None) -> list[str]:
    """Return the lines of one section; None is one that is damaged."""
    content = {"section": name} if rows is None else {"section": name, "rows": rows}
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    encoded = text.encode("utf-16-le")
    padded = encoded + " ".encode("utf-16-le") * (_WIDTH - len(encoded) // 2 % _WIDTH)
    whole = padded + f"sha256:{hashlib.sha256(encoded).hexdigest().upper()}".encode("utf-16-le")
    # SQL Server counts units of UTF-16: a line may end within a pair.
    pieces = (whole[start : start + 2 * _WIDTH] for start in range(0, len(whole), 2 * _WIDTH))
    return [f"|{piece.decode('utf-16-le', 'surrogatepass')}|" for piece in pieces]


def _unknown(plain: str) -> SimulatedMessage:
    return SimulatedMessage(50000, f"The simulator answers the statements of the product only, not: {plain[:200]}")
