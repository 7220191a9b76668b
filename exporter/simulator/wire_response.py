"""Putting an answer on the wire, well or badly.

For: bytes on one connection. The bad ways write to the connection's transport and end it; HTTP libraries would not.
Not for: which answer it is, or what happens before the first request (see `tls_frontend`).
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from aiohttp import web

from exporter.simulator.response import Delivery, SimulatedResponse

_PAUSE = 0.2  # seconds between the drops of a trickle


async def deliver(request: web.BaseRequest, answer: SimulatedResponse) -> web.StreamResponse:
    """Sends the answer; what it returns is for the HTTP server, and goes nowhere where the connection has ended."""
    if answer.delay:
        await asyncio.sleep(answer.delay)
    transport = request.transport
    badly = _BADLY.get(answer.delivery)
    if badly is not None and transport is not None:
        await badly(transport, answer)
    if answer.delivery is Delivery.INFORMATIONAL and transport is not None:
        transport.write(b"HTTP/1.1 103 Early Hints\r\nLink: </>; rel=preload\r\n\r\n")
    return web.Response(status=answer.status, headers=answer.headers, body=answer.body)


async def _closed(transport: asyncio.Transport, _answer: SimulatedResponse) -> None:
    transport.close()


async def _reset(transport: asyncio.Transport, _answer: SimulatedResponse) -> None:
    abort(transport)


async def _silent(_transport: asyncio.Transport, _answer: SimulatedResponse) -> None:
    await asyncio.get_running_loop().create_future()  # until the client goes away, which cancels this


async def _garbage(transport: asyncio.Transport, _answer: SimulatedResponse) -> None:
    transport.write(b"\x00\x01\x02 this is no HTTP\r\n\r\n")
    transport.close()


async def _truncated(transport: asyncio.Transport, answer: SimulatedResponse) -> None:
    transport.write(_head(answer, len(answer.body) + 100) + answer.body)
    transport.close()


async def _endless_header(transport: asyncio.Transport, answer: SimulatedResponse) -> None:
    transport.write(f"HTTP/1.1 {answer.status} {_phrase(answer.status)}\r\nx-filler: ".encode())
    await _drip(transport)


async def _trickling(transport: asyncio.Transport, answer: SimulatedResponse) -> None:
    transport.write(_head(answer, 1_000_000))
    await _drip(transport)


async def _drip(transport: asyncio.Transport) -> None:
    while not transport.is_closing():
        transport.write(b" ")
        await asyncio.sleep(_PAUSE)


_BADLY: Mapping[Delivery, Callable[[asyncio.Transport, SimulatedResponse], Awaitable[None]]] = {
    Delivery.CLOSED: _closed,
    Delivery.RESET: _reset,
    Delivery.SILENT: _silent,
    Delivery.GARBAGE: _garbage,
    Delivery.TRUNCATED: _truncated,
    Delivery.ENDLESS_HEADER: _endless_header,
    Delivery.TRICKLING: _trickling,
}


def _head(answer: SimulatedResponse, length: int) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status} {_phrase(answer.status)}",
        *(f"{name}: {value}" for name, value in answer.headers.items()),
    ]
    return ("\r\n".join([*lines, f"Content-Length: {length}"]) + "\r\n\r\n").encode()


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def abort(transport: asyncio.Transport) -> None:
    """Ends a connection with RST, without a farewell of TLS."""
    reset_on_close(transport.get_extra_info("socket"))
    transport.abort()


def reset_on_close(connection: socket.socket) -> None:
    """Makes the end of a connection a reset: linger for zero seconds."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
