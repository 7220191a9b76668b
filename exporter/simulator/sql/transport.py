"""TDS messages over one connection, in clear or inside TLS.

A message is a series of packets. The first handshake of TLS travels inside packets of type PRELOGIN; afterwards the packets travel inside TLS
(MS-TDS 2.2.6.5 and 3.3.5.1). Packets and messages have a maximum length, so a client cannot make the simulator store more.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from dataclasses import dataclass
from enum import IntEnum

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


@dataclass(frozen=True, slots=True)
class TdsMessage:
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
