"""Plays stories of SQL Servers: T-SQL over TDS, the monitor of `run`, its series, and the pages.

The clock is the test's own, so a day takes seconds. The SQL Servers of all stories stand in one simulator.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest
import yaml

from exporter.app.sql_servers import SqlServerReadings
from exporter.cli.main import main
from exporter.config.settings import Settings
from exporter.core.values import TokenResult
from exporter.knowledge.expiry import CredentialExpiry, Source
from exporter.knowledge.report import ProbeReport
from exporter.presentation.payloads import Payload, gate_row
from exporter.simulator.build import build_environment, redirect_config, simulated_sql_servers
from exporter.simulator.environment import DaySettings, Environment
from exporter.simulator.simulator import Simulator
from exporter.sqlserver import monitor
from exporter.sqlserver.monitor import Attempt, ServerReader, ServerState, SqlServerMonitor
from exporter.sqlserver.reading import SqlServerReading
from tests.support import web_server
from tests.support.factories import with_sql_servers
from tests.support.patience import PATIENCE
from tests.support.running import a_prober
from tests.support.simulated_sql import OLD, configuration
from tests.support.values import replace
from tests.support.web_server import get, serving, words
from tests.support.written import write_private

BEGIN = 1_772_431_200.0  # Monday, 2026-03-02 06:00 UTC
MINUTE, DAY = 60.0, 86400.0
EXPORTER = 'job="ekm",instance="c:10377"'
CREDENTIALS = {"tde": "1", "tde-own": "2", "tde-half": "3"}
_HEALTHY = DaySettings()
_SERIES = re.compile(r"(mssql_ekm_\w+|ekm_target_info|ekm_instance_info|ekm_vault_side_ready)\{(.*)\} (\S+)")


@dataclass(frozen=True)
class Story:
    """One target with its SQL Servers, and what happens to them.

    `nodes` are hosts. `events` has what happens by minute. `read` are the minutes of the readings. `shown` are those at which the page, the JSON
    and the texts of the alerts are taken.
    """

    name: str
    read: tuple[int, ...]
    shown: tuple[int, ...]
    nodes: tuple[str, ...] = ("n1",)
    events: Mapping[int, Callable[[Simulator], object]] = field(default_factory=dict)
    day: DaySettings = _HEALTHY
    credential: str = "tde"
    asked: tuple[str, ...] = ()  # NODE, or AG: what the gate is asked at each shown minute

    @property
    def target(self) -> dict[str, Any]:
        group = {"ag": f"AG-{self.name}"} if len(self.nodes) > 1 else {}
        return {
            "name": self.name,
            "vault": f"contoso-{self.name}",
            "key": f"TdeKey/{OLD}",
            "thumbprint": f"0x{self.name.encode().hex().upper():A<40}",
            "credential": self.credential,
            "connector_generation": "current",
            "instances": [{"sql_instance": self.name.upper(), "host": node, **group} for node in self.nodes],
        }

    def server(self, node: str) -> str:
        """Return @@SERVERNAME."""
        return f"{node}\\{self.name}".upper()


@dataclass(frozen=True)
class GateAnswer:
    """What the command `gate` exits with and prints about the vault's side, and the conditions and texts of the whole question."""

    code: int
    verdict: str
    conditions: list[str]
    missing: list[str]
    text: str


@dataclass
class Observed:
    """What operators see of a story, by minute: pages, JSON, series, and alerts with their labels and texts."""

    pages: dict[int, str] = field(default_factory=dict)
    overviews: dict[int, str] = field(default_factory=dict)
    documents: dict[int, dict[str, Any]] = field(default_factory=dict)
    answers: dict[tuple[int, str], GateAnswer] = field(default_factory=dict)
    samples: dict[int, dict[str, float]] = field(default_factory=dict)
    firing: dict[int, list[tuple[str, str]]] = field(default_factory=dict)
    texts: dict[tuple[int, str], str] = field(default_factory=dict)

    def fires(self, alert: str) -> tuple[int, int] | None:
        """Return the first and the last minute at which an alert fires, if it fires at each reading between them."""
        found = [minute for minute, alerts in self.firing.items() if alert in dict(alerts)]
        whole = [minute for minute in self.firing if found and found[0] <= minute <= found[-1]]
        return (found[0], found[-1]) if found and found == whole else None

    def alerts(self, *minutes: int) -> set[str]:
        """Return the names of the alerts that fire at one of these minutes, or at any."""
        return {name for minute in minutes or self.firing for name, _ in self.firing[minute]}

    def hosts(self, alert: str) -> set[str]:
        """Return the hosts for which an alert fires at any time."""
        return {
            re.findall(r'\bhost="(\w+)"', labels)[0] for found in self.firing.values() for name, labels in found if name == alert
        }

    def text(self, minute: int, alert: str) -> str:
        """Return labels and annotations of the alerts of this name that fire at a minute; empty if none does."""
        return self.texts.get((minute, alert), "")

    def value(self, minute: int, series: str, *labels: str) -> float:
        """Return the only value of a series with these labels at a minute."""
        names = [each for each in self.samples[minute] if each.startswith(f"{series}{{") and all(one in each for one in labels)]
        return self.samples[minute][names[0]] if len(names) == 1 else pytest.fail(f"{series} is there {len(names)} times")


