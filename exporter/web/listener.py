"""HTTP below the paths: listening sockets with TLS, aiohttp's HTTP/1.1 protocol, responses in pieces, and `Accept` headers.

A stop does not wait for slow clients. The rules of `Accept` and `Accept-Encoding` are those of RFC 9110, 12.4 and 12.5.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import logging
import socket
import ssl
import traceback
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

from aiohttp import hdrs, web

from exporter.runtime import process
from exporter.runtime.errors import number_of, text_of
from exporter.runtime.logging import fields, place_of
from exporter.runtime.loop import SERVER, hide_versions, pause
from exporter.web.connections import IDLE_SECONDS, MOST_CONNECTIONS, Connection, ConnectionLimiter

_log = logging.getLogger(__name__)

LONGEST_LINE = LONGEST_HEADER = 8190
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class HttpProtocol(web.RequestHandler):
    """aiohttp's protocol with this exporter's limits and headers. One sentence answers a malformed request; aiohttp would quote it."""

    __slots__ = ()

    def __init__(self, server: web.Server) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # None is allowed, and means none
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=1.0,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_HEADER,
            max_headers=64,
            auto_decompress=False,
        )

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log an exception, but not that of a client that sends a malformed body: no handler reads one."""
        if not isinstance(kw.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*args, **kw)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,  # noqa: ARG002 - aiohttp's signature
        message: str | None = None,  # noqa: ARG002 - aiohttp's signature
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("a response has already begun")
        text = "Malformed request. Send a valid HTTP/1.1 request.\n" if status < 500 else "Internal error.\n"
        response = web.Response(status=status, text=text, headers=SECURITY_HEADERS)
        response.force_close()
        return response


# aiohttp waits this long for a request to finish, and as long again for its cancellation.
_GRACE_SECONDS = 0.8
_HANDSHAKE_SECONDS = 10.0
_GOODBYE_SECONDS = 2.0  # for the closing handshake of TLS
_BACKLOG = 256
# Accepted clients of a flood after which probes run. One at a time would keep a scrape waiting behind hundreds on a busy host.
_ACCEPTED_AT_ONCE = 16
# Send buffer of the system. Linux doubles it.
_UNREAD_BYTES = 128 * 1024
# One in so many of the process' open files is for clients; the rest is for probes.
_SHARE_OF_FILES = 4
_SHORTAGE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_SHORTAGE_SECONDS = 1.0
_ACTIONS = {
    errno.EADDRINUSE: "choose another with --web.listen-address",
    errno.EADDRNOTAVAIL: "use an address of this host, or :PORT for all of them",
    errno.EACCES: "choose a port from 1024",
}
_NO_PLACE_TEXT = b"Too many connections are in progress. Try again later.\n"
_NO_PLACE = (
    b"HTTP/1.1 503 Service Unavailable\r\nServer: %s\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s"
) % (SERVER.encode(), len(_NO_PLACE_TEXT), _NO_PLACE_TEXT)


class ListenerTls(Protocol):
    """TLS of all listeners; a reload can replace `context`, which is None for plain HTTP."""

    context: ssl.SSLContext | None

    def allows_certificate(self, certificate: bytes | None, address: str) -> bool:
        """Whether a client with this certificate (DER; None for none) may stay connected."""


LISTENER_TLS: web.AppKey[ListenerTls] = web.AppKey("listener_tls")


