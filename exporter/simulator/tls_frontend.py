"""The listening port: choose certificate or fault by the name in the ClientHello.

The hello is peeked at and stays in the socket for the handshake. Needs an event loop with `add_reader`, which every
loop has except Windows' proactor.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

from exporter.simulator.certificates import Certificates
from exporter.simulator.faults import ConnectionFault
from exporter.simulator.wire_response import reset_on_close

_HELLO_BYTES = 65536  # the maximum length of a hello
_ACCEPT_RETRY = 0.05  # seconds until the next accept
_HELLO_TIMEOUT = 30.0  # seconds for a client to send its hello
_LAST_BYTES = {
    ConnectionFault.PLAIN_HTTP: b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n",
    # asyncio ends a failed handshake without the alert. Record type alert, TLS 1.2, 2 bytes: fatal, handshake_failure
    ConnectionFault.REFUSED_HANDSHAKE: b"\x15\x03\x03\x00\x02\x02\x28",
}


class TlsFrontend:
    """Accepts connections and hands them to the HTTP server.

    `connection_of` returns the fault of a host, None if there is none.
    """

    def __init__(
        self,
        certificates: Certificates,
        connection_of: Callable[[str], ConnectionFault | None],
        protocol_factory: Callable[[], asyncio.BaseProtocol],
    ) -> None:
        self._certificates = certificates
        self._connection_of = connection_of
        self._protocol_factory = protocol_factory
        self._names = _ServerNameReader()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None

    def open(self, host: str, port: int) -> int:
        """Listen, and return the port. Raises OSError if the port is in use."""
        self._listener = socket.create_server((host, port), backlog=4096)
        self._listener.setblocking(False)
        self._start(self._accept(self._listener))
        return int(self._listener.getsockname()[1])

    async def close(self) -> None:
        """Stop listening and end every connection without a request."""
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
            except OSError:  # no free file descriptor, or the client has disconnected
                await asyncio.sleep(_ACCEPT_RETRY)
                continue
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._start(self._serve_client(connection))

    async def _serve_client(self, connection: socket.socket) -> None:
        handed_over = False
        try:
            name = await self._requested_name(connection)
            fault = self._connection_of(name)
            context = self._certificates.context(fault)
            if context is not None:
                handed_over = True
                await self._handshake(connection, context)
            elif fault is not None:
                await _end_connection(connection, fault)
        except (OSError, TimeoutError):
            return  # the client has disconnected
        finally:
            if not handed_over:
                connection.close()

    async def _handshake(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError, ssl.SSLError):  # the client refused the certificate
            await loop.connect_accepted_socket(self._protocol_factory, connection, ssl=context)

    async def _requested_name(self, connection: socket.socket) -> str:
        """Return the host in the client's hello, or an empty string."""
        async with asyncio.timeout(_HELLO_TIMEOUT):
            while True:
                await _readable(connection)
                hello = connection.recv(_HELLO_BYTES, socket.MSG_PEEK)
                name = self._names.read(hello) if hello else ""
                if name is not None:
                    return name
                await asyncio.sleep(0.01)  # wait for the rest of the hello; the socket stays readable


async def _end_connection(connection: socket.socket, fault: ConnectionFault) -> None:
    """End the connection as the fault defines."""
    loop = asyncio.get_running_loop()
    if fault is ConnectionFault.RESET:
        reset_on_close(connection)
        return
    await loop.sock_recv(connection, _HELLO_BYTES)  # unread data would turn an orderly close into a reset
    last = _LAST_BYTES.get(fault)
    if last is not None:
        await loop.sock_sendall(connection, last)
    if fault is ConnectionFault.SILENT:
        await loop.sock_recv(connection, 1)  # until the client disconnects


async def _readable(connection: socket.socket) -> None:
    """Wait until the socket has something to read."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(connection, _done, ready)
    try:
        await ready
    finally:
        loop.remove_reader(connection)


def _done(ready: asyncio.Future[None]) -> None:
    if not ready.done():  # the loop calls a reader until the data is read
        ready.set_result(None)


class _ServerNameReader:
    """Reads the server name of a ClientHello with OpenSSL.

    The handshake stops as soon as the name is available.
    """

    def __init__(self) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.sni_callback = self._receive_name
        self._name = ""

    def read(self, hello: bytes) -> str | None:
        """Return the name in lower case, None if the hello is not complete.

        The result is empty if the hello has no name.
        """
        incoming, self._name = ssl.MemoryBIO(), ""
        incoming.write(hello)
        handshake = self._context.wrap_bio(incoming, ssl.MemoryBIO(), server_side=True)
        try:
            handshake.do_handshake()
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLError:
            pass
        return self._name

    def _receive_name(self, _handshake: object, name: str | None, _context: ssl.SSLContext) -> int:
        self._name = (name or "").lower()
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
