"""An outage is shown on a slow host, and a slow host is no outage.

A real exporter with real sockets, whose process gets no time: the test stops it again and again. An exporter that gets enough of it
shows each silent vault; one that does not says so, and never that a vault fails.
"""

import asyncio
import contextlib
import json
import os
import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.config.load import load_config
from exporter.simulator.build import build_environment, write_config
from exporter.simulator.simulator import Simulator
from tests.support.patience import PATIENCE
from tests.support.slow_host import silent_vaults, stolen, written
from tests.system.endurance.fleet import output
from tests.system.prometheus.servers import answered, fetch, running

pytestmark = pytest.mark.real

TARGETS, INTERVAL, TIMEOUT = 12, 6.0, 3.0
# Seconds in which the exporter runs and is stopped, in turn.
NEVER, FIVE_PERCENT, FIFTH, QUOTA = (3600.0, 0.0), (2.85, 0.15), (0.8, 0.2), (0.015, 0.085)
DISCARDED, FAILURES = "ekm_exporter_probes_tainted_total", "ekm_probe_failures_total"
RESULTS = ("ekm_probe_success", "ekm_vault_side_ready", "ekm_step_success", "ekm_last_error_code", "ekm_last_failure_info")


@dataclass
class Host:
    """A running exporter, its log, and the management port of the simulator of its vaults."""

    pid: int
    url: str
    log: Path
    management: str = ""

    async def fault(self, **fault: object) -> None:
        async with aiohttp.ClientSession() as session:
            for number in range(TARGETS):
                body = {"vault": f"vault{number}.vault.azure.net", **fault}
                async with session.post(f"{self.management}/sim/fault", json=body) as answer:
                    assert answer.status == 200, await answer.text()

    async def until(self, family: str, value: float | None, count: int = TARGETS) -> str:
        """Wait until this many targets have this value, or until none has one. Returns the scrape."""
        wanted = {} if value is None else {value: count}
        return await answered(f"{self.url}/metrics", lambda text: values(text, family) == wanted)


def values(text: str, family: str) -> Counter[float]:
    found = (sample for each in text_string_to_metric_families(text) for sample in each.samples)
    return Counter(sample.value for sample in found if sample.name == family)


def total(text: str, counter: str) -> float:
    return sum(value * count for value, count in values(text, counter).items())


@contextlib.asynccontextmanager
async def started(config: Path, folder: Path):
    log = folder / "exporter.log"
    flags = ("--config.file", config, "--web.listen-address", "127.0.0.1:0", "--history.limit", "5")
    async with running(log, sys.executable, "-m", "exporter", "run", *flags) as process:
        yield Host(process.pid, await output(log, r"url=(http://\S+)"), log)
    assert "Traceback" not in log.read_text()


@pytest.fixture
async def host(tmp_path):
    """An exporter whose vaults are all healthy."""
    config = load_config(written(tmp_path, targets=TARGETS, interval=INTERVAL, timeout=TIMEOUT)).config
    async with (
        Simulator(build_environment(config)) as made,
        started(write_config(made, config, tmp_path / "sim"), tmp_path) as host,
    ):
        host.management = made.management_url
        await host.until("ekm_probe_success", 1)
        yield host


@pytest.mark.parametrize("pauses", [NEVER, FIVE_PERCENT, FIFTH], ids=["no pauses", "5 %", "20 %"])
async def test_a_silent_vault_is_red_after_its_first_probe_although_the_host_has_pauses(host, pauses):
    """A probe begins within an interval and a tenth, so all are red within two intervals and a timeout."""
    async with stolen(host.pid, *pauses):
        before = total(await fetch(f"{host.url}/metrics"), DISCARDED)
        await host.fault(fault="silent")
        text = await host.until("ekm_probe_success", 0)
        assert values(text, "ekm_vault_side_ready") == {0: TARGETS}
        assert total(text, DISCARDED) == before


async def test_the_command_says_that_a_quota_took_its_time(tmp_path):
    async with silent_vaults() as port:
        config = written(tmp_path, targets=1, interval=INTERVAL, timeout=TIMEOUT, port=port)
        command = (sys.executable, "-m", "exporter", "probe", "vault0", "--config.file", config)
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        async with stolen(process.pid, *QUOTA), asyncio.timeout(PATIENCE):
            shown, _ = await process.communicate()
    assert re.search(rb"^result +discarded: this host is too slow \(\d+ % of the time lost\)$", shown, re.MULTILINE), shown
    assert process.returncode == 1


async def test_2500_silent_vaults_on_one_core_are_red(tmp_path):
    async with silent_vaults() as port:
        config = written(tmp_path, targets=2500, interval=60, timeout=10, port=port)
        async with started(config, tmp_path) as host:
            os.sched_setaffinity(host.pid, {min(os.sched_getaffinity(0))})
            await host.until("ekm_probe_success", 0, 2500)


async def test_a_stop_and_a_quota_are_no_outage_of_healthy_vaults(host):
    """Probes of two seconds, so that some are under way at each stop. They have no answer at its end, or one too late."""
    before = await fetch(f"{host.url}/metrics")
    await host.fault(fault="slow", seconds=0.4)
    await asyncio.sleep(INTERVAL)  # of most targets, the probe is a slow one
    text = before
    async with asyncio.timeout(PATIENCE):
        while total(text, DISCARDED) == total(before, DISCARDED):
            async with stolen(host.pid, 0.1, 2.5 * TIMEOUT):
                await asyncio.sleep(1.0)
            await asyncio.sleep(TIMEOUT)
            text = await fetch(f"{host.url}/metrics")
    async with stolen(host.pid, *QUOTA):
        await asyncio.sleep(2 * INTERVAL)
    text = await host.until("ekm_probe_success", 1)
    assert total(text, FAILURES) == total(before, FAILURES)


async def test_a_silent_vault_is_not_measured_while_a_quota_stops_the_exporter(host):
    """Neither green nor red, on each way out; the log says it once, and once that it is over."""
    async with stolen(host.pid, *QUOTA):
        before = total(await fetch(f"{host.url}/metrics"), FAILURES)
        await host.fault(fault="silent")
        text = await host.until("ekm_probe_success", None)
        assert [family for family in RESULTS if values(text, family)] == []
        assert total(text, FAILURES) == before
        rows = json.loads(await fetch(f"{host.url}/api/v1/targets"))["targets"]
        assert {(row["success"], row["vault_side_ready"], row["why"]) for row in rows} == {(None, None, "not_measured")}
        page = re.sub(r"<[^>]+>", "", await fetch(f"{host.url}/"))
        assert re.search(
            rf"{TARGETS} of {TARGETS} targets are not measured: this host is too slow \(up to \d+ % of the time lost\)", page
        )
        answer = await fetch(f"{host.url}/probe", target="vault0")
        assert (values(answer, "probe_success"), values(answer, "ekm_probe_tainted")) == ({0: 1}, {1: 1})
    await host.until("ekm_probe_success", 0)
    async with asyncio.timeout(PATIENCE):
        while "all targets are measured again" not in host.log.read_text():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)
    assert host.log.read_text().count("not measured: this host is too slow") == 1