@dataclass
class Clock:
    """Unix time, which the runner moves."""

    minute: int = 0

    def __call__(self) -> float:
        return BEGIN + self.minute * MINUTE


class SteppedReader(ServerReader):
    """The reader of `run`, for which a server is busy until the runner wants it to be read, once in each step."""

    def __init__(self) -> None:
        super().__init__(no_token)
        self.wanted: set[str] = set()

    def is_busy(self, address: str) -> bool:
        return address not in self.wanted or super().is_busy(address)

    async def read(self, state: ServerState, at: float) -> Attempt | None:
        self.wanted.discard(state.server.address)
        return await super().read(state, at)


async def no_token(credential: str) -> TokenResult:
    raise AssertionError(credential)


class StoryRunner:
    """Plays stories, and collects what operators see. Use it as a context manager."""

    def __init__(self, folder: Path, stories: Iterable[Story]) -> None:
        self._folder, self._stack, self.clock = folder, contextlib.AsyncExitStack(), Clock()
        self.stories = {story.name: story for story in stories}
        self.observed = {name: Observed() for name in self.stories}
        self._reports: dict[str, ProbeReport] = {}
        self._readings: Callable[[], tuple[SqlServerReading, ...]] = tuple
        self.verdicts: set[bool | None] = set()

    async def __aenter__(self) -> Self:
        config = configuration(self._folder, self._configuration())
        simulator = Simulator(_long_healthy(build_environment(config), self.stories.values()), sql_port=0, clock=self.clock)
        self.simulator = await self._stack.enter_async_context(simulator)
        assert self.simulator.sql is not None
        ca = self._folder / "ca.pem"
        ca.write_bytes(self.simulator.ca_pem)
        write_private(self._folder / "sql-password", self.simulator.sql.password)
        servers = simulated_sql_servers(self.simulator, self._folder)
        self.addresses = dict(zip(self.simulator.sql.ports, servers, strict=True))
        self.config = with_sql_servers(redirect_config(self.simulator, config, ca), *servers.values())
        self.service = web_server.Service(self.config)
        self.service.sql_readings = self.readings
        patch = self._stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(monitor, "BUSY_SECONDS", 0.02)
        for module in ("app", "api"):
            patch.setattr(f"exporter.web.{module}.time", SimpleNamespace(time=self.clock))
        patch.setattr("exporter.cli.gate.time", SimpleNamespace(time=self.clock))
        patch.setattr("exporter.app.sql_servers.time", SimpleNamespace(time=self.clock))
        for name in CREDENTIALS:
            self.service.ends[name] = (CredentialExpiry(credential=name, source=Source.DECLARED, expires_at=BEGIN + 900 * DAY),)
        self._session = await self._stack.enter_async_context(serving(self.service))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def _configuration(self) -> str:
        for name, number in CREDENTIALS.items():
            (self._folder / f"{name}.txt").write_text(f"{number:0>32}marked-secret")
        credentials = {
            name: {"type": "connector_secret", "secret_file": f"{name}.txt", "expires_on": "2099-01-01"} for name in CREDENTIALS
        }
        return yaml.safe_dump({"credentials": credentials, "targets": [story.target for story in self.stories.values()]})

    @contextlib.asynccontextmanager
    async def reading(self, reader: ServerReader, interval: float) -> AsyncIterator[None]:
        """Read the SQL Servers as `run` does, with this reader and clock."""
        config = replace(self.config, settings=Settings(sql_interval=interval))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(monitor, "ServerReader", lambda _token_of, _ends_of: reader)
            patch.setattr(monitor, "SqlServerMonitor", partial(SqlServerMonitor, clock=self.clock, draw=lambda: 0.0))
            store = self.service.state
            errors: list[Exception] = []
            self.sql = readings = SqlServerReadings(
                store, self.service.recorder, enabled=True, target_rows=self._target_rows, on_internal_error=errors.append
            )
            self._readings, self.service.sql_differences = readings.readings, readings.differences
            try:
                await readings.apply(config, self.config)
                assert readings._following is not None
                readings._following.cancel()  # the runner itself has what follows from a reading found, once in each step
                yield
            finally:
                await readings.aclose()
            assert errors == []

    def _target_rows(self, now: float) -> Iterator[Payload]:
        for target in self.config.targets.values():
            credential = self.config.credentials[target.credential]
            yield gate_row(target, self.service.state.get(target.name), credential, self.service.ends[target.credential], now=now)

    async def run(self) -> None:
        """Play every story to its end."""
        reader = SteppedReader()
        async with self.reading(reader, interval=0.01):
            for minute in sorted({minute for story in self.stories.values() for minute in (*story.read, *story.events)}):
                self.clock.minute = minute
                await self._step(minute, reader)

    async def _step(self, minute: int, reader: SteppedReader) -> None:
        happened = [story for story in self.stories.values() if minute in story.events]
        for story in happened:
            story.events[minute](self.simulator)
        read = [story for story in self.stories.values() if minute in story.read]
        for story in {story.name: story for story in (*happened, *read)}.values():
            await self.probe(story, fresh=story in happened)
        wanted = {self.addresses[story.server(node)] for story in read for node in story.nodes}
        reader.wanted |= wanted
        samples: dict[str, dict[str, float]] = {story.name: {} for story in read}
        async with asyncio.timeout(PATIENCE):
            while not all(_is_of(minute, story, samples[story.name]) for story in read):
                await asyncio.sleep(0.01)
                if wanted <= {each.address for each in self.readings() if each.attempted_at == self.clock()}:
                    samples = await self._samples(read)
        await self.sql._find_readiness()
        samples = await self._samples(read)
        for story in read:
            self.observed[story.name].samples[minute] = samples[story.name]
            if minute in story.shown:
                await self.take_pages(story)

    async def _samples(self, stories: Iterable[Story]) -> dict[str, dict[str, float]]:
        exposed = await self.scraped()
        return {story.name: samples_of(story, exposed) for story in stories}

    async def scraped(self) -> str:
        return b"".join([piece async for piece in self.service.recorder.scrape(openmetrics=False)]).decode()

    async def take_pages(self, story: Story) -> None:
        """Take the pages and the JSON of a target."""
        observed, minute = self.observed[story.name], self.clock.minute
        observed.pages[minute] = words((await get(self._session, f"/targets/{story.name}"))[2])
        observed.overviews[minute] = words((await get(self._session, "/"))[2])
        async with self._session.get(f"/api/v1/targets/{story.name}") as response:
            observed.documents[minute] = await response.json()
            url = str(response.url.origin())
        for asked in story.asked:
            which = ["--ag", f"AG-{story.name}"] if asked == "AG" else ["--instance", story.server(asked)]
            observed.answers[minute, asked] = await asyncio.to_thread(self._gate, [*which, "--url", url])

    def _gate(self, flags: Iterable[str]) -> GateAnswer:
        """Run the command. The whole question rests on other stories, too: their servers have the same client."""
        command, answers, code = ["gate", *flags, "--for", "0s", "--json", "--inventory", str(self._folder / "none")], [], 0
        for more in ([], ["--vault-side"]):
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                code = main([*command, *more])
            answers.append(json.loads(printed.getvalue()))
        conditions = [[each["condition"] for each in answer["reasons"]] for answer in answers]
        text = " ".join(each["text"] for each in answers[0]["reasons"])
        return GateAnswer(code, answers[1]["answer"], conditions[1], conditions[0], text)

    async def probe(self, story: Story, *, fresh: bool) -> ProbeReport:
        """Probe the target if something happened; otherwise its last report holds."""
        target = self.config.targets[story.name]
        if fresh or story.name not in self._reports:
            async with a_prober(self.config) as prober, asyncio.timeout(PATIENCE):
                while (report := await prober.probe_on_demand(target)) is None or report.discarded:
                    pass
            self._reports[story.name] = report
        report = replace(self._reports[story.name], started_at=self.clock())
        self.service.recorder.record(report, self.service.state.record(target, report))
        return report

    def readings(self) -> tuple[SqlServerReading, ...]:
        return self._readings()


