"""The listening port: reads the name that a client asks for, and lets it meet what stands for that name.

For: accepting connections and choosing the certificate, or the fault, by the name in the TLS ClientHello. The hello is
peeked at and left in the socket, so that the handshake proper finds it.
Not for: requests (see `server`), or what is broken (see `state`).

Needs an event loop with `add_reader`: every loop but Windows' proactor.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

from exporter.simulator.certificates import Certificates
from exporter.simulator.faults import Connection
from exporter.simulator.wire_response import reset_on_close

_HELLO = 65536  # bytes: no hello is longer
_BREATH = 0.05  # seconds until the next try to accept
_PATIENCE = 30.0  # seconds for a client to say hello
_SAID = {
    Connection.PLAIN_HTTP: b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n",
    # asyncio ends a failed handshake without sending the alert: record of type alert, TLS 1.2, 2 bytes: fatal, handshake_failure
    Connection.REFUSED_HANDSHAKE: b"\x15\x03\x03\x00\x02\x02\x28",
}


class TlsFrontend:
    def __init__(
        self,
        certificates: Certificates,
        connection_of: Callable[[str], Connection | None],
        protocol_factory: Callable[[], asyncio.BaseProtocol],
    ) -> None:
        self._certificates = certificates
        self._connection_of = connection_of
        self._protocol_factory = protocol_factory
        self._ear = _Ear()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None

    def open(self, host: str, port: int) -> int:
        """Starts to listen and returns the port. Raises OSError where it is in use."""
        self._listener = socket.create_server((host, port), backlog=4096)
        self._listener.setblocking(False)
        self._start(self._accept(self._listener))
        return int(self._listener.getsockname()[1])

    async def close(self) -> None:
        """Stops listening and ends every connection that has not come to its first request."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._listener is not None:
            self._listener.close()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError:  # no file descriptor left, or a client that was gone at once
                await asyncio.sleep(_BREATH)
                continue
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._start(self._welcome(connection))

    async def _welcome(self, connection: socket.socket) -> None:
        handed_over = False
        try:
            name = await self._name(connection)
            context = await self._meet(connection, self._connection_of(name))
            if context is not None:
                handed_over = True
                await self._shake_hands(connection, context)
        except (OSError, TimeoutError):
            return  # a client that goes away is its own affair
        finally:
            if not handed_over:
                connection.close()

    async def _shake_hands(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError, ssl.SSLError):  # certificates that a client refuses end here
            await loop.connect_accepted_socket(self._protocol_factory, connection, ssl=context)

    async def _name(self, connection: socket.socket) -> str:
        """The host that the client's hello asks for; empty where it names none or says no hello."""
        async with asyncio.timeout(_PATIENCE):
            while True:
                await _readable(connection)
                hello = connection.recv(_HELLO, socket.MSG_PEEK)
                name = self._ear.listen(hello) if hello else ""
                if name is not None:
                    return name
                await asyncio.sleep(0.01)  # the rest of the hello is under way, and what is here stays readable

    async def _meet(self, connection: socket.socket, fault: Connection | None) -> ssl.SSLContext | None:
        """The context to shake hands with; None where the client has met its end."""
        match fault:
            case None:
                return self._certificates.good
            case Connection.EXPIRED:
                return self._certificates.expired
            case Connection.NOT_YET_VALID:
                return self._certificates.not_yet_valid
            case Connection.WRONG_NAME:
                return self._certificates.wrong_name
            case Connection.UNTRUSTED:
                return self._certificates.untrusted
        await _end(connection, fault)
        return None


async def _end(connection: socket.socket, fault: Connection) -> None:
    loop = asyncio.get_running_loop()
    if fault is Connection.RESET:
        reset_on_close(connection)
        return
    await loop.sock_recv(connection, _HELLO)  # what is left unread would turn an orderly end into a reset
    said = _SAID.get(fault)
    if said is not None:
        await loop.sock_sendall(connection, said)
    if fault is Connection.SILENT:
        await loop.sock_recv(connection, 1)  # until the client gives up


async def _readable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(connection, _done, ready)
    try:
        await ready
    finally:
        loop.remove_reader(connection)


def _done(ready: asyncio.Future[None]) -> None:
    if not ready.done():  # a reader is called as long as there is something to read
        ready.set_result(None)


class _Ear:
    """Reads the server name of a hello with OpenSSL itself: a handshake that stops as soon as the name is known."""

    def __init__(self) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.sni_callback = self._hear
        self._heard = ""

    def listen(self, hello: bytes) -> str | None:
        """The name in lower case, empty where there is none, None where the hello is not complete."""
        incoming, self._heard = ssl.MemoryBIO(), ""
        incoming.write(hello)
        handshake = self._context.wrap_bio(incoming, ssl.MemoryBIO(), server_side=True)
        try:
            handshake.do_handshake()
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLError:
            pass
        return self._heard

    def _hear(self, _handshake: object, name: str | None, _context: ssl.SSLContext) -> int:
        self._heard = (name or "").lower()
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
