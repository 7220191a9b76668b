"""Find the text of a batch or of a remote procedure call, and its parameters (MS-TDS 2.2.6.6 and 2.2.6.7)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from exporter.simulator.sql.transport import ProtocolError

PREPARE, EXECUTE, PREPARE_AND_EXECUTE, UNPREPARE, EXECUTE_SQL = 11, 12, 13, 15, 10
_NAMES = {
    "sp_executesql": EXECUTE_SQL,
    "sp_prepare": PREPARE,
    "sp_execute": EXECUTE,
    "sp_prepexec": PREPARE_AND_EXECUTE,
    "sp_unprepare": UNPREPARE,
}
_STATEMENT = {EXECUTE_SQL: 0, PREPARE: 2, PREPARE_AND_EXECUTE: 2}  # the parameter with the statement
Parameter = str | int | bytes | None


@dataclass(frozen=True, slots=True)
class Call:
    """A remote procedure call: of a known procedure by number, of any other by name."""

    procedure: int
    name: str
    parameters: tuple[Parameter, ...]

    @property
    def statement(self) -> str | None:
        """The statement that the call brings."""
        if self.procedure == 0:
            return f"EXEC {self.name} {', '.join(map(_literal, self.parameters))}"
        position = _STATEMENT.get(self.procedure, -1)
        found = self.parameters[position] if 0 <= position < len(self.parameters) else None
        return found if isinstance(found, str) else None

    @property
    def handle(self) -> int | None:
        """The number of a prepared statement."""
        first = self.parameters[0] if self.parameters else None
        return first if isinstance(first, int) else None


def _literal(value: Parameter) -> str:
    """Return a parameter as T-SQL."""
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    return f"N'{value}'" if isinstance(value, str) else "NULL" if value is None else str(value)


def read_batch(body: bytes) -> str:
    """Return the text of a batch. Raises ProtocolError."""
    return body[_headers(body) :].decode("utf-16-le", "replace")


def read_call(body: bytes) -> Call:
    """Parse a remote procedure call. Raises ProtocolError."""
    reader = _ParameterReader(body, _headers(body))
    length = reader.number("<H")
    if length == 0xFFFF:
        procedure, name = reader.number("<H"), ""
    else:
        name = reader.take(2 * length).decode("utf-16-le", "replace")
        procedure = _NAMES.get(name.lower().removeprefix("sys."), 0)
    reader.number("<H")  # options
    parameters: list[Parameter] = []
    while not reader.is_at_end:
        reader.take(2 * reader.number("<B") + 1)  # name and status
        parameters.append(reader.parameter())
    return Call(procedure, name, tuple(parameters))


def read_transaction(body: bytes) -> int:
    """Return the kind of a request of the transaction manager. Raises ProtocolError."""
    return _ParameterReader(body, _headers(body)).number("<H")


def _headers(body: bytes) -> int:
    """Return the length of the headers before every request."""
    if len(body) < 4:
        raise ProtocolError("the request is cut short")
    (length,) = struct.unpack_from("<I", body)
    if not 4 <= length <= len(body):
        raise ProtocolError("the headers are cut short")
    return int(length)


class _ParameterReader:
    """Reads the parameters of a call. Raises ProtocolError."""

    def __init__(self, body: bytes, position: int) -> None:
        self._body, self._position = body, position

    @property
    def is_at_end(self) -> bool:
        return self._position >= len(self._body)

    def take(self, length: int) -> bytes:
        taken = self._body[self._position : self._position + length]
        if len(taken) < length:
            raise ProtocolError("the call is cut short")
        self._position += length
        return taken

    def number(self, form: str) -> int:
        return int(struct.unpack(form, self.take(struct.calcsize(form)))[0])

    def parameter(self) -> Parameter:
        kind = self.number("<B")
        match kind:
            case 0x26 | 0x68:  # int and bit, of several widths
                self.take(1)
                data = self.take(self.number("<B"))
                return int.from_bytes(data, "little", signed=True) if data else None
            case 0x30 | 0x32 | 0x34 | 0x38 | 0x7F:  # int and bit of one width
                return int.from_bytes(self.take({0x30: 1, 0x32: 1, 0x34: 2, 0x38: 4, 0x7F: 8}[kind]), "little", signed=True)
            case 0xE7 | 0xEF:
                return _decoded(self._sized(collated=True), "utf-16-le")
            case 0xA7 | 0xAF:
                return _decoded(self._sized(collated=True), "latin-1")
            case 0xA5 | 0xAD:
                return self._sized(collated=False)
            case 0x63:  # ntext
                self.take(4 + 5)
                length = self.number("<i")
                return None if length < 0 else self.take(length).decode("utf-16-le", "replace")
        raise ProtocolError(f"a parameter has the unknown type {kind:#x}")

    def _sized(self, *, collated: bool) -> bytes | None:
        longest = self.number("<H")
        self.take(5 if collated else 0)
        if longest != 0xFFFF:
            length = self.number("<H")
            return None if length == 0xFFFF else self.take(length)
        if self.number("<Q") == 0xFFFFFFFFFFFFFFFF:
            return None
        data = b""
        while chunk := self.number("<I"):
            data += self.take(chunk)
        return data


def _decoded(data: bytes | None, encoding: str) -> str | None:
    return None if data is None else data.decode(encoding, "replace")
