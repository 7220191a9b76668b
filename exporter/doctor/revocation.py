"""Test whether the revocation host of a certificate answers on port 80.

It sends one HEAD request over plain HTTP, as Windows does. Any response is a success; revocation lists are not read.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from exporter.clients.http.network import Network
from exporter.clients.http.resolver import Resolver
from exporter.clients.http.timed_sockets import make_context
from exporter.config.settings import Proxy, SecretUnreadableError
from exporter.runtime.exception_tree import drop_tracebacks
from exporter.runtime.os_errors import number_of, text_of
from exporter.runtime.shortage import shortage_of
from exporter.runtime.thread_pool import PoolExhausted

_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})")
_PROXY_REFUSES = frozenset({401, 403, 407})


async def problem_with(network: Network, url: str, *, deadline: float) -> str:
    """Return the host's problem, or an empty text if it answered in time.

    Raises PoolExhausted if this process lacks a descriptor, a thread or memory.
    """
    host, port = _host_port(url)
    proxy = network.proxy_for(host, port)
    try:
        async with asyncio.timeout_at(deadline):
            status = await (_direct(network, host, port, url) if proxy is None else _through(network, proxy, url))
    except TimeoutError:
        return "no response in time"
    except socket.gaierror:
        return "the name does not resolve"
    except SecretUnreadableError:
        return "the proxy's password cannot be read"
    except OSError as error:
        drop_tracebacks(error)
        lacking = shortage_of(error)
        if lacking is not None:
            raise PoolExhausted(f"the system grants no {lacking}", lacking) from None
        number = number_of(error)
        return text_of(number) if number else type(error).__name__.lower()
    if status is None:
        return "the response is not HTTP"
    refused = proxy is not None and (status in _PROXY_REFUSES or status >= 500)
    return f"the proxy answers HTTP {status}" if refused else ""


def host_of(url: str) -> str:
    return _host_port(url)[0]


def _host_port(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 80


async def _direct(network: Network, host: str, port: int, url: str) -> int | None:
    failure: OSError = socket.gaierror(socket.EAI_NONAME, "no address")
    for found in await Resolver(network.pool, network.module.connect_to).resolve(host, port):
        try:
            streams = await asyncio.open_connection(found["host"], found["port"])
        except OSError as error:
            failure = error
        else:
            return await _head(*streams, urlsplit(url).path or "/", host, {})
    raise failure


async def _through(network: Network, proxy: Proxy, url: str) -> int | None:
    parts = urlsplit(proxy.url)
    secure = parts.scheme == "https"
    context = await network.pool.run(make_context, network.module.ca_file) if secure else None
    headers = await network.proxy_headers()
    streams = await asyncio.open_connection(parts.hostname, parts.port or (443 if secure else 80), ssl=context)
    return await _head(*streams, url, host_of(url), headers)


async def _head(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, what: str, host: str, headers: Mapping[str, str]
) -> int | None:
    lines = [
        f"HEAD {what} HTTP/1.1",
        f"Host: {host}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    try:
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        await writer.drain()
        found = _STATUS.match(await reader.readline())
    except ValueError:  # a line that never ends
        return None
    finally:
        writer.transport.abort()
    return None if found is None else int(found[1])
