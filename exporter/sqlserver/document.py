"""What inventory.sql, proof.sql and inventory.ps1 print: the sections of one instance, and KeyUri of each thumbprint.

A section that was damaged on its way, has a value that SQL Server does not allow, or that a missing right leaves empty, is an error of that
section, never a shorter list.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from exporter.core import grouped, json
from exporter.core.durations import known_time, second
from exporter.core.values import parse_key
from exporter.knowledge.codes import BY_CODE

# `reg query ROOT /s /v KeyUri` and `reg export`, from the registry of a SQL Server's host.
_PATH = re.compile(r"\[?HKEY_LOCAL_MACHINE\\(?:[^\\]+\\)+([^\\\]]+)\]?\s*", re.IGNORECASE)
_VALUE = re.compile(r'\s*"?KeyUri"?\s*(?:REG_SZ\s+|=\s*")([^\s"]+)"?\s*', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RegistryUri:
    """The URI that the connector stored for a thumbprint."""

    thumbprint: str
    uri: str


@dataclass(frozen=True, slots=True, order=True)
class KeyVersion:
    """A key version in a vault; `vault` is the full host name in lower case. Key Vault ignores the case of the others."""

    vault: str
    name: str
    version: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeyVersion) and self._folded == other._folded

    def __hash__(self) -> int:
        return hash(self._folded)

    @property
    def _folded(self) -> tuple[str, str, str]:
        return self.vault, self.name.lower(), self.version.lower()

    @property
    def uri(self) -> str:
        return f"https://{self.vault}/keys/{self.name}/{self.version}"


def key_version(uri: str) -> KeyVersion | None:
    """Return the key version of a KeyUri, None if it is not `https://VAULT/keys/NAME/VERSION`."""
    try:
        key = parse_key(uri.strip().removesuffix("/"))
    except ValueError:
        return None
    if key.vault is None or key.version is None:
        return None
    return KeyVersion(key.vault, key.name, key.version)


def thumbprint_of(text: str) -> str:
    """Return a thumbprint as SQL Server writes it: `0x` and capital hex digits."""
    return "0x" + text.strip().upper().removeprefix("0X")


def registry_uris(lines: Iterable[str]) -> tuple[RegistryUri, ...]:
    """Return the entries in the output of `reg query` or a file of `reg export`."""
    name, found = None, dict[RegistryUri, None]()
    for line in lines:
        if path := _PATH.fullmatch(line):
            name = path[1]
        elif name is not None and (value := _VALUE.fullmatch(line)):
            found[RegistryUri(name, value[1])] = None
    return tuple(found)


# What SQL Server allows in the fields of a section.

Row = Mapping[str, str | int]

MOST_ROWS = 5_000  # of a section without databases
_MOST_ROWS = dict.fromkeys(
    ("databases", "encryption", "opened", "backups", "logs", "errors", "registry"), 40_000
)  # an instance has at most 32,767 databases
LONGEST = 8000  # characters of any value: as hex digits, varbinary(4000)
MESSAGE = 2048  # characters of a message of SQL Server
# Kinds of fields: whether a value fits, and what it is if not. Rates, ages and proofs follow from numbers and times.
_Kind = tuple[Callable[[str | int], bool], str]
_TEXT: _Kind = (lambda value: isinstance(value, str), "no text")
_NUMBER: _Kind = (lambda value: type(value) is int and 0 <= value < 2**63, "no number that SQL Server has")  # bigint
_OFFSET: _Kind = (lambda value: type(value) is int and abs(value) <= 24 * 60, "no offset of a time zone")  # minutes
_TIME: _Kind = (
    lambda value: isinstance(value, str) and len(value) == len("2026-11-24T12:00:00") and known_time(value) is not None,
    "no time",
)
_ANY: _Kind = (lambda _value: True, "")
_NAMES = frozenset(
    {"name", "machine", "instance_name", "node", "provider", "credential", "login", "database", "ag", "server_name"}
)
_SYSNAME = 128
# Each field with its kind and its most characters: most texts become values of labels. In `changes`, a value is text, elsewhere a number.
_FIELDS: Mapping[str, tuple[_Kind, int]] = {
    name: (kind, most)
    for kind, most, names in (
        (_TEXT, _SYSNAME, "name machine instance_name node provider credential login database ag thumbprint"),
        (_TEXT, 256, "server_name provider_version"),  # the replicas of an availability group have 256
        (_TEXT, 1, "type"),
        (_TEXT, 64, "function"),
        (_TEXT, 260, "file error_log"),
        (_TEXT, 20, "code what"),
        (_TEXT, 60, "reuse_wait"),
        (_TEXT, 140, "backup_of"),
        (_TEXT, 512, "volume last_volume"),
        (_TEXT, 2048, "friendly_name uri"),
        (_TEXT, LONGEST, "identity state version dll_path file_version encryptor_type public_key mode product_version platform"),
        (_ANY, 64, "value"),
        (
            _NUMBER,
            LONGEST,
            "percent_complete vlf_sequence_number vlf_count vlf_mb total_kb used_kb since_backup_kb limit_kb disk_free_kb",
        ),
        (
            _NUMBER,
            LONGEST,
            "flag is_on lines auto_close gaps longest_seconds second_seconds newest_id first encryption_state key_length",
        ),
        (_NUMBER, LONGEST, "has_sid in_group is_enabled is_encrypted value_in_use"),
        (_NUMBER, LONGEST, "may_view_databases may_view_definitions may_view_security_definitions"),
        (_NUMBER, LONGEST, "calls offset dropped is_filtered is_delayed anew is_behind"),
        (_OFFSET, LONGEST, "utc_offset_minutes offset_minutes"),
        (
            _TIME,
            LONGEST,
            "opened_utc set_utc started_utc finished_utc first_utc last_utc log_backup_utc since_utc until_utc",
        ),
        (_TIME, LONGEST, "known_utc created_utc modified_utc lost_utc"),
    )
    for name in names.split()
}
_TIMES = frozenset(name for name, (kind, _) in _FIELDS.items() if kind is _TIME)
_AHEAD = 300.0  # seconds after the reading from which on a time is impossible
# Columns without which a row says nothing.
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "service": ("started_utc",),
    "errors": ("code", "lines"),
    "log": ("since_utc", "until_utc"),
    "changes": ("what", "since_utc", "first"),
    "trace": ("started_utc", "dropped", "is_filtered", "is_delayed", "file"),
}
_COMPUTERS = frozenset({"server_name", "machine", "instance_name", "node"})
# A database may have any name of 128 characters, blanks included: it becomes part of comments only. Some changes have no name.
_DATABASES = frozenset(
    {
        ("databases", "name"),
        ("changes", "name"),
        *((section, "database") for section in ("encryption", "opened", "backups", "logs")),
    }
)
_ACTION = "find out who or what changed this reading"
NO_ROWS = f"the section has no list of whole rows: {_ACTION}"
NO_LINES = "what the error log shows was not read"
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")


def section_problem(section: str, rows: Sequence[Row]) -> str | None:
    """Return why no SQL Server has these rows, None if one may have them."""
    if len(rows) > (most := _MOST_ROWS.get(section, MOST_ROWS)):
        return f"the section has {len(rows)} rows, more than {most}: {_ACTION}"
    times = ("first_utc", "last_utc") if section == "errors" else ()  # of what was logged
    needed = _REQUIRED.get(section, ())
    lacking = (field for row in rows for field in (*needed, *(times if row.get("lines") else ())) if field not in row)
    if (missing := next(lacking, None)) is not None:
        return f"a row lacks the field {missing}: {_ACTION}"
    found = (_problem(section, str(field), value) for row in rows for field, value in row.items())
    return next((problem for problem in found if problem is not None), None)


def _problem(section: str, field: str, value: str | int) -> str | None:
    text = str(value)
    (fits, otherwise), most = _FIELDS.get(field, (_ANY, LONGEST))
    if not field.isidentifier() or len(field) > _SYSNAME:
        return f"a field has a name that no section has: {_ACTION}"
    if len(text) > most:
        return f"the field {field} has {len(text)} characters, more than the {most} that SQL Server allows: {_ACTION}"
    if not fits(value):
        return f"the field {field} is {otherwise}: {_ACTION}"
    if field in _NAMES and (section, field) not in _DATABASES:
        if not text.strip():
            return f"the field {field} is blank, which no name in SQL Server is: {_ACTION}"
        if field in _COMPUTERS and _CONTROL.search(text):
            return f"the field {field} has a control character or a line break, which no name of a computer has: {_ACTION}"
    return None


# Sections that a missing right leaves empty without an error: they count as unread, never as gone.

Sections = Mapping[str, Sequence[Row]]
_NO_DEFINITIONS = "the login may not see it: grant VIEW ANY DEFINITION (login.sql)"
_NO_DATABASES = "the login may not see every database: grant VIEW ANY DATABASE (login.sql)"


def unseen(sections: Sections) -> dict[str, str]:
    """Return a message for each section that may have fewer rows than the server."""
    own = own_row(sections)
    no_databases, no_definitions = own.get("may_view_databases") == 0, own.get("may_view_definitions") == 0
    # SQL Server 2022: VIEW ANY SECURITY DEFINITION is enough.
    no_keys = no_definitions and own.get("may_view_security_definitions") != 1
    # Without a database in a group, no group matters. Older readings do not have the column.
    has_group = any(row.get("in_group", 1) == 1 and not row.get("ag") for row in sections.get("databases", ()))
    of_databases = ("encryption", "databases", *(name for name in ("opened", "backups", "logs") if name in sections))
    return (
        dict.fromkeys(of_databases if no_databases else (), _NO_DATABASES)
        | dict.fromkeys(("credentials", "keys", "logins") if no_keys else (), _NO_DEFINITIONS)
        | dict.fromkeys(("replicas",) if no_definitions and has_group else (), _NO_DEFINITIONS)
    )


# The codes of the section `errors`: what the error log shows, by code.

OTHER = "other"
BACKUP_MESSAGES = ("18204", "3041")  # a backup device failed; a backup failed
OPEN_MESSAGES = ("33027", "33111")  # the DLL was not loaded; a key is missing: neither has a code of the provider
_CHOICES: tuple[tuple[str, Callable[[list[str]], str]], ...] = (("first_utc", min), ("last_utc", max))
KNOWN_CODES = frozenset({*map(str, BY_CODE), *BACKUP_MESSAGES, *OPEN_MESSAGES})


def known_codes(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Return one row for each number, known or not, and backup; what has no number is one row, `other`, which exists whenever the log was read."""
    return _by_code(({"code": OTHER}, *rows), lambda _rows, lines: sum(lines))


