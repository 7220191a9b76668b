"""One connection of a TDS client, in clear or inside TLS: encryption, login, then statements until the client leaves.

The layouts are in MS-TDS. Packets and messages have a maximum length, so a client cannot make the simulator store more, and every offset
of a client is checked before it is used.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple, Protocol

from exporter.simulator import sql_answers
from exporter.simulator.sql_answers import ResultSet, SimulatedMessage

# A message is a series of packets. The first handshake of TLS travels inside packets of type PRELOGIN; afterwards the packets travel inside TLS
# (MS-TDS 2.2.6.5 and 3.3.5.1).

_HEADER = struct.Struct(">BBHHBB")  # type, status, length with the header, process, number, window
_LAST = 0x01
_READ_BYTES = 16384
_LARGEST_PACKET = 32767
PACKET_BYTES = 4096


class PacketType(IntEnum):
    """The packet types that clients and the server use."""

    SQL_BATCH = 1
    RESPONSE = 4
    ATTENTION = 6
    LOGIN7 = 16
    PRELOGIN = 18


class ProtocolError(Exception):
    """The client broke the protocol; the connection ends."""


class ConnectionEndedError(ProtocolError):
    """The client closed the connection."""


class TdsMessage(NamedTuple):
    """A whole message of the client."""

    type: int
    body: bytes


class Transport:
    """Reads and writes messages; `start_tls` and `end_tls` change the layer below."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._received = bytearray()  # plain text that no message took yet
        self._tls: ssl.SSLObject | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()

    async def receive(self, limit: int) -> TdsMessage:
        """Return the next message. Raises ProtocolError if it has more than `limit` bytes."""
        body = bytearray()
        first: int | None = None
        while True:
            kind, status, length, *_ = _HEADER.unpack(await self._take(_HEADER.size))
            if not _HEADER.size <= length <= _LARGEST_PACKET or len(body) + length > limit:
                raise ProtocolError("the packet or the message is too long")
            if first not in (None, kind):
                raise ProtocolError("a message has packets of two types")
            first = kind
            body += await self._take(length - _HEADER.size)
            if status & _LAST:
                return TdsMessage(kind, bytes(body))

    async def send(self, body: bytes, kind: PacketType = PacketType.RESPONSE) -> None:
        """Send a message in packets of at most `PACKET_BYTES`."""
        room = PACKET_BYTES - _HEADER.size
        pieces = [body[start : start + room] for start in range(0, len(body), room)] or [b""]
        packets = bytearray()
        for number, piece in enumerate(pieces, start=1):
            last = _LAST if number == len(pieces) else 0
            packets += _HEADER.pack(kind, last, len(piece) + _HEADER.size, 0, number % 256, 0) + piece
        await self._write(bytes(packets))

    async def start_tls(self, context: ssl.SSLContext, limit: int) -> None:
        """Do the handshake inside PRELOGIN packets. Raises ProtocolError."""
        tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                if flight := self._outgoing.read():
                    await self.send(flight, PacketType.PRELOGIN)
                message = await self.receive(limit)
                if message.type != PacketType.PRELOGIN:
                    raise ProtocolError("the handshake was interrupted") from None
                self._incoming.write(message.body)
            except ssl.SSLError as error:
                raise ProtocolError("the handshake failed") from error
            else:
                break
        if flight := self._outgoing.read():
            await self.send(flight, PacketType.PRELOGIN)
        self._incoming.write(bytes(self._received))  # a record that came with the last packet
        self._received.clear()
        self._tls = tls

    def end_tls(self) -> None:
        """Go on in clear: only the login was encrypted."""
        self._tls = None

    async def _take(self, count: int) -> bytes:
        while len(self._received) < count:
            self._received += await self._more()
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken

    async def _more(self) -> bytes:
        """Return at least one byte of plain text. Raises ConnectionEndedError."""
        while not (plain := self._decrypted()):
            chunk = await self._reader.read(_READ_BYTES)
            if not chunk:
                raise ConnectionEndedError
            if self._tls is None:
                return chunk
            self._incoming.write(chunk)
        return plain

    def _decrypted(self) -> bytes:
        if self._tls is None:
            return b""
        try:
            plain = self._tls.read(_READ_BYTES)
        except ssl.SSLWantReadError:
            return b""
        except ssl.SSLError as error:
            raise ProtocolError("a TLS record is damaged") from error
        if not plain:
            raise ConnectionEndedError
        return plain

    async def _write(self, data: bytes) -> None:
        if self._tls is not None:
            for start in range(0, len(data), _READ_BYTES):
                self._tls.write(data[start : start + _READ_BYTES])
            data = self._outgoing.read()
        self._writer.write(data)
        await self._writer.drain()


# The first two messages of a client, PRELOGIN and LOGIN7 (MS-TDS 2.2.6.5 and 2.2.6.4).

_OPTION = struct.Struct(">BHH")
_END = 0xFF
_VERSION, _ENCRYPTION, _INSTANCE, _THREAD, _MARS, _TOKEN_REQUIRED = 0, 1, 2, 3, 4, 6
_SERVER_VERSION = struct.pack(">BBHH", 16, 0, 4105, 0)

