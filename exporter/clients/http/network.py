"""How a module reaches its vaults: trust, name resolution, proxy, `connect_to`. Long-lived, one per module.

Not for: requests (see `exchange`), or anything that differs from probe to probe.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from pathlib import Path
from ssl import SSLContext

import aiohttp

from exporter.clients.http.exchange import HostConnection
from exporter.clients.http.instrumented import make_context, make_socket
from exporter.clients.http.resolver import Resolver, split_host_port
from exporter.clients.http.timing import TRACE, HandshakeLimiter
from exporter.config.model import Config, Module, Proxy
from exporter.config.secret_source import read_secret
from exporter.core.known_secrets import remember
from exporter.runtime.thread_pool import DaemonThreadPool

HANDSHAKES = 32  # in flight at once, over all modules
_KEEP_ALIVE_SECONDS = 60.0  # longer than a probe lives


class NetworkError(ValueError):
    """A module's network cannot be set up; the text names the module and is for people."""


class Network:
    """One module's way out. Holds no connection: each probe makes its own (see `link`)."""

    def __init__(self, module: Module, context: SSLContext, *, pool: DaemonThreadPool, gate: HandshakeLimiter | None) -> None:
        self.module = module
        self.pool = pool
        self._context, self._gate = context, gate
        self._resolver = Resolver(pool, module.connect_to)

    def link(self, host: str, port: int) -> HostConnection:
        """Fresh connections to one host, for one probe. To be closed by the caller."""
        proxy = self.proxy_for(host, port)
        connector = aiohttp.TCPConnector(
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
            trace=TRACE,
            proxy=None if proxy is None else proxy.url,
            proxy_headers=self.proxy_headers if proxy is not None and proxy.username is not None else None,
            gate=self._gate,
        )

    def proxy_for(self, host: str, port: int) -> Proxy | None:
        """The proxy on the way to a host: none for what `connect_to` or `no_proxy` names."""
        proxy = self.module.proxy
        if proxy is None or self._resolver.redirects(host, port):
            return None
        return None if any(_covers(entry, host.lower()) for entry in proxy.no_proxy) else proxy

    async def proxy_headers(self) -> Mapping[str, str]:
        """The proxy's credentials, read anew for each probe. Raises SecretUnreadableError."""
        proxy = self.module.proxy
        if proxy is None or proxy.username is None:
            return {}
        password = "" if proxy.password is None else await self.pool.run(read_secret, proxy.password)
        pair = base64.b64encode(f"{proxy.username}:{password}".encode()).decode("ascii")
        remember(pair)  # also for a password that is too short to be known by itself
        return {"Proxy-Authorization": f"Basic {pair}"}


class Networks:
    """The networks of a configuration. Loading the authorities blocks for some milliseconds for each set of them."""

    def __init__(self, config: Config, *, pool: DaemonThreadPool, gate: HandshakeLimiter | None = None) -> None:
        """Raises NetworkError where a `ca_file` cannot be used."""
        gate = asyncio.Semaphore(HANDSHAKES) if gate is None else gate
        contexts: dict[Path | None, SSLContext] = {}
        self._by_name: dict[str, Network] = {}
        for module in config.modules.values():
            if module.ca_file not in contexts:
                contexts[module.ca_file] = _context(module)
            self._by_name[module.name] = Network(module, contexts[module.ca_file], pool=pool, gate=gate)

    def of(self, module: Module) -> Network:
        """Raises KeyError for a module of another configuration, also if it has the same name."""
        network = self._by_name[module.name]
        if network.module != module:
            raise KeyError(module.name)
        return network


def _context(module: Module) -> SSLContext:
    try:
        return make_context(module.ca_file)
    except OSError as error:
        raise NetworkError(f"module {module.name}: {module.ca_file} holds no usable certificate authority") from error


def _covers(entry: str, host: str) -> bool:
    """Whether an entry of `no_proxy` names this host: `*`, the host itself, or a domain above it, as curl reads them."""
    domain = entry.lower().lstrip(".")
    return entry == "*" or host == domain or host.endswith("." + domain)


def split_url(url: str) -> tuple[str, int]:
    """Host and port of an https URL, or of `host[:port]`."""
    authority = url.removeprefix("https://").partition("/")[0]
    return split_host_port(authority) if ":" in authority.rpartition("]")[2] else (authority.strip("[]").lower(), 443)