def joined_codes(one: Iterable[Row], other: Iterable[Row]) -> tuple[Row, ...]:
    """Return the rows of two readings as one. Lines that both may have are counted once."""

    def lines_of_both(rows: list[Row], lines: list[int]) -> int:
        spans = sorted((str(row.get("first_utc", "")), str(row.get("last_utc", ""))) for row in rows)
        return sum(lines) if spans[0][1] < spans[-1][0] else max(lines)

    return _by_code((*one, *other), lines_of_both)


def _by_code(rows: Iterable[Row], joined: Callable[[list[Row], list[int]], int]) -> tuple[Row, ...]:
    codes = [(code if (code := str(row.get("code"))).isascii() and code.isdecimal() else OTHER, row) for row in rows]
    groups = grouped(((code, str(row.get("backup_of", ""))), row) for code, row in codes)
    return tuple(
        dict[str, str | int](code=code, lines=joined(group, [int(row.get("lines", 0)) for row in group]))
        | {
            column: choose(times)
            for column, choose in _CHOICES
            if (times := [str(row[column]) for row in group if column in row])
        }
        | ({"backup_of": backup} if backup else {})
        for (code, backup), group in groups.items()
    )


SECRET_END = "secret_end"  # noqa: S105 - in the section `changes`: when a secret ends or ended
# In the order in which the script prints them.
SECTIONS = (
    "instance", "providers", "modules", "credentials", "keys", "logins", "encryption", "databases", "replicas", "configurations", "start", "nodes",
)  # fmt: skip
# What `run` reads too, by proof.sql. An inventory lacks them.
PROOF_SECTIONS = ("service", "opened", "history", "backups", "logs", "flags", "errors", "log", "loaded", "trace", "calls")
CHANGES = "changes"  # since when each value is known: `run` adds it
FORMAT = 1
_KNOWN_SECTIONS = frozenset((*SECTIONS, *PROOF_SECTIONS, CHANGES))