_FIXED_BYTES = 94
_USER, _PASSWORD, _APP, _DATABASE = 40, 44, 48, 68
_EXTENSION = 56  # the pair of an offset to the offset of the features
_INTEGRATED = 0x80  # in the second byte of options
_HAS_EXTENSION = 0x10  # in the third byte
_TOKEN_FEATURE, _SECURITY_TOKEN = 0x02, 0x01


class Encryption(IntEnum):
    """The values of the option ENCRYPTION."""

    LOGIN_ONLY = 0  # "off": the login alone is encrypted
    WHOLE_SESSION = 1
    NOT_SUPPORTED = 2
    REQUIRED = 3


_ANSWERS: Mapping[int, Encryption] = {
    Encryption.REQUIRED: Encryption.WHOLE_SESSION,
    **{one: one for one in (Encryption.WHOLE_SESSION, Encryption.LOGIN_ONLY)},
}


@dataclass(frozen=True, slots=True)
class Prelogin:
    """What the client wishes."""

    encryption: int
    token: bool

    @property
    def answer(self) -> Encryption:
        """What a SQL Server with a certificate, that forces no encryption, replies."""
        return _ANSWERS.get(self.encryption, Encryption.NOT_SUPPORTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """The content of LOGIN7. With an access token, user and password are empty."""

    version: int
    user: str = ""
    password: str = field(default="", repr=False)
    token: str | None = field(default=None, repr=False)
    app: str = ""  # that the client names itself
    database: str = ""
    integrated: bool = False  # Windows' own sign-in


def read_prelogin(body: bytes) -> Prelogin:
    """Parse PRELOGIN. Raises ProtocolError."""
    options: dict[int, bytes] = {}
    position = 0
    while position < len(body) and body[position] != _END:
        if position + _OPTION.size > len(body):
            raise ProtocolError("PRELOGIN is cut short")
        token, offset, length = _OPTION.unpack_from(body, position)
        options[token] = _slice(body, offset, length)
        position += _OPTION.size
    encryption = options.get(_ENCRYPTION, b"")[:1] or bytes([Encryption.NOT_SUPPORTED])
    return Prelogin(encryption[0], token=options.get(_TOKEN_REQUIRED, b"\0")[:1] == b"\x01")


def write_prelogin(client: Prelogin) -> bytes:
    options: Mapping[int, bytes] = {
        _VERSION: _SERVER_VERSION,
        _ENCRYPTION: bytes([client.answer]),
        _INSTANCE: b"\0",
        _THREAD: b"",
        _MARS: b"\0",
        **({_TOKEN_REQUIRED: b"\x01"} if client.token else {}),
    }
    offset = len(options) * _OPTION.size + 1
    head, data = b"", b""
    for token, value in options.items():
        head += _OPTION.pack(token, offset + len(data), len(value))
        data += value
    return head + bytes([_END]) + data


def read_login(body: bytes) -> Login:
    """Parse LOGIN7. Raises ProtocolError."""
    if len(body) < _FIXED_BYTES:
        raise ProtocolError("LOGIN7 is cut short")
    (version,) = struct.unpack_from("<I", body, 4)
    second, third = body[25], body[27]
    return Login(
        version=version,
        user=_login_text(body, _USER),
        password=_unscrambled(_bytes(body, _PASSWORD)),
        token=_token(body) if third & _HAS_EXTENSION else None,
        app=_login_text(body, _APP),
        database=_login_text(body, _DATABASE),
        integrated=bool(second & _INTEGRATED),
    )


def _bytes(body: bytes, at: int) -> bytes:
    """Return the text whose offset in bytes and length in characters are at `at`."""
    offset, length = struct.unpack_from("<HH", body, at)
    return _slice(body, offset, 2 * length)


def _login_text(body: bytes, at: int) -> str:
    return _bytes(body, at).decode("utf-16-le", "replace")


def _unscrambled(secret: bytes) -> str:
    """Undo the client's change of each byte: halves swapped, then XOR 0xA5."""
    plain = bytes(((byte ^ 0xA5) << 4 | (byte ^ 0xA5) >> 4) & 0xFF for byte in secret)
    return plain.decode("utf-16-le", "replace")


def _token(body: bytes) -> str | None:
    """Return the access token among the features, None if there is none."""
    (at,) = struct.unpack("<I", _slice(body, struct.unpack_from("<H", body, _EXTENSION)[0], 4))
    while _slice(body, at, 1)[0] != _END:
        feature, length = struct.unpack("<BI", _slice(body, at, 5))
        data = _slice(body, at + 5, length)
        if feature == _TOKEN_FEATURE:
            if length < 5 or data[0] >> 1 != _SECURITY_TOKEN:
                raise ProtocolError("only access tokens of the client are supported")
            (size,) = struct.unpack_from("<I", data, 1)
            return _slice(data, 5, size).decode("utf-16-le", "replace")
        at += 5 + length
    return None


def _slice(body: bytes, offset: int, length: int) -> bytes:
    if offset + length > len(body):
        raise ProtocolError("an offset is outside the message")
    return body[offset : offset + length]


# The session.

_LOGIN_SECONDS = 30.0
_LOGIN_BYTES = 131_072  # an access token has a few thousand characters
_REQUEST_BYTES = 1_048_576
_OLDEST, _NEWEST = 0x72000000, 0x74000004
_OLD_CLIENT = SimulatedMessage(17836, "The simulator needs a client of TDS 7.2 or later.", level=20)
_FOLLOWING = {300: SimulatedMessage(297, "The user does not have permission to perform this action.")}
_USE = re.compile(r"\s*USE\s+\[?([^\]\s;]+)\]?\s*;?\s*", re.IGNORECASE)


class SqlBackend(Protocol):
    """The instance behind a connection."""

    @property
    def server_name(self) -> str: ...

    async def log_in(self, login: Login) -> SimulatedMessage | None:
        """Return the refusal, None if the client may enter."""

    async def run(self, text: str) -> tuple[ResultSet, ...] | SimulatedMessage:
        """Return the results of a batch, or its error."""


class SqlSession:
    """Serves one connection."""

    def __init__(self, transport: Transport, backend: SqlBackend, context: Callable[[], ssl.SSLContext]) -> None:
        self._transport, self._backend, self._context = transport, backend, context

    async def serve(self) -> None:
        """Serve until the client leaves. Raises ProtocolError, OSError or TimeoutError."""
        async with asyncio.timeout(_LOGIN_SECONDS):
            entered = await self._enter()
        if not entered:
            return
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(self._transport.receive(_REQUEST_BYTES))]
        try:
            await self._serve_requests(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve_requests(self, tasks: list[asyncio.Task[Any]]) -> None:
        """Answer each request while the next message is awaited: an attention ends the work. The caller ends the tasks."""
        while True:
            request: TdsMessage = await tasks[0]
            working = asyncio.create_task(self._answer(request))
            receiving = asyncio.create_task(self._transport.receive(_REQUEST_BYTES))
            tasks[:] = [receiving, working]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not working.done() and receiving.result().type == PacketType.ATTENTION:
                working.cancel()
                continue
            await self._transport.send(await working)

    async def _enter(self) -> bool:
        first = await self._transport.receive(_LOGIN_BYTES)
        if first.type != PacketType.PRELOGIN:
            raise ProtocolError("the first message is not PRELOGIN")
        client = read_prelogin(first.body)
        await self._transport.send(write_prelogin(client))
        if client.answer is not Encryption.NOT_SUPPORTED:
            await self._transport.start_tls(self._context(), _LOGIN_BYTES)
        second = await self._transport.receive(_LOGIN_BYTES)
        if client.answer is Encryption.LOGIN_ONLY:
            self._transport.end_tls()
        if second.type != PacketType.LOGIN7:
            raise ProtocolError("the second message is not LOGIN7")
        return await self._log_in(read_login(second.body))

    async def _log_in(self, login: Login) -> bool:
        refusal = _OLD_CLIENT if login.version < _OLDEST else await self._backend.log_in(login)
        name = self._backend.server_name
        if refusal is not None:
            await self._transport.send(sql_answers.message(refusal, name) + sql_answers.done(sql_answers.FAILED))
            return False
        version, database = min(login.version, _NEWEST), login.database or "master"
        token = login.token is not None
        await self._transport.send(sql_answers.login_acknowledged(version, database, name, token=token))
        return True

    async def _answer(self, request: TdsMessage) -> bytes:
        match request.type:
            case PacketType.SQL_BATCH:
                return await self._batch(read_batch(request.body))
            case PacketType.ATTENTION:
                return sql_answers.done(sql_answers.ATTENTION)
        raise ProtocolError(f"the message type {request.type} is not supported")

    async def _batch(self, text: str) -> bytes:
        answer = await self._backend.run(text)
        if isinstance(answer, SimulatedMessage):
            messages = [answer, *([_FOLLOWING[answer.number]] if answer.number in _FOLLOWING else [])]
            tokens = b"".join(sql_answers.message(one, self._backend.server_name) for one in messages)
            return tokens + sql_answers.done(sql_answers.FAILED if answer.level > 10 else 0)
        used = _USE.fullmatch(text)
        parts = [sql_answers.database_changed(used[1])] if used else []
        for number, result in enumerate(answer, start=1):
            more = sql_answers.MORE if number < len(answer) else 0
            parts += [sql_answers.rows(result), sql_answers.done(sql_answers.COUNTED | more, len(result.rows))]
        return b"".join(parts) if answer else b"".join(parts) + sql_answers.done()


def read_batch(body: bytes) -> str:
    """Return the text of a batch, after its headers (MS-TDS 2.2.6.7). Raises ProtocolError."""
    if len(body) < 4:
        raise ProtocolError("the batch is cut short")
    (length,) = struct.unpack_from("<I", body)
    if not 4 <= length <= len(body):
        raise ProtocolError("the headers are cut short")
    return body[length:].decode("utf-16-le", "replace")
