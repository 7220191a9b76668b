"""Processes of the system tests, and HTTP queries."""

import asyncio
import atexit
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.patience import PATIENCE, PROGRAM_SECONDS

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


async def answered(url: str, good: Callable[[str], bool], *, seconds: float = PATIENCE) -> str:
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
    """Run a process that writes to `log`. End it with SIGTERM, and with SIGKILL if that does not suffice."""
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
                async with asyncio.timeout(PATIENCE):
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
        self, expression: str, good: Callable[[list[dict[str, Any]]], bool], *, seconds: float = PATIENCE
    ) -> list[dict[str, Any]]:
        result: list[dict[str, Any]] = []
        try:
            async with asyncio.timeout(seconds):
                while not good(result := await self.query(expression)):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.2)
        except TimeoutError:
            pytest.fail(f"{expression} gave only {result}")
        return result


def _fail_with(log: Path) -> None:
    pytest.fail(log.read_text())


@contextlib.asynccontextmanager
async def started(
    log: Path,
    url: str,
    *command: object,
    good: Callable[[str], bool] = lambda _: True,
    environment: dict[str, str] | None = None,
) -> AsyncIterator[None]:
    """Run a process, whose output fails the test if `url` does not become `good` within a minute."""
    async with running(log, *map(str, command), environment=environment):
        try:
            await answered(url, good, seconds=PATIENCE)
        except TimeoutError:
            _fail_with(log)
        yield


@contextlib.asynccontextmanager
async def demo(
    place: Path, *flags: str, page: str = "/metrics", good: Callable[[str], bool] = lambda text: "ekm_probe_success{" in text
) -> AsyncIterator[str]:
    """Run `ekm-exporter demo` until the end; yields its address once a page is as wanted."""
    address = f"127.0.0.1:{free_port()}"
    command = (sys.executable, "-m", "exporter", "demo", "--web.listen-address", address, *flags)
    async with started(place / "log", f"http://{address}{page}", *command, good=good, environment={"TMPDIR": str(place)}):
        yield address


def major_version() -> int:
    """Return the major version of the Prometheus on the PATH."""
    done = subprocess.run(["prometheus", "--version"], capture_output=True, text=True, check=True, timeout=PROGRAM_SECONDS)  # noqa: S607 - as a user would
    return int(done.stdout.split("version ", 1)[1].partition(".")[0])


@contextlib.asynccontextmanager
async def prometheus_of(place: Path, configuration: str, *flags: str) -> AsyncIterator[Prometheus]:
    """Run a Prometheus with this configuration, and the data in `place`."""
    address = f"127.0.0.1:{free_port()}"
    (place / "prometheus.yml").write_text(configuration)
    paths = (f"--config.file={place}/prometheus.yml", f"--storage.tsdb.path={place}/data", f"--web.listen-address={address}")
    async with started(place / "log", f"http://{address}/-/ready", "prometheus", *paths, *flags):
        yield Prometheus(f"http://{address}")