_JSON = re.compile(r"\s*(?:\{|\[\s*[{\]])")  # a file of reg export has a path after its bracket
_CHECKSUM = re.compile(r"sha256:([0-9A-Fa-f]{64}) *")
_BEGIN = re.compile(r'\{"section":"\w+","rows":\[')
_SECTION_NAME = re.compile(r'"section":"(\w+)"')
# `Msg 300, Level 14, State 1, Server N1, Line 2`, in the language of the client.
_MESSAGE = re.compile(r"\w+ (\d+), \w+ \d+, \w+ \d+, .*")
_SECOND_MESSAGE = "297"  # follows message 300, which names the missing right
_MOST_OF_SECTION, _MOST_OF_FILE = 2_000_000, 8_000_000  # values
_LONGEST_LINE = 8192  # characters of a line of a section, with the blanks of sqlcmd
LOST = "lines or characters were lost on the way"
DAMAGED = f"{LOST}: run sqlcmd with -u and without -y and -Y, or use inventory.ps1"
_NO_OUTPUT = "no output of inventory.sql: its first lines show the command"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The sections of one instance; without an instance only key URIs, or a failure.

    `errors` has a message for each section that could not be read. `kept` has the time of the earlier reading for each section that
    was not read again; `errors` has the message why. `refused_login` is the number of a refusal that another try may turn into a lock;
    JSON lacks it.
    """

    address: str | None = None
    failure: str | None = None
    sections: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    key_uris: tuple[RegistryUri, ...] = ()
    kept: Mapping[str, str] = field(default_factory=dict)
    refused_login: int = 0


def read_documents(text: str) -> tuple[Document, ...]:
    """Read the content of one file: JSON of inventory.ps1, or the output of sqlcmd or reg.

    An unusable text is one document with a failure.
    """
    if _JSON.match(text):
        try:
            content = json.parse(text, _MOST_OF_FILE)
        except ValueError:
            return (Document(failure="not JSON, or too much of it: the file is incomplete or was edited"),)
        entries = content if isinstance(content, list) else [content]
        return tuple(document_from(entry) for entry in entries) or (Document(failure=_NO_OUTPUT),)
    lines = _Lines()
    for line in text.split("\n"):
        lines.take(line.rstrip("\r"))
    return lines.documents()


def document_from(content: Any) -> Document:
    if not isinstance(content, dict) or content.get("inventory") != FORMAT:
        return Document(failure=f'not an inventory of format {FORMAT}: it lacks "inventory": {FORMAT}')
    errors = {str(row.get("section")): _text(row.get("message")) or "unknown error" for row in _rows(content.get("errors"))}
    listed = content.get("sections")
    found = {
        str(entry["section"]): _whole_rows(entry.get("rows"))
        for entry in (listed if isinstance(listed, list) else ())
        if isinstance(entry, dict) and str(entry.get("section")) in _KNOWN_SECTIONS
    }
    errors |= {name: NO_ROWS for name, rows in found.items() if rows is None}
    sections = {name: rows for name, rows in found.items() if rows is not None}
    uris = tuple(RegistryUri(str(row.get("thumbprint")), str(row.get("uri"))) for row in _rows(content.get("key_uris")))
    kept = {str(row.get("section")): str(row.get("read_at")) for row in _rows(content.get("kept"))}
    address, failure = _text(content.get("address")), _text(content.get("failure"))
    return completed(Document(address=address, failure=failure, sections=sections, errors=errors, key_uris=uris, kept=kept))


def read_section(lines: Iterable[str]) -> tuple[Row, ...] | None:
    """Return the rows of one section from the lines of its result; None if it is damaged."""
    text, _, checksum = "".join(line[1:-1] for line in lines).rpartition("sha256:")
    return _checked_rows(text.rstrip(" "), checksum.strip())


def as_json(document: Document) -> dict[str, Any]:
    """Return the document as JSON values, which `document_from` reads. A tuple has flat rows: there may be thousands."""
    return {
        "inventory": FORMAT,
        "address": document.address,
        "failure": document.failure,
        "sections": [{"section": name, "rows": rows} for name, rows in document.sections.items()],
        "errors": [{"section": name, "message": message} for name, message in document.errors.items()],
        "key_uris": tuple(map(asdict, document.key_uris)),
        "kept": [{"section": name, "read_at": time} for name, time in document.kept.items()],
    }


def completed(document: Document) -> Document:
    """Add an error for each section that is missing, impossible or unseen by the login, and a failure without an instance."""
    document = _checked(document)
    if document.failure is not None or (not document.sections and not document.errors and document.key_uris):
        return document
    missing = {name: "missing in the output" for name in SECTIONS if name not in document.sections}
    errors = missing | unseen(document.sections) | dict(document.errors)
    no_instance = errors.get("instance", "the section instance is empty") if document.sections or document.errors else _NO_OUTPUT
    return replace(document, failure=None if document.sections.get("instance") else no_instance, errors=errors)


def _checked(document: Document, ahead: Mapping[str, str] | None = None) -> Document:
    """Turn each section that no SQL Server can have sent into an error of that section, and so those that are `ahead`."""
    problems = {name: section_problem(name, rows) for name, rows in document.sections.items()}
    unfit = problems["registry"] = section_problem("registry", [asdict(uri) for uri in document.key_uris])
    damaged = {name: problem for name, problem in {**problems, **(ahead or {})}.items() if problem is not None}
    if "log" in document.sections and ("errors" in damaged or "errors" not in document.sections):
        damaged["log"] = NO_LINES
    errors = {name: message[:MESSAGE] for name, message in document.errors.items()} | damaged
    return replace(
        document,
        failure=document.failure or (None if document.sections else unfit),
        sections={
            name: known_codes(rows) if name == "errors" else rows
            for name, rows in document.sections.items()
            if name not in damaged
        },
        kept={name: time for name, time in document.kept.items() if name not in damaged and name in problems},
        errors=errors,
        key_uris=() if unfit is not None else document.key_uris,
    )


def without_future(document: Document) -> Document:
    """Turn each section with a time after that of the reading into an error of that section. A secret may end later."""
    now = server_time(document.sections)
    if now is None:
        return document
    latest = utc(now + _AHEAD)
    ahead = {
        name: f"the field {field} is a time after the reading: {_ACTION}"
        for name, rows in document.sections.items()
        for row in rows
        for field, value in row.items()
        if field in _TIMES and str(value) > latest and row.get("what") != SECRET_END
    }
    return _checked(document, ahead) if ahead else document


def server_time(sections: Sections) -> float | None:
    """Return when the sections were read, as a Unix time of the server's clock; None if unknown."""
    return cell_time(own_row(sections), "read_at_utc")


