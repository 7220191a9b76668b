"""The network of a module: trust, name resolution, proxy and `connect_to`.

A network lives as long as its configuration. It holds nothing that differs from probe to probe.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from azure.core import AsyncPipelineClient
from azure.core.rest import HttpRequest

from exporter.clients.http.exchange import (
    HEADERS,
    USER_AGENT,
    BodyTooLargeError,
    HttpExchange,
    RecordingTransport,
    SecretTimeoutError,
    send_once,
)
from exporter.clients.http.facts import facts_from
from exporter.clients.http.timing import (
    CURRENT,
    MOST_RECEIVED_BYTES,
    ConnectionState,
    ExchangeTimer,
    HandshakeLimiter,
    TimedConnector,
    TimedSSLObject,
    current,
    make_context,
    make_socket,
)
from exporter.config.settings import Config, Module, Proxy, read_secret
from exporter.config.usage import public_names
from exporter.core.names import is_address
from exporter.core.secrets import remember, spare
from exporter.core.values import Facts, Fault
from exporter.runtime.errors import drop_tracebacks
from exporter.runtime.logging import fields, frames_of, place_of
from exporter.runtime.loop import loop_time
from exporter.runtime.tasks import DaemonThreadPool, PoolExhausted, Shortage, require_descriptor, shortage_of

_log = logging.getLogger(__name__)


class HostConnection:
    """The connections of one probe to one host. Create it in the event loop. The creator closes it."""

    def __init__(
        self,
        *,
        endpoint: str,
        connector: aiohttp.TCPConnector,
        proxy: str | None,
        proxy_headers: Callable[[], Awaitable[Mapping[str, str]]] | None,
        limiter: HandshakeLimiter | None,
    ) -> None:
        """Create the session. `proxy_headers` is called once, before the first request.

        It may raise any exception that `faults` classifies.
        """
        self._endpoint, self._proxy_headers, self._limiter, self._state = endpoint, proxy_headers, limiter, ConnectionState()
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            middlewares=(send_once,),
        )
        self.transport = RecordingTransport(self._session, proxy)

    async def exchange(self, call: Callable[[], Awaitable[object]], *, deadline: float) -> HttpExchange:
        """Run `call`, which sends through `transport`, until `deadline` (loop time).

        If the far side closed a reused connection before a byte of the response, `call` runs once more on a new connection.
        Raises CancelledError, and PoolExhausted if this process lacked a resource or waited for one until the deadline.
        """
        exchange = await self._attempt(call, deadline)
        if exchange.lost_connection:
            exchange = await self._attempt(call, deadline)
            exchange.resent = True
        return exchange

    async def _attempt(self, call: Callable[[], Awaitable[object]], deadline: float) -> HttpExchange:
        timer = ExchangeTimer(self._limiter, self._state)
        self._state.exchange_begins(timer)
        exchange = self.transport.exchange = HttpExchange(endpoint=self._endpoint, timer=timer)
        if deadline <= loop_time():  # the timeout would take effect only after a connection attempt
            exchange.timed_out = True
            return exchange
        named = CURRENT.set(timer)
        try:
            async with asyncio.timeout_at(deadline) as limit:
                if self._proxy_headers is not None and self.transport.proxy_headers is None:
                    self.transport.proxy_headers = await self._proxy_headers()
                exchange.result = await call()
        except PoolExhausted:
            raise
        except Exception as error:  # noqa: BLE001 - exceptions of the SDK become values here
            exchange.error, exchange.raised_at, exchange.timed_out = error, frames_of(error), limit.expired()
            drop_tracebacks(error)
            if self._state.is_flooded:  # aiohttp reports the body as truncated
                exchange.error = BodyTooLargeError(f"more than {MOST_RECEIVED_BYTES} bytes")
        finally:
            CURRENT.reset(named)
            timer.finish()
            self._state.timer = self.transport.exchange = None
        if exchange.error is None:
            return exchange
        lacking = Shortage.RESOLVER if exchange.timed_out and timer.is_pool_exhaustion else shortage_of(exchange.error)
        if lacking is Shortage.RESOLVER:
            raise PoolExhausted("time ran out before a thread or a handshake slot was free")
        if lacking is not None:
            raise PoolExhausted(f"the system grants no {lacking}", lacking)
        if exchange.timed_out and timer.reached is None:  # no network phase began
            exchange.error, exchange.timed_out = SecretTimeoutError(), False
        return exchange

    async def close(self) -> None:
        """Abort every open connection at once, also if the caller is cancelled.

        Raises nothing but CancelledError. After bytes that are not HTTP, aiohttp may close a TLS connection twice. A third
        call fails inside asyncio and leaves the remaining connections open. A connection that is abandoned just before its
        handshake also stays open. Shutting the sockets down ends all of them.
        """
        try:
            await self._session.close()
        except Exception as error:  # noqa: BLE001 - a failure here changes no response
            _log.debug("connections not closed in order", extra=fields(**place_of(error)))
        finally:
            self._state.shut_down()


# Names are resolved by the system, on threads of the pool, for every connection again: a cached address would hide a DNS fault.


def split_host_port(text: str) -> tuple[str, int]:
    """Split `host:port` or `[v6]:port` into host and port. Raises ValueError."""
    host, _, port = text.rpartition(":")
    return host.removeprefix("[").removesuffix("]").lower(), int(port)


class Resolver(AbstractResolver):
    """A resolver that replaces host and port by `connect_to`, as curl's option does. TLS still verifies the original name."""

    def __init__(self, pool: DaemonThreadPool, connect_to: Mapping[str, str]) -> None:
        self._pool = pool
        self._connect_to = {split_host_port(source): split_host_port(target) for source, target in connect_to.items()}

    def redirects(self, host: str, port: int) -> bool:
        """Whether `connect_to` names this host and port."""
        return (host.lower(), port) in self._connect_to

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        """Return the addresses to try. Raises socket.gaierror."""
        timer = current()
        name, port = self._connect_to.get((host.lower(), port), (host, port))
        if is_address(name):
            found = [(int(socket.AF_INET6 if ":" in name else socket.AF_INET), name)]
        else:
            found = await self._look_up(name, port, family, timer)
        timer.addresses = tuple(dict.fromkeys(address for _, address in found))
        await timer.connect_begins()
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=socket.IPPROTO_TCP, flags=0)
            for kind, address in found
        ]

    async def _look_up(self, name: str, port: int, family: int, timer: ExchangeTimer) -> list[tuple[int, str]]:
        timer.dns_queue_begins()
        try:
            found = await self._pool.run(_getaddrinfo, name, port, family, timer)
        except OSError:
            timer.dns_ends()
            raise
        timer.dns_ends()
        return found

    async def close(self) -> None:
        """Close nothing: the threads belong to the process."""


