"""Resolve host names with the system's resolver, on threads of the pool.

Every connection resolves its name again: a cached address would hide a DNS fault.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from functools import lru_cache

from aiohttp.abc import AbstractResolver, ResolveResult

from exporter.clients.http.exchange_timer import ExchangeTimer, current
from exporter.runtime.shortage import require_descriptor
from exporter.runtime.thread_pool import DaemonThreadPool


def split_host_port(text: str) -> tuple[str, int]:
    """Split `host:port` or `[v6]:port` into host and port. Raises ValueError."""
    host, _, port = text.rpartition(":")
    return host.removeprefix("[").removesuffix("]").lower(), int(port)


@lru_cache(maxsize=8192)
def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class Resolver(AbstractResolver):
    """A resolver that replaces host and port by `connect_to`, as curl's option does.

    TLS still verifies the original name.
    """

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
