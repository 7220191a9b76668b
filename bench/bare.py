"""A bare aiohttp script with the exchanges of a probe, as the lower limit of the cost.

Each probe has a new connection; the token is fetched once. A line of standard input has a number of probes and of seconds.
The script prints a line after these probes, and ends at an unexpected response.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import ssl
import sys
from collections.abc import AsyncIterator

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from bench.server import TENANT
from exporter.clients.answers import encode

_VERSION = "api-version=7.4"
_AT_ONCE = 4  # the maximum; at a slow rate probes do not overlap


class Loopback(AbstractResolver):
    """Resolves every name to loopback."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": family, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        """There is nothing to close."""


async def token(context: ssl.SSLContext, port: int) -> str:
    url = f"https://login.microsoftonline.com:{port}/{TENANT}/oauth2/v2.0/token"
    form = {"grant_type": "client_credentials", "client_id": "bench", "client_secret": "none"}
    connector = aiohttp.TCPConnector(ssl=context, resolver=Loopback())
    async with aiohttp.ClientSession(connector=connector) as session, session.post(url, data=form) as answer:
        return str((await answer.json())["access_token"])


async def probe(context: ssl.SSLContext, port: int, number: int, bearer: str) -> None:
    key = f"https://bench-{number:04}.vault.azure.net:{port}/keys/Key/{number:032x}"
    headers = {"Authorization": f"Bearer {bearer}"}
    value = encode(os.urandom(32))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context, resolver=Loopback())) as session:
        async with session.get(f"https://bench-{number:04}.vault.azure.net:{port}/keys?{_VERSION}") as answer:
            await answer.read()
        async with session.get(f"{key}?{_VERSION}", headers=headers) as answer:
            await answer.json()
        back = value
        for operation in ("wrapkey", "unwrapkey"):
            body = {"alg": "RSA-OAEP", "value": back}
            async with session.post(f"{key}/{operation}?{_VERSION}", headers=headers, json=body) as answer:
                back = (await answer.json())["value"]
        if back != value:
            raise SystemExit("other bytes came back")


async def wanted() -> AsyncIterator[tuple[int, float]]:
    while line := await asyncio.to_thread(sys.stdin.readline):
        count, seconds = line.split()
        yield int(count), float(seconds)


async def run(ca_file: str, port: int) -> None:
    context = ssl.create_default_context(cafile=ca_file)
    bearer, places = await token(context, port), asyncio.Semaphore(_AT_ONCE)

    async def one(number: int, delay: float) -> None:
        await asyncio.sleep(delay)
        async with places:
            await probe(context, port, number, bearer)

    print("ready=1", flush=True)
    async for count, seconds in wanted():
        await asyncio.gather(*(one(number, seconds * number / count) for number in range(count)))
        print("made=1", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ca", required=True)
    parser.add_argument("--port", type=int, required=True)
    args = parser.parse_args()
    asyncio.run(run(args.ca, args.port))


if __name__ == "__main__":
    main()
