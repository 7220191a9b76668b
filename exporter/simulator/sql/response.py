"""Write the tokens of a response (MS-TDS 2.2.7): rows, messages, changes of the environment, ends."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

Value = str | int | float | bytes | None
COLLATION = bytes.fromhex("0904D00034")  # SQL_Latin1_General_CP1_CI_AS
SERVER_VERSION = struct.pack(">BBH", 16, 0, 4105)
_LONGEST = 4000  # characters of nvarchar(n); a longer text is nvarchar(max)
_ENV_LANGUAGE, _ENV_DATABASE, _ENV_PACKET_SIZE, _ENV_COLLATION = 2, 1, 4, 7
_NULLABLE = 1

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
    body = struct.pack("<IBB", one.number, one.state, one.level) + _us_text(one.text) + _text(server) + _text("")
    return _sized(0xAA if one.level > 10 else 0xAB, body + struct.pack("<I", one.line))


def login_acknowledged(version: int, database: str, server: str, *, token: bool) -> bytes:
    """Return the response to a successful login."""
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
    parts += [
        struct.pack("<IH", 0, _NULLABLE) + kind.info + _text(name) for name, kind in zip(result.columns, types, strict=True)
    ]
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
        data = value if isinstance(value, bytes) else str(value).encode("utf-16-le")
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


def _us_text(text: str) -> bytes:
    """Encode a text of at most 4,000 characters."""
    data = text[:_LONGEST].encode("utf-16-le")
    return struct.pack("<H", len(data) // 2) + data
