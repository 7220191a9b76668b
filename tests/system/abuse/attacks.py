"""Attacks of hostile clients. Each attack returns the statuses of its responses.

The tests assess them.
"""

import asyncio
import contextlib
import secrets
import ssl
from collections import Counter

import aiohttp

from tests.support.patience import PATIENCE
from tests.system.abuse.harness import PASSWORD, tls
from tests.unit.web.serving import basic


async def slow(port, number, *, until, shaken):
    """Hold a connection from one of eight addresses until `until` is set, and send one byte at a time.

    With `shaken`, after a TLS handshake.
    """
    with contextlib.suppress(OSError, ssl.SSLError, asyncio.IncompleteReadError):
        where = {"host": "127.0.0.1", "port": port, "local_addr": (f"127.0.0.{2 + number % 8}", 0)}
        if shaken:
            where |= {"ssl": tls(), "server_hostname": "localhost", "ssl_handshake_timeout": 30.0}
        _, writer = await asyncio.open_connection(**where)
        try:
            writer.write(b"GET /metrics HTTP/1.1\r\nX-Slow: ")
            while not until.is_set() and not writer.transport.is_closing():
                writer.write(b"a")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        await until.wait()
        finally:
            writer.transport.abort()


async def guesses(port, numbers):
    """Send a wrong password for each number over one connection. Returns the count of each status."""
    answered = Counter()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls(), limit=1)) as session:
        for number in numbers:
            user = "prometheus" if number % 2 else secrets.token_hex(4)
            headers = {"Authorization": basic(user, f"guess {number}")}
            try:
                async with session.get(f"https://127.0.0.1:{port}/metrics", headers=headers) as answer:
                    answered[answer.status] += 1
                    assert "ekm_" not in await answer.text()
            except aiohttp.ClientConnectionError:
                answered["cut"] += 1
    return answered


async def oversized(port):
    """Send megabytes of headers and endless lines. Returns the count of each status and of cut connections."""
    answered = Counter()
    junk = [b"X-%d: %s\r\n" % (number, b"a" * 8000) for number in range(500)]
    for head in (b"GET / HTTP/1.1\r\n" + b"".join(junk), b"GET /" + b"a" * 4_000_000, b"\x00" * 4_000_000, b"\r\n" * 2_000_000):
        for _ in range(5):
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls(), server_hostname="localhost")
                first = b""
                try:
                    writer.write(head)
                    async with asyncio.timeout(PATIENCE):
                        with contextlib.suppress(OSError):
                            first = await reader.readline()
                finally:
                    writer.transport.abort()
                answered[first.split(b" ")[1].decode() if first.startswith(b"HTTP/") else "cut"] += 1
    return answered


async def unknown(port, count):
    """Request unknown paths with the right password. Returns the count of each status."""
    answered = Counter()
    paths = (
        "/probe?target={}", "/targets/{}", "/targets/{}/probes/{}", "/explain/{}", "/api/v1/targets/{}", "/{}",
        "/probe?target=target-0&module={}", "/targets?page={}", "/..%2f..%2f{}", "/%3Cscript%3E{}", "/probe?target=%00{}",
    )  # fmt: skip
    headers = {"Authorization": basic("prometheus", PASSWORD)}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls()), headers=headers) as session:
        for number in range(count):
            junk = secrets.token_hex(4) + "'\"<>" * (number % 50)
            path = paths[number % len(paths)].replace("{}", junk.replace("<", "%3C").replace(">", "%3E").replace('"', "%22"))
            try:
                async with session.get(f"https://127.0.0.1:{port}{path}", allow_redirects=False) as answer:
                    answered[answer.status] += 1
                    await answer.read()
            except aiohttp.ClientConnectionError:
                answered["cut"] += 1
    return answered
