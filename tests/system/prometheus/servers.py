"""Processes of the system tests, and HTTP queries."""

import asyncio
import atexit
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

_reserved = contextlib.ExitStack()
atexit.register(_reserved.close)


def free_port() -> int:
    """A port without a listener, reserved until this process ends.

    It stays bound, so no other test gets it. A server that sets SO_REUSEADDR can listen on it.
    """
    port = _reserved.enter_context(socket.socket())
    port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    port.bind(("127.0.0.1", 0))
    return int(port.getsockname()[1])


async def fetch(url: str, **parameters: str) -> str:
    async with aiohttp.ClientSession(raise_for_status=True) as session, session.get(url, params=parameters) as answer:
        return await answer.text()


async def answered(url: str, good: Callable[[str], bool], *, seconds: float) -> str:
    """The first response of `url` that is `good`. Raises TimeoutError after `seconds`."""
    async with asyncio.timeout(seconds):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                if good(text := await fetch(url)):
                    return text
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def running(
    log: Path, *command: str | Path, environment: dict[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a process that writes to `log`. End it with SIGTERM, and with SIGKILL after ten seconds."""
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=out, stderr=out, env={**os.environ, **(environment or {})}
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):  # the process has ended already
                process.terminate()
            try:
                async with asyncio.timeout(60):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


@dataclass(frozen=True)
class Prometheus:
    """The query API of a running server."""

    url: str

    async def query(self, expression: str) -> list[dict[str, Any]]:
        return json.loads(await fetch(f"{self.url}/api/v1/query", query=expression))["data"]["result"]

    async def eventually(
        self, expression: str, good: Callable[[list[dict[str, Any]]], bool], *, seconds: float = 45
    ) -> list[dict[str, Any]]:
        result: list[dict[str, Any]] = []
        try:
            async with asyncio.timeout(seconds):
                while not good(result := await self.query(expression)):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.2)
        except TimeoutError:
            pytest.fail(f"{expression} gave only {result}")
        return result