def cell_time(row: Row, column: str) -> float | None:
    """Return a cell with a time as a Unix time, None if it is none."""
    return known_time(str(row.get(column)))


def own_row(sections: Sections) -> Row:
    """Return what a server says of itself; empty if that was not read."""
    return next(iter(sections.get("instance", ())), {})


def utc(unix: float) -> str:
    """Return a Unix time as the times of rows are."""
    return second(unix).removesuffix("Z")


def _rows(value: Any) -> tuple[Row, ...]:
    """The usable rows of a list; a value that is no text and no whole number is left out."""
    rows = value if isinstance(value, list | tuple) else ()
    return tuple(
        {str(name): cell for name, cell in row.items() if isinstance(cell, str | int)} for row in rows if isinstance(row, dict)
    )


def _whole_rows(rows: Any) -> tuple[Row, ...] | None:
    """The rows of a section, None unless each of them is whole: no rows are not fewer rows."""
    is_whole = isinstance(rows, list | tuple) and all(
        isinstance(row, dict) and all(cell is None or type(cell) in (str, int) for cell in row.values()) for row in rows
    )
    return _rows(rows) if is_whole else None


def _checked_rows(text: str, checksum: str) -> tuple[Row, ...] | None:
    """The rows of a section's text; None if it is not the text that was printed."""
    encoded = text.encode("utf-16-le", "surrogatepass")
    if hashlib.sha256(encoded).hexdigest() != checksum.lower():
        return None
    whole = encoded.decode("utf-16-le", "replace")  # the end of a line may have split a pair: now it is one character
    begun = _BEGIN.match(whole)
    try:
        return None if begun is None else _whole_rows(json.parse_objects(whole, begun.end(), "]}", _MOST_OF_SECTION))
    except ValueError:
        return None


