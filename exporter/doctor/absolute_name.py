"""The addresses of a name, and those without search domains, to detect one that answers with another host."""

from __future__ import annotations

import asyncio
import socket

from exporter.clients.http.resolver import Resolver, is_address

_NO_SUCH_NAME = frozenset(number for name in ("EAI_NONAME", "EAI_NODATA") if (number := getattr(socket, name, None)) is not None)


async def addresses_of(resolver: Resolver, name: str, port: int, *, deadline: float) -> tuple[str, ...] | None:
    """Return the addresses of a name; empty if there is no such name, None if the lookup failed.

    `deadline` is in loop time.
    """
    try:
        async with asyncio.timeout_at(deadline):
            return tuple(dict.fromkeys(found["host"] for found in await resolver.resolve(name, port)))
    except socket.gaierror as error:
        return () if error.errno in _NO_SUCH_NAME else None
    except (OSError, TimeoutError):
        return None


async def absolute_addresses(resolver: Resolver, host: str, port: int, *, deadline: float) -> tuple[str, ...] | None:
    """Return the addresses of `host` with a final dot; None for an address, an empty host or a failed lookup."""
    if not host or is_address(host):
        return None
    return await addresses_of(resolver, f"{host}.", port, deadline=deadline)
