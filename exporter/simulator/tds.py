"""One connection of a TDS client, in clear or inside TLS: encryption, login, then statements until the client leaves.

The layouts are in MS-TDS. Packets and messages have a maximum length, so a client cannot make the simulator store more, and every offset
of a client is checked before it is used.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

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


class Transport:
    """Reads and writes messages; `start_tls` and `end_tls` change the layer below.

    Every method raises ProtocolError, and EOFError or OSError at the end of the connection.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._tls: ssl.SSLObject | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()

    async def receive(self, limit: int) -> tuple[int, bytes]:
        """Return type and body of the next message, of at most `limit` bytes."""
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
                return kind, bytes(body)

    async def receive_one(self, kind: PacketType, limit: int) -> bytes:
        """Return the body of the next message, which has to be of that type."""
        found, body = await self.receive(limit)
        if found != kind:
            raise ProtocolError(f"the next message is not {kind.name}")
        return body

    async def send(self, body: bytes, kind: PacketType = PacketType.RESPONSE) -> None:
        """Send a message in packets of at most `PACKET_BYTES`."""
        room = PACKET_BYTES - _HEADER.size
        packets = bytearray()
        for number, start in enumerate(range(0, len(body) or 1, room), start=1):
            piece = body[start : start + room]
            last = _LAST if start + room >= len(body) else 0
            packets += _HEADER.pack(kind, last, len(piece) + _HEADER.size, 0, number % 256, 0) + piece
        if self._tls is not None:
            for start in range(0, len(packets), _READ_BYTES):
                self._tls.write(packets[start : start + _READ_BYTES])
        self._writer.write(bytes(packets) if self._tls is None else self._outgoing.read())
        await self._writer.drain()

    async def start_tls(self, context: ssl.SSLContext, limit: int) -> None:
        """Do the handshake inside PRELOGIN packets."""
        tls, is_done = context.wrap_bio(self._incoming, self._outgoing, server_side=True), False
        while not is_done:
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.do_handshake()
                is_done = True
            if flight := self._outgoing.read():
                await self.send(flight, PacketType.PRELOGIN)
            if not is_done:
                self._incoming.write(await self.receive_one(PacketType.PRELOGIN, limit))
        self._tls = tls

    def end_tls(self) -> None:
        """Go on in clear: only the login was encrypted."""
        self._tls = None

    async def _take(self, count: int) -> bytes:
        """Return so many bytes of plain text."""
        if self._tls is None:
            return await self._reader.readexactly(count)
        taken = bytearray()
        while len(taken) < count:
            try:
                data = self._tls.read(count - len(taken))
                taken += data
            except ssl.SSLWantReadError:
                data = await self._reader.read(_READ_BYTES)
                self._incoming.write(data)
            if not data:
                raise EOFError("the client closed the connection")
        return bytes(taken)


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


# The values of the option ENCRYPTION: only the login is encrypted, the whole session, nothing, or it has to be.
_LOGIN_ONLY, _WHOLE_SESSION, _NOT_SUPPORTED, _REQUIRED = range(4)


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


def read_prelogin(body: bytes) -> tuple[int, bool]:
    """Parse PRELOGIN: the encryption that a SQL Server with a certificate, which forces none, replies; and whether a token comes.

    Raises ProtocolError.
    """
    options: dict[int, bytes] = {}
    position = 0
    while position < len(body) and body[position] != _END:
        token, offset, length = _OPTION.unpack(_slice(body, position, _OPTION.size))
        options[token] = _slice(body, offset, length)
        position += _OPTION.size
    wished = int.from_bytes(options.get(_ENCRYPTION, b"")[:1] or bytes([_NOT_SUPPORTED]))
    answers = {_REQUIRED: _WHOLE_SESSION, _WHOLE_SESSION: _WHOLE_SESSION, _LOGIN_ONLY: _LOGIN_ONLY}
    return answers.get(wished, _NOT_SUPPORTED), options.get(_TOKEN_REQUIRED, b"")[:1] == b"\x01"


def write_prelogin(encryption: int, *, token: bool) -> bytes:
    options: Mapping[int, bytes] = {
        _VERSION: _SERVER_VERSION,
        _ENCRYPTION: bytes([encryption]),
        _INSTANCE: b"\0",
        _THREAD: b"",
        _MARS: b"\0",
        **({_TOKEN_REQUIRED: b"\x01"} if token else {}),
    }
    offset = len(options) * _OPTION.size + 1
    head, data = b"", b""
    for option, value in options.items():
        head += _OPTION.pack(option, offset + len(data), len(value))
        data += value
    return head + bytes([_END]) + data


def read_login(body: bytes) -> Login:
    """Parse LOGIN7. Raises ProtocolError."""
    _slice(body, 0, _FIXED_BYTES)

    def data(at: int) -> bytes:
        """Return the text whose offset in bytes and length in characters are at `at`."""
        offset, length = struct.unpack_from("<HH", body, at)
        return _slice(body, offset, 2 * length)

    user, app, database = (data(at).decode("utf-16-le", "replace") for at in (_USER, _APP, _DATABASE))
    # the client changes each byte of the password: halves swapped, then XOR 0xA5
    password = bytes(((byte ^ 0xA5) << 4 | (byte ^ 0xA5) >> 4) & 0xFF for byte in data(_PASSWORD))
    return Login(
        version=struct.unpack_from("<I", body, 4)[0],
        user=user,
        password=password.decode("utf-16-le", "replace"),
        token=_token(body) if body[27] & _HAS_EXTENSION else None,
        app=app,
        database=database,
        integrated=bool(body[25] & _INTEGRATED),
    )


