"""The network of a module: trust, name resolution, proxy and `connect_to`.

A network lives as long as its configuration. It holds nothing that differs from probe to probe.
"""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import Mapping
from pathlib import Path
from ssl import SSLContext

from aiohttp.abc import AbstractResolver, ResolveResult

from exporter.clients.http.exchange import Exchange, HostConnection, current
from exporter.clients.http.timing import TimedConnector, make_context, make_socket
from exporter.config.settings import Config, Module, Proxy, read_secret
from exporter.config.usage import public_names
from exporter.core.names import is_address
from exporter.core.secrets import remember, spare
from exporter.runtime.tasks import DaemonThreadPool, require_descriptor

# Names are resolved by the system, on threads of the pool, for every connection again: a cached address would hide a DNS fault.


class Resolver(AbstractResolver):
    """A resolver that replaces host and port by `connect_to`, as curl's option does. TLS still verifies the original name."""

    def __init__(self, pool: DaemonThreadPool, connect_to: Mapping[str, str]) -> None:
        self._pool = pool
        self._connect_to = {split_url(source): split_url(target) for source, target in connect_to.items()}

    def redirects(self, host: str, port: int) -> bool:
        """Whether `connect_to` names this host and port."""
        return (host.lower(), port) in self._connect_to

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        """Return the addresses to try. Raises socket.gaierror."""
        exchange = current()
        name, port = self._connect_to.get((host.lower(), port), (host, port))
        if is_address(name):
            found = [(int(socket.AF_INET6 if ":" in name else socket.AF_INET), name)]
        else:
            exchange.mark("queued")
            try:
                found = await self._pool.run(_getaddrinfo, name, port, family, exchange)
            except OSError:
                exchange.mark("resolved")
                raise
            exchange.mark("resolved")
        exchange.addresses = tuple(dict.fromkeys(address for _, address in found))
        await exchange.connect_begins()
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=socket.IPPROTO_TCP, flags=0)
            for kind, address in found
        ]

    async def close(self) -> None:
        """Close nothing: the threads belong to the process."""


def _getaddrinfo(name: str, port: int, family: int, exchange: Exchange) -> list[tuple[int, str]]:
    exchange.mark("dns")  # on this thread: the wait for it is not part of the phase
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

    def __init__(self, module: Module, context: SSLContext, *, pool: DaemonThreadPool, limiter: asyncio.Semaphore | None) -> None:
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
        return None if proxy.leaves_out(host) else proxy

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

    def __init__(self, config: Config, *, pool: DaemonThreadPool, limiter: asyncio.Semaphore | None = None) -> None:
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


def split_url(url: str) -> tuple[str, int]:
    """Split an https URL, `host[:port]` or `[v6][:port]` into host and port. Raises ValueError."""
    authority = url.removeprefix("https://").partition("/")[0]
    has_port = ":" in authority.rpartition("]")[2]
    host, _, port = authority.rpartition(":") if has_port else (authority, "", "443")
    return host.strip("[]").lower(), int(port)