class ListenError(Exception):
    """An address that the exporter cannot listen on; the message is one line."""


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """An address: host "" is every interface, port 0 a free port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> ListenAddress:
    """Parse `:10377`, `127.0.0.1:10377` or `[::1]:10377`.

    Raises ValueError with the right form.
    """
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535 or (":" in host and not bracketed):
        raise ValueError(f"{text!r} is not a listen address (write HOST:PORT, :PORT or [IPV6]:PORT)")
    return ListenAddress(host[1:-1] if bracketed else host, int(port))


class WebServer:
    """A server of `app`, as an async context manager. Stopping takes at most two seconds."""

    def __init__(self, app: web.Application, addresses: list[ListenAddress], *, limiter: ConnectionLimiter | None = None) -> None:
        self._addresses, self._tls, self._limiter = addresses, app.get(LISTENER_TLS), limiter
        self._sockets: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._runner = web.AppRunner(app, shutdown_timeout=_GRACE_SECONDS)
        self.listening: tuple[ListenAddress, ...] = ()

    @property
    def urls(self) -> tuple[str, ...]:
        """URLs of the listeners, with their real ports."""
        return urls_of(self.listening, self._context)

    @property
    def _context(self) -> ssl.SSLContext | None:
        return None if self._tls is None else self._tls.context

    async def start(self, bound: list[socket.socket] | None = None) -> None:
        """Listen on every address, or raise ListenError and listen on none. `bound` has the sockets if they listen already."""
        hide_versions()
        self._sockets = await bind(self._addresses) if bound is None else bound
        try:
            await self._runner.setup()
        except BaseException:
            await self.stop()
            raise
        # Read here, because the start of the process raises the limit on open files.
        limiter = ConnectionLimiter(most=most_clients(process.file_limit())) if self._limiter is None else self._limiter
        self._limiter = limiter
        self._tasks.update(asyncio.create_task(self._accept(each, limiter), name="accept") for each in self._sockets)
        self.listening = real_addresses(self._addresses, self._sockets)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for each in self._sockets:
            each.close()
        await self._runner.cleanup()
        for connection in () if self._limiter is None else self._limiter.all():  # clients that do not read the end of a response
            connection.cut()
        await asyncio.sleep(0)
        self.listening, self._sockets = (), []

    async def _accept(self, bound: socket.socket, limiter: ConnectionLimiter) -> None:
        loop = asyncio.get_running_loop()
        for accepted in itertools.count(1):
            try:
                client, peer = await loop.sock_accept(bound)
            except OSError as error:
                if number_of(error) in _SHORTAGE:
                    _log.error("cannot accept connections: out of system resources")
                    await asyncio.sleep(_SHORTAGE_SECONDS)
                continue
            try:
                self._take_in(client, str(peer[0]) if isinstance(peer, tuple) else "", limiter)
            except Exception as error:  # noqa: BLE001 - an error with one client must not stop the others
                client.close()
                _log.error("connection not accepted", extra=fields(**place_of(error)))
            if accepted % _ACCEPTED_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _take_in(self, client: socket.socket, address: str, limiter: ConnectionLimiter) -> None:
        server = self._runner.server
        assert server is not None  # noqa: S101 - set before the first accept

        def vet(transport: asyncio.Transport) -> bool:
            tls: Any = transport.get_extra_info("ssl_object")
            return self._tls is None or tls is None or self._tls.allows_certificate(tls.getpeercert(binary_form=True), address)

        connection = Connection(lambda: HttpProtocol(server), address=address, vet=vet, limiter=limiter)
        with contextlib.suppress(OSError):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNREAD_BYTES)
        if not limiter.take(connection):
            if self._context is None:  # a client that expects TLS understands no 503
                with contextlib.suppress(OSError):
                    client.send(_NO_PLACE)
            client.close()
            return
        task = connection.pending = asyncio.create_task(self._connect(client, connection, limiter), name="connect")
        self._tasks.add(task)

        def on_arrival(_: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if task.cancelled():  # perhaps before it began, so that it has closed nothing
                client.close()

        task.add_done_callback(on_arrival)

    async def _connect(self, client: socket.socket, connection: Connection, limiter: ConnectionLimiter) -> None:
        """Connect a socket to its protocol, after the handshake if TLS is on."""
        context = self._context
        handshake, goodbye = (None, None) if context is None else (_HANDSHAKE_SECONDS, _GOODBYE_SECONDS)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection, client, ssl=context, ssl_handshake_timeout=handshake, ssl_shutdown_timeout=goodbye
            )
        except BaseException as error:
            limiter.give_back(connection)
            client.close()
            # The error's traceback is a reference cycle that holds the TLS buffers.
            traceback.clear_frames(error.__traceback__)
            if not isinstance(error, OSError):  # OSError: a client without TLS or without a certificate, or a closed connection
                raise
        finally:
            connection.pending = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.stop()


def most_clients(files: int | None) -> int:
    """Return how many clients may be connected to a process that may open so many files; None: it has no limit."""
    return MOST_CONNECTIONS if files is None else max(1, min(MOST_CONNECTIONS, files // _SHARE_OF_FILES))


def real_addresses(addresses: Iterable[ListenAddress], bound: Iterable[socket.socket]) -> tuple[ListenAddress, ...]:
    """Return the addresses with the ports of their sockets."""
    return tuple(ListenAddress(each.host, one.getsockname()[1]) for each, one in zip(addresses, bound, strict=True))


def urls_of(addresses: Iterable[ListenAddress], tls: ssl.SSLContext | None) -> tuple[str, ...]:
    """Return the URLs of these addresses. Every interface appears as localhost."""
    scheme = "http" if tls is None else "https"
    return tuple(f"{scheme}://{ListenAddress(each.host or 'localhost', each.port)}" for each in addresses)


async def bind(addresses: Iterable[ListenAddress]) -> list[socket.socket]:
    """Return a listening socket for every address, or raise ListenError and listen on none."""
    with contextlib.ExitStack() as opened:
        sockets = []
        for address in addresses:
            try:
                sockets.append(opened.enter_context(await _bound(address)))
            except OSError as error:
                raise ListenError(f"cannot listen on {address}: {_why(error)}") from None
            sockets[-1].setblocking(False)
        opened.pop_all()
        return sockets


async def _bound(address: ListenAddress) -> socket.socket:
    if address.host:
        found = await asyncio.get_running_loop().getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        # As in Go: the first IPv4 address of a name, else the first address.
        family, _, _, _, where = min(found, key=lambda each: each[0] != socket.AF_INET)
        return socket.create_server(where[:2], family=family, backlog=_BACKLOG)
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("", address.port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_BACKLOG)
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:  # IPv6 is compiled in but disabled
                raise
    return socket.create_server(("", address.port), backlog=_BACKLOG)


def _why(error: OSError) -> str:
    """Return the system's message, with the action."""
    if isinstance(error, socket.gaierror):
        return "no such host (use an address of this host, or :PORT for all of them)"
    number = number_of(error)
    message, action = text_of(number) if number else str(error), _ACTIONS.get(number or 0)
    return f"{message} ({action})" if action else message