def _token(body: bytes) -> str | None:
    """Return the access token among the features, None if there is none."""
    (at,) = struct.unpack("<I", _slice(body, struct.unpack_from("<H", body, _EXTENSION)[0], 4))
    while _slice(body, at, 1)[0] != _END:
        feature, length = struct.unpack("<BI", _slice(body, at, 5))
        data = _slice(body, at + 5, length)
        if feature == _TOKEN_FEATURE:
            if length < 5 or data[0] >> 1 != _SECURITY_TOKEN:
                raise ProtocolError("only access tokens of the client are supported")
            return _slice(data, 5, struct.unpack_from("<I", data, 1)[0]).decode("utf-16-le", "replace")
        at += 5 + length
    return None


def _slice(body: bytes, offset: int, length: int) -> bytes:
    if offset + length > len(body):
        raise ProtocolError("the message is cut short, or an offset is outside of it")
    return body[offset : offset + length]


# The session.

_LOGIN_SECONDS = 30.0
_LOGIN_BYTES = 131_072  # an access token has a few thousand characters
_REQUEST_BYTES = 1_048_576
_OLDEST, _NEWEST = 0x72000000, 0x74000004
_OLD_CLIENT = SimulatedMessage(17836, "The simulator needs a client of TDS 7.2 or later.", level=20)
_FOLLOWING = {300: SimulatedMessage(297, "The user does not have permission to perform this action.")}
_USE = re.compile(r"\s*USE\s+\[?([^\]\s;]+)\]?\s*;?\s*", re.IGNORECASE)


class SqlSession:
    """Serves one connection to the instance `server`.

    `log_in` returns the refusal of a login, None if the client may enter; `run` the results of a batch, or its error.
    """

    def __init__(
        self,
        transport: Transport,
        server: str,
        log_in: Callable[[Login], Awaitable[SimulatedMessage | None]],
        run: Callable[[str], Awaitable[tuple[ResultSet, ...] | SimulatedMessage]],
        context: Callable[[], ssl.SSLContext],
    ) -> None:
        self._transport, self._server, self._context = transport, server, context
        self._log_in, self._run = log_in, run

    async def serve(self) -> None:
        """Serve until the client leaves. Raises ProtocolError, EOFError, OSError or TimeoutError."""
        async with asyncio.timeout(_LOGIN_SECONDS):
            entered = await self._enter()
        tasks: list[asyncio.Task[Any]] = []
        try:
            if entered:
                await self._serve_requests(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve_requests(self, tasks: list[asyncio.Task[Any]]) -> None:
        """Answer each request while the next message is awaited: an attention ends the work. The caller ends the tasks."""
        receiving: asyncio.Task[tuple[int, bytes]] = asyncio.create_task(self._transport.receive(_REQUEST_BYTES))
        tasks[:] = [receiving]
        while True:
            working = asyncio.create_task(self._answer(await receiving))
            receiving = asyncio.create_task(self._transport.receive(_REQUEST_BYTES))
            tasks[:] = [receiving, working]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not working.done() and receiving.result()[0] == PacketType.ATTENTION:
                working.cancel()
                continue
            await self._transport.send(await working)

    async def _enter(self) -> bool:
        encryption, token = read_prelogin(await self._transport.receive_one(PacketType.PRELOGIN, _LOGIN_BYTES))
        await self._transport.send(write_prelogin(encryption, token=token))
        if encryption != _NOT_SUPPORTED:
            await self._transport.start_tls(self._context(), _LOGIN_BYTES)
        body, name = await self._transport.receive_one(PacketType.LOGIN7, _LOGIN_BYTES), self._server
        if encryption == _LOGIN_ONLY:
            self._transport.end_tls()
        login = read_login(body)
        refusal = _OLD_CLIENT if login.version < _OLDEST else await self._log_in(login)
        if refusal is not None:
            response = sql_answers.message(refusal, name) + sql_answers.done(sql_answers.FAILED)
        else:
            version, database = min(login.version, _NEWEST), login.database or "master"
            response = sql_answers.login_acknowledged(version, database, name, token=login.token is not None)
        await self._transport.send(response)
        return refusal is None

    async def _answer(self, request: tuple[int, bytes]) -> bytes:
        kind, body = request
        if kind == PacketType.ATTENTION:
            return sql_answers.done(sql_answers.ATTENTION)
        if kind != PacketType.SQL_BATCH:
            raise ProtocolError(f"the message type {kind} is not supported")
        text = read_batch(body)
        answer = await self._run(text)
        if isinstance(answer, SimulatedMessage):
            messages = [answer, *([_FOLLOWING[answer.number]] if answer.number in _FOLLOWING else [])]
            tokens = b"".join(sql_answers.message(one, self._server) for one in messages)
            return tokens + sql_answers.done(sql_answers.FAILED if answer.level > 10 else 0)
        used = _USE.fullmatch(text)
        parts = [sql_answers.database_changed(used[1])] if used else []
        for number, result in enumerate(answer, start=1):
            more = sql_answers.MORE if number < len(answer) else 0
            parts += [sql_answers.rows(result), sql_answers.done(sql_answers.COUNTED | more, len(result.rows))]
        return b"".join(parts if answer else [*parts, sql_answers.done()])


def read_batch(body: bytes) -> str:
    """Return the text of a batch, after its headers (MS-TDS 2.2.6.7). Raises ProtocolError."""
    (length,) = struct.unpack("<I", _slice(body, 0, 4))
    if not 4 <= length <= len(body):
        raise ProtocolError("the headers are cut short")
    return body[length:].decode("utf-16-le", "replace")
