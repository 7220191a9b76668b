"""Processes of the exporter, started like those of a user, and a simulator for them."""

import asyncio
import contextlib
import json
import os
import re
import resource
import signal
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.config.load import load_config
from exporter.simulator.build import build_environment, write_config
from exporter.simulator.simulator import Simulator
from tests.support.patience import PATIENCE

# Marked secrets of two kinds of credentials. No process may emit them.
SECRETS = {"sql-prod": "MARKED~client.secret_8Q", "sql-typed": "c7a1f0e8d29b4c56a3e47d8b1f60925eMARKED-typed-secret_9Z"}

CONFIG = """\
global: {interval: 4s, timeout: 2s, min_interval: 1s, connector_generation: classic, vantage: sql_host}
credentials:
  sql-prod: {type: client_secret, tenant_id: 5f2a9c1e-0b7d-4c36-9e58-3a1d7c2b8f40, client_id: 2b8e4d70-6c1f-4a95-8d23-9f0e5b7a1c64, client_secret_file: sql-prod, expires_on: 2099-01-01}
  sql-typed: {type: connector_secret, secret_file: sql-typed, expires_on: 2099-01-01}
target_defaults: {credential: sql-prod, labels: {env: test, team: dba}}
targets:
  - {name: fine, vault: vault-fine, key: KeyA/4f1c8e2a9b7d4036a5e1c7f20b9d8346, instances: [{sql_instance: SQL01, host: n1, ag: AG1}]}
  - {name: typed, vault: vault-typed, key: KeyB/0a9e7d5c3b1f4862904e6d8c2a7f5b13, credential: sql-typed, interval: 1h, timeout: 30m}
  - {name: broken, vault: vault-broken, key: KeyC/7c5a3f1e9d8b4620813e5c7a9f0d2b46, instances: [{sql_instance: SQL02, host: n2}]}
"""


@pytest.fixture(autouse=True)
def default_hangup():
    """A run under `nohup` ignores SIGHUP, and so would the processes that a test starts."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@dataclass
class Running:
    """A running command and its output."""

    process: asyncio.subprocess.Process
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)
    readers: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.out + self.err)

    async def read(self, stream: asyncio.StreamReader, lines: list[str]) -> None:
        async for line in stream:
            lines.append(line.decode())  # noqa: PERF401 - other tasks read the list meanwhile

    async def output(self, pattern: str, *, within: float = PATIENCE) -> re.Match[str]:
        """The first match in the output. Fails with the whole output if the process ends or is too slow."""
        async with asyncio.timeout(within):
            while (match := re.search(pattern, self.text)) is None:
                assert self.process.returncode is None, self.text
                await asyncio.sleep(0.02)
        return match

    async def stop(self, number: int = signal.SIGTERM, *, within: float = PATIENCE) -> int:
        """Send a signal and return the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await self.end(within=within)

    async def end(self, *, within: float = PATIENCE) -> int:
        async with asyncio.timeout(within):
            code = await self.process.wait()
            await asyncio.gather(*self.readers)
        return code


@pytest.fixture
async def command():
    """Start commands that report what they leave open, and whose warnings are errors. That takes a quarter longer."""
    async with commands("-X", "dev", "-W", "error") as start:
        yield start


@pytest.fixture
async def plain_command():
    """Start commands like those of a user."""
    async with commands() as start:
        yield start


@contextlib.asynccontextmanager
async def commands(*python: str):
    """Start `ekm-exporter ARGUMENTS`, with these options of Python. Kill running processes at the end."""
    started: list[Running] = []

    async def start(*arguments: object, files: int | None = None, **environment: str) -> Running:
        """`files`: how many the process may open."""
        limit = None if files is None else partial(resource.setrlimit, resource.RLIMIT_NOFILE, (files, files))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *python, "-m", "exporter", *map(str, arguments)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **environment},
            preexec_fn=limit,
        )
        running = Running(process)
        assert process.stdout is not None
        assert process.stderr is not None
        for stream, lines in ((process.stdout, running.out), (process.stderr, running.err)):
            running.readers.append(asyncio.create_task(running.read(stream, lines)))
        started.append(running)
        return running

    try:
        yield start
    finally:
        for running in started:
            with contextlib.suppress(ProcessLookupError):
                running.process.kill()
            await running.end()


@dataclass
class SimulatorClient:
    """A simulator that serves `CONFIG`. `config` is the configuration of an exporter for it."""

    config: Path
    management: str

    async def break_(self, **fault: object) -> None:
        async with aiohttp.ClientSession() as session, session.post(f"{self.management}/sim/fault", json=fault) as answer:
            assert answer.status == 200, await answer.text()

    async def repair(self) -> None:
        async with aiohttp.ClientSession() as session, session.delete(f"{self.management}/sim/fault") as answer:
            assert answer.status == 200

    async def requests(self) -> list[dict[str, object]]:
        async with aiohttp.ClientSession() as session, session.get(f"{self.management}/sim/requests") as answer:
            return json.loads(await answer.text())["requests"]


def write_configuration(folder: Path) -> Path:
    """Write `CONFIG` and its secrets. Returns the path of the configuration."""
    for name, secret in SECRETS.items():
        (folder / name).write_text(secret + "\n")
        (folder / name).chmod(0o600)
    (folder / "ekm.yml").write_text(CONFIG)
    return folder / "ekm.yml"


@pytest.fixture
def sql_port():
    """Simulate no SQL Server. A module of tests can replace this with 0, for free ports."""


@pytest.fixture
async def simulator(tmp_path, sql_port):
    """In this process: the start of another one takes a second of a processor."""
    config = load_config(write_configuration(tmp_path)).config
    async with Simulator(build_environment(config), sql_port=sql_port) as made:
        yield SimulatorClient(write_config(made, config, tmp_path / "sim"), made.management_url)


@pytest.fixture
def exporter(command, simulator):
    """Start `run` with the simulator. Returns the process and its URL, by default after a probe of every target."""

    async def start(*flags: object, wait: bool = True) -> tuple[Running, str]:
        running = await command("run", "--config.file", simulator.config, "--web.listen-address", "127.0.0.1:0", *flags)
        url = (await running.output(r"url=(http://\S+)"))[1]
        async with asyncio.timeout(PATIENCE):
            while wait and (await fetch(f"{url}/-/ready", status=None))[0] != 200:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
        return running, url

    return start


async def fetch(url: str, *, status: int | None = 200, **headers: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        text = await answer.text()
    assert status in (None, answer.status), f"{answer.status}: {text}"
    return answer.status, text


async def until(check):
    """Wait until `check` returns a true value, and return it."""
    async with asyncio.timeout(PATIENCE):
        while not (found := await check()):  # noqa: ASYNC110 - the other process sends no event
            await asyncio.sleep(0.25)  # making and reading a scrape takes both processes 20 ms
    return found


@pytest.fixture
def get():
    return fetch


@pytest.fixture
def samples():
    """A function that returns the values of the samples with a name and labels in an exposition."""

    def query(text: str, name: str, **labels: str) -> list[float]:
        return [
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]

    return query