def _getaddrinfo(name: str, port: int, family: int, timer: ExchangeTimer) -> list[tuple[int, str]]:
    timer.dns_begins()
    try:
        infos = socket.getaddrinfo(name, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except UnicodeError as error:  # a label that is empty or too long for DNS
        raise socket.gaierror(socket.EAI_NONAME, "not a host name") from error
    except socket.gaierror:
        require_descriptor()
        raise
    if not infos:
        raise socket.gaierror(socket.EAI_NONAME, "no address")
    return [(int(info[0]), str(info[4][0])) for info in infos]


HANDSHAKES = 32  # in flight at once, over all modules
_KEEP_ALIVE_SECONDS = 60.0  # longer than a probe


class NetworkError(ValueError):
    """A module's network cannot be set up. The message names the module."""


class Network:
    """The outbound network of one module, without connections. Each probe creates its own connections with `connection`."""

    def __init__(self, module: Module, context: SSLContext, *, pool: DaemonThreadPool, limiter: HandshakeLimiter | None) -> None:
        self.module = module
        self.pool = pool
        self._context, self._limiter = context, limiter
        self._resolver = Resolver(pool, module.connect_to)

    def connection(self, host: str, port: int) -> HostConnection:
        """Return new connections to one host for one probe; the caller closes them."""
        proxy = self.proxy_for(host, port)
        connector = TimedConnector(
            ssl=self._context,
            resolver=self._resolver,
            use_dns_cache=False,
            limit=0,
            keepalive_timeout=_KEEP_ALIVE_SECONDS,
            socket_factory=make_socket,
        )
        return HostConnection(
            endpoint=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            connector=connector,
            proxy=None if proxy is None else proxy.url,
            proxy_headers=self.proxy_headers if proxy is not None and proxy.username is not None else None,
            limiter=self._limiter,
        )

    def proxy_for(self, host: str, port: int) -> Proxy | None:
        """Return the proxy for a host; None if `connect_to` or `no_proxy` names it."""
        proxy = self.module.proxy
        if proxy is None or self._resolver.redirects(host, port):
            return None
        return None if any(_covers(entry, host.lower()) for entry in proxy.no_proxy) else proxy

    async def proxy_headers(self) -> Mapping[str, str]:
        """Read the proxy's credentials, for each probe. Raises SecretUnreadableError."""
        proxy = self.module.proxy
        if proxy is None or proxy.username is None:
            return {}
        password = "" if proxy.password is None else await self.pool.run(read_secret, proxy.password)
        pair = base64.b64encode(f"{proxy.username}:{password}".encode()).decode("ascii")
        remember(pair)  # masks also a password that is too short to be masked by itself
        return {"Proxy-Authorization": f"Basic {pair}"}


class Networks:
    """The networks of a configuration, one per module.

    Loading blocks for some milliseconds per set of certificate authorities.
    """

    def __init__(self, config: Config, *, pool: DaemonThreadPool, limiter: HandshakeLimiter | None = None) -> None:
        """Create the networks; their responses never mask a name of the configuration.

        Raises NetworkError if a `ca_file` cannot be used.
        """
        limiter = asyncio.Semaphore(HANDSHAKES) if limiter is None else limiter
        contexts: dict[Path | None, SSLContext] = {}
        self._by_name: dict[str, Network] = {}
        for module in config.modules.values():
            if module.ca_file not in contexts:
                contexts[module.ca_file] = _context(module)
            self._by_name[module.name] = Network(module, contexts[module.ca_file], pool=pool, limiter=limiter)
        spare(lambda: public_names(config))

    def network_of(self, module: Module) -> Network:
        """Return the network of a module. Raises KeyError for a module of another configuration, also if it has the same name."""
        network = self._by_name[module.name]
        if network.module != module:
            raise KeyError(module.name)
        return network


def make_network(module: Module, *, pool: DaemonThreadPool) -> Network:
    """Return the network of one module, without a limit of handshakes. Blocks.

    It changes no name that is never masked. Raises NetworkError.
    """
    return Network(module, _context(module), pool=pool, limiter=None)


def _context(module: Module) -> SSLContext:
    try:
        return make_context(module.ca_file)
    except OSError as error:
        raise NetworkError(f"module {module.name}: {module.ca_file} holds no usable certificate authority") from error


def _covers(entry: str, host: str) -> bool:
    """Whether an entry of `no_proxy` names this host, by curl's rules. An entry is `*`, the host or a parent domain."""
    domain = entry.lower().lstrip(".")
    return entry == "*" or host == domain or host.endswith("." + domain)


def split_url(url: str) -> tuple[str, int]:
    """Split an https URL or `host[:port]` into host and port."""
    authority = url.removeprefix("https://").partition("/")[0]
    return split_host_port(authority) if ":" in authority.rpartition("]")[2] else (authority.strip("[]").lower(), 443)


# The check of the network path to a host: one GET without a token.
# If the certificate is not trusted, a second connection without verification reads it, so that a report can name its issuer.
# No secret is sent over that connection.

_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": USER_AGENT}
_UNVERIFIED = frozenset({Fault.TLS_UNTRUSTED, Fault.TLS_EXPIRED, Fault.TLS_NOT_YET_VALID, Fault.TLS_WRONG_NAME})


@dataclass(frozen=True, slots=True)
class EndpointResult:
    """The facts of the request and the server's certificate as DER, None if unknown."""

    facts: Facts
    certificate: bytes | None = None


async def check_endpoint(network: Network, host: str, path: str, *, deadline: float) -> EndpointResult:
    """Send a GET to `host` on new connections until `deadline` (loop time).

    `host` includes the port unless it is 443. Raises CancelledError, and PoolExhausted if the deadline passed while the
    request waited for a thread.
    """
    context = await network.pool.run(make_context, network.module.ca_file)
    first = await _get(network, context, host, path, deadline=deadline)
    proxy = network.proxy_for(*split_url(host))
    # An unverified connection to a TLS proxy would expose the proxy's password.
    exposed = proxy is not None and proxy.username is not None and proxy.url.startswith("https:")
    if first.facts.fault not in _UNVERIFIED or exposed:
        return first
    second = await _get(network, _unchecked(), host, path, deadline=deadline)
    return EndpointResult(first.facts, second.certificate)


async def _get(network: Network, context: ssl.SSLContext, host: str, path: str, *, deadline: float) -> EndpointResult:
    shown: list[bytes] = []
    context.sslobject_class = _recording(shown)
    connection = Network(network.module, context, pool=network.pool, limiter=None).connection(*split_url(host))
    client: AsyncPipelineClient[Any, Any] = AsyncPipelineClient(f"https://{host}", transport=connection.transport, policies=[])
    request = HttpRequest("GET", f"https://{host}{path}", headers=dict(_HEADERS))
    try:
        exchange = await connection.exchange(lambda: client.send_request(request, stream=True), deadline=deadline)
    finally:
        await connection.close()
    facts = facts_from(exchange)
    return EndpointResult(facts, shown[-1] if shown and facts.fault not in _UNVERIFIED else None)


def _unchecked() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


def _recording(shown: list[bytes]) -> type[TimedSSLObject]:
    """Return an SSL object class that appends the peer's certificate to `shown`."""

    class Recording(TimedSSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            leaf = self.getpeercert(binary_form=True)
            if leaf is not None:
                shown.append(leaf)

    return Recording
