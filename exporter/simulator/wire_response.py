"""Send a response, correctly or with a fault.

Faulty deliveries write to the connection's transport and end it, which HTTP libraries would not do.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from weakref import WeakSet

from aiohttp import web

from exporter.simulator.response import Delivery, SimulatedResponse

_USED: WeakSet[asyncio.Transport] = WeakSet()  # connections that had a request during the fault `keep_alive_lost`
_PAUSE = 0.2  # seconds between the bytes of a trickling body


async def deliver(request: web.BaseRequest, response: SimulatedResponse) -> web.StreamResponse:
    """Send the response.

    The result is for the HTTP server, which drops it if the connection has ended.
    """
    if response.delay:
        await asyncio.sleep(response.delay)
    transport = request.transport
    faulty = _FAULTY_DELIVERIES.get(response.delivery)
    if response.delivery is Delivery.LOST and transport is not None:
        faulty = _closed if transport in _USED else None
        _USED.add(transport)
    if faulty is not None and transport is not None:
        await faulty(transport, response)
    if response.delivery is Delivery.INFORMATIONAL and transport is not None:
        transport.write(b"HTTP/1.1 103 Early Hints\r\nLink: </>; rel=preload\r\n\r\n")
    return web.Response(status=response.status, headers=response.headers, body=response.body)


async def _closed(transport: asyncio.Transport, _response: SimulatedResponse) -> None:
    transport.close()


async def _reset(transport: asyncio.Transport, _response: SimulatedResponse) -> None:
    abort(transport)


async def _silent(_transport: asyncio.Transport, _response: SimulatedResponse) -> None:
    await asyncio.get_running_loop().create_future()  # until the client disconnects, which cancels this


async def _garbage(transport: asyncio.Transport, _response: SimulatedResponse) -> None:
    transport.write(b"\x00\x01\x02 this is not HTTP\r\n\r\n")
    transport.close()


async def _truncated(transport: asyncio.Transport, response: SimulatedResponse) -> None:
    transport.write(_head(response, len(response.body) + 100) + response.body)
    transport.close()


async def _endless_header(transport: asyncio.Transport, response: SimulatedResponse) -> None:
    transport.write(f"HTTP/1.1 {response.status} {_phrase(response.status)}\r\nx-filler: ".encode())
    await _drip(transport)


async def _trickling(transport: asyncio.Transport, response: SimulatedResponse) -> None:
    transport.write(_head(response, 1_000_000))
    await _drip(transport)


async def _drip(transport: asyncio.Transport) -> None:
    """Send a blank at intervals until the connection ends."""
    while not transport.is_closing():
        transport.write(b" ")
        await asyncio.sleep(_PAUSE)


_FAULTY_DELIVERIES: Mapping[Delivery, Callable[[asyncio.Transport, SimulatedResponse], Awaitable[None]]] = {
    Delivery.CLOSED: _closed,
    Delivery.RESET: _reset,
    Delivery.SILENT: _silent,
    Delivery.GARBAGE: _garbage,
    Delivery.TRUNCATED: _truncated,
    Delivery.ENDLESS_HEADER: _endless_header,
    Delivery.TRICKLING: _trickling,
}


def _head(response: SimulatedResponse, length: int) -> bytes:
    """Return status line and headers with this content length."""
    lines = [
        f"HTTP/1.1 {response.status} {_phrase(response.status)}",
        *(f"{name}: {value}" for name, value in response.headers.items()),
    ]
    return ("\r\n".join([*lines, f"Content-Length: {length}"]) + "\r\n\r\n").encode()


def _phrase(status: int) -> str:
    """Return the reason phrase of a status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def abort(transport: asyncio.Transport) -> None:
    """End a connection with RST and without a TLS close."""
    reset_on_close(transport.get_extra_info("socket"))
    transport.abort()


def reset_on_close(connection: socket.socket) -> None:
    """Make the close of a connection a reset: linger for zero seconds."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