def _text(value: Any) -> str | None:
    return value[:MESSAGE] if isinstance(value, str) and value else None


class _Lines:
    """Collects sections, messages and registry entries from lines of text."""

    def __init__(self) -> None:
        self._done: list[Document] = []
        self._others: list[str] = []
        self._start()

    def _start(self) -> None:
        self._sections: dict[str, tuple[Row, ...]] = {}
        self._errors: dict[str, str] = {}
        self._failure: str | None = None
        self._chunks: list[str] = []
        self._open: str | None = None  # the beginning of a wrapped line
        self._number: str | None = None  # of a message whose text is the next line

    def take(self, line: str) -> None:
        if self._open is not None or line.startswith("|"):
            whole = (self._open or "") + line
            closed = whole.rstrip(" ")
            self._open = None if len(closed) > 1 and closed.endswith("|") else whole
            if self._open is None:
                self._chunk(closed[1:-1])
            elif len(whole) > _LONGEST_LINE:
                self._open = None
                self._error(DAMAGED)
        elif self._number is not None and line.strip():
            if self._number != _SECOND_MESSAGE or not self._errors:
                self._error(f"message {self._number}: {line.strip()}")
            self._number = None
        elif matched := _MESSAGE.fullmatch(line.strip()):
            self._number = matched[1]
            self._chunks = []  # of a section that failed halfway
        elif line.strip().startswith("Sqlcmd: "):
            self._failure = self._failure or line.strip()
        else:
            self._others.append(line)

    def documents(self) -> tuple[Document, ...]:
        if self._chunks or self._open is not None:
            self._error(DAMAGED)
        self._flush()
        uris = registry_uris(self._others)
        if len(self._done) == 1:
            return (completed(replace(self._done[0], key_uris=uris)),)
        return (*self._done, *((completed(Document(key_uris=uris)),) if uris else ())) or (Document(failure=_NO_OUTPUT),)

    def _chunk(self, chunk: str) -> None:
        checksum = _CHECKSUM.fullmatch(chunk)
        if checksum is None:
            self._chunks.append(chunk)
            return
        text = "".join(self._chunks).rstrip(" ")
        self._chunks = []
        named = _SECTION_NAME.search(text)
        name = named[1] if named is not None and named[1] in _KNOWN_SECTIONS else self._next()
        if name == "instance" and (self._sections or self._errors):
            self._flush()
        rows = _checked_rows(text, checksum[1])
        if rows is None:
            self._errors[name] = DAMAGED
            return
        self._errors.pop(name, None)
        self._sections[name] = rows

    def _next(self) -> str:
        """The section that the script prints next."""
        seen = [number for number, name in enumerate(SECTIONS) if name in self._sections or name in self._errors]
        return SECTIONS[min(max(seen, default=-1) + 1, len(SECTIONS) - 1)]

    def _error(self, message: str) -> None:
        self._errors.setdefault(self._next(), message)

    def _flush(self) -> None:
        if self._sections or self._errors or self._failure is not None:
            self._done.append(completed(Document(failure=self._failure, sections=self._sections, errors=self._errors)))
        self._start()


def utc_text(time: str) -> str:
    """Return a time of inventory.sql, which is in UTC without its Z, for readers."""
    return f"{time}Z" if len(time) == len("2026-11-26T20:00:00") and known_time(time) is not None else time
