"""Listening: one application on any number of addresses, and an end that does not wait for slow clients.

For: `--web.listen-address` in Go's notation, errors that fit on a line, and how patient the server is with a client.
Not for: what is served (see `app`), TLS files and users, or signals.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from aiohttp import web

# aiohttp gives a request that long to finish, then as long again to take its cancellation.
_GRACE_SECONDS = 0.8
# Longer than a usual scrape interval; also how long a client may take over the first request's header.
_IDLE_SECONDS = 75.0
_LONGEST_LINE = _LONGEST_HEADER = 8190
_MOST_HEADERS = 64
_LINGER_SECONDS = 1.0
_BACKLOG = 256


class ListenError(Exception):
    """An address that cannot be listened on; its text is one line for the user."""


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """`host` is "" for every interface; `port` 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> ListenAddress:
    """`:10377`, `127.0.0.1:10377`, `[::1]:10377`, `localhost:10377`. Raises ValueError with the way to write it."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535 or (":" in host and not bracketed):
        raise ValueError(f"{text!r} is no listen address (write HOST:PORT, :PORT or [IPV6]:PORT)")
    return ListenAddress(host[1:-1] if bracketed else host, int(port))


class WebServer:
    """Serves `app` until it is stopped; an async context manager. Stopping takes at most two seconds."""

    def __init__(self, app: web.Application, addresses: list[ListenAddress], *, tls: ssl.SSLContext | None = None) -> None:
        self._addresses = addresses
        self._tls = tls
        self._runner = web.AppRunner(
            app,
            access_log=None,
            shutdown_timeout=_GRACE_SECONDS,
            keepalive_timeout=_IDLE_SECONDS,
            lingering_time=_LINGER_SECONDS,
            max_line_size=_LONGEST_LINE,
            max_field_size=_LONGEST_HEADER,
            max_headers=_MOST_HEADERS,
        )
        self.listening: tuple[ListenAddress, ...] = ()

    @property
    def urls(self) -> tuple[str, ...]:
        """Where it can be reached, with the real ports; a listener on every interface is shown as localhost."""
        scheme = "http" if self._tls is None else "https"
        return tuple(f"{scheme}://{ListenAddress(a.host or 'localhost', a.port)}" for a in self.listening)

    async def start(self) -> None:
        """Listen on every address, or on none: raises ListenError for the first that cannot be had."""
        sockets: list[socket.socket] = []
        try:
            for address in self._addresses:
                sockets.append(await _bind(address))  # noqa: PERF401 - what is bound so far must be known when the next one fails
            await self._runner.setup()
            for bound in sockets:
                # asyncio accepts as many connections at a time, and where files run out complains as often, more each second.
                await web.SockSite(self._runner, bound, ssl_context=self._tls, backlog=1).start()
                bound.listen(_BACKLOG)  # of the system's queue, which asyncio set to the same number
        except BaseException:
            await self._runner.cleanup()
            _close(sockets)
            raise
        self.listening = tuple(
            ListenAddress(asked.host, bound.getsockname()[1]) for asked, bound in zip(self._addresses, sockets, strict=True)
        )

    async def stop(self) -> None:
        await self._runner.cleanup()
        self.listening = ()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()


def _close(sockets: list[socket.socket]) -> None:
    for each in sockets:
        each.close()


async def _bind(address: ListenAddress) -> socket.socket:
    try:
        if not address.host:
            return _every_interface(address.port)
        found = await asyncio.get_running_loop().getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        # As Go does: of a name's addresses the first IPv4 one, else the first.
        family, _, _, _, where = min(found, key=lambda each: each[0] != socket.AF_INET)
        return socket.create_server(where[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ListenError(f"cannot listen on {address}: {_why(error)}") from None


def _every_interface(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_BACKLOG)
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:  # IPv6 is compiled in and switched off
                raise
    return socket.create_server(("", port), backlog=_BACKLOG)


def _why(error: OSError) -> str:
    """The system's own words without Python's additions, and what to do about a port that is taken."""
    if isinstance(error, socket.gaierror):
        return "no such host"
    told = os.strerror(error.errno).lower() if error.errno else str(error)
    return f"{told} (choose another with --web.listen-address)" if error.errno == errno.EADDRINUSE else told