def _long_healthy(environment: Environment, stories: Iterable[Story]) -> Environment:
    """Return the servers of the stories, started and altered long before the clock begins."""
    days = {story.server(node).lower(): story.day for story in stories for node in story.nodes}
    servers = {
        name: replace(server, started=BEGIN - 10 * DAY, altered=BEGIN - 40 * DAY, day=days[name])
        for name, server in environment.sql_servers.items()
    }
    return replace(environment, sql_servers=servers)


def _is_of(minute: int, story: Story, samples: Mapping[str, float]) -> bool:
    """Return whether the series of each node are from a reading at this minute."""
    name = "mssql_ekm_section_timestamp_seconds{"
    times = [at for series, at in samples.items() if series.startswith(name) and 'section="instance"' in series]
    return times == [minute * MINUTE] * len(story.nodes)


def samples_of(story: Story, exposed: str) -> dict[str, float]:
    """Return the series of a story with the labels of a scrape. Times are seconds since the clock began."""
    return dict(_samples(story, exposed))


def _samples(story: Story, exposed: str) -> Iterator[tuple[str, float]]:
    for name, labels, value in _SERIES.findall(exposed):
        if f'target="{story.name}"' in labels or f'sql_instance="{story.name.upper()}"' in labels:
            begin = BEGIN if name.endswith("_timestamp_seconds") and float(value) else 0.0
            yield f"{name}{{{EXPORTER},{labels}}}", float(value) - begin