# A third of the time of zlib's default level, for a sixth more bytes.
_LEVEL = 1
_GZIP_WINDOW = 31  # zlib's value for a gzip header and the largest window
# A thread switch costs about 0.1 ms, so a piece of this size is compressed at once.
_BATCH_BYTES = 128 * 1024
# Pieces shorter than this are sent together: a write costs more than they do.
_SHORT = 2 * 1024
# Bytes written at once; the rest waits for the client.
SLICE_BYTES = 64 * 1024
# A client that has not read the whole response after this time is cut.
SECONDS_TO_TAKE_IT = 60.0


async def stream(
    request: web.Request, pieces: AsyncIterator[bytes], *, headers: Mapping[str, str], gzip: bool = False
) -> web.StreamResponse:
    """Send `pieces` in slices of `SLICE_BYTES`, within `SECONDS_TO_TAKE_IT`; with `gzip` compressed, if the client accepts it."""
    response = web.StreamResponse(headers=headers)
    if gzip and accepts_gzip(header(request, hdrs.ACCEPT_ENCODING)):
        response.headers["Content-Encoding"] = "gzip"
        pieces = compressed(pieces)
    try:
        async with asyncio.timeout(SECONDS_TO_TAKE_IT):
            await response.prepare(request)
            async for piece in pieces if request.method != "HEAD" else encoded(()):
                for at in range(0, len(piece), SLICE_BYTES):
                    await response.write(piece[at : at + SLICE_BYTES])
                    await pause()
            await response.write_eof()
    except Exception as error:
        # The status line is sent already: only a cut connection shows the client that the response is incomplete.
        if request.transport is not None:
            request.transport.abort()
        if not isinstance(error, TimeoutError):
            raise
    return response


async def encoded(pieces: Iterable[str]) -> AsyncIterator[bytes]:
    """Yield the pieces as bytes, short ones together."""
    pending, size = list[str](), 0
    for piece in pieces:
        pending.append(piece)
        size += len(piece)
        if size >= _SHORT:
            yield "".join(pending).encode()
            pending, size = [], 0
    yield "".join(pending).encode()


async def compressed(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the pieces as one gzip stream, compressed in a worker thread."""
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    batch = bytearray()
    async for piece in pieces:
        batch += piece
        if len(batch) >= _BATCH_BYTES:
            if done := await asyncio.to_thread(compressor.compress, batch):
                yield done
            batch = bytearray()
    yield await asyncio.to_thread(lambda: compressor.compress(batch) + compressor.flush())


TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"


def header(request: web.Request, name: str) -> str:
    """Return all headers of this name as one list."""
    return ",".join(request.headers.getall(name, []))


def format_for(accept: str, *, protobuf: bool = True) -> str:
    """Return the content type of an exposition.

    Delimited messages of Prometheus, if they are offered and no text format is preferred; OpenMetrics 1.0 or later, if it is listed
    and text/plain is not preferred; else text.
    """
    weights = {PROTOBUF: 0.0, OPENMETRICS: 0.0, TEXT: 0.0}
    for value, parameters, weight in _choices(accept):
        if value in ("text/plain", "text/*", "*/*"):
            weights[TEXT] = max(weights[TEXT], weight)
        elif value == "application/openmetrics-text" and _is_1_0(parameters.get("version", "1.0.0")):
            weights[OPENMETRICS] = max(weights[OPENMETRICS], weight)
        elif protobuf and value == "application/vnd.google.protobuf" and parameters.items() >= _DELIMITED.items():
            weights[PROTOBUF] = max(weights[PROTOBUF], weight)
    return max(weights, key=weights.__getitem__) if any(weights.values()) else TEXT  # the first of equal ones


_DELIMITED = {"proto": "io.prometheus.client.MetricFamily", "encoding": "delimited"}


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether gzip is listed, or covered by `*`, with a weight above 0."""
    weights = {value: weight for value, _, weight in _choices(accept_encoding)}
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0


def _choices(header: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """Yield each value with its parameters and its weight; an invalid weight counts as 0."""
    for part in header.split(","):
        value, *rest = (piece.strip() for piece in part.split(";"))
        parameters = {name.strip().lower(): given.strip(' "') for name, _, given in (piece.partition("=") for piece in rest)}
        try:
            weight = float(parameters.get("q", "1"))
        except ValueError:
            weight = 0.0
        if value:
            yield value.lower(), parameters, weight if 0 <= weight <= 1 else 0.0


def _is_1_0(version: str) -> bool:
    major = version.partition(".")[0]
    # No int(): Python rejects a text of thousands of digits, and any client can send one.
    return major.isascii() and major.isdigit() and major.strip("0") != ""
