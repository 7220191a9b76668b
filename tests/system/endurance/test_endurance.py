"""One exporter runs through every scenario and uses no more resources than before.

One test measures a separate process through /proc. The other counts tasks and threads in this process. Scenarios of the
configuration, certificates, host identity and network are excluded: they cannot change while an exporter runs.
"""

import asyncio
import gc
import logging
import sys
import threading
import time
from collections import Counter

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.config.load import load_config
from exporter.runtime import tasks as tasks_module
from exporter.simulator.scenarios import SIMULATED
from tests.support.patience import PATIENCE
from tests.support.running import a_service
from tests.system.endurance.fleet import HEALTHY, PERMANENT, Fleet, output
from tests.system.endurance.procfs import at_rest, held, waited
from tests.system.prometheus.servers import running

pytestmark = pytest.mark.real

MEMORY = 1.04  # times the memory before; rounds differ by one or two percent
# Idle threads of the pool live for 30 s, and their number depends on concurrent lookups and file reads.
THREADS_BY_CHANCE = 2
# Of all probes: an exporter that blocks its own loop delays most. A machine that withholds its processor delays at most that share of them.
TAINTED = 0.25
REQUESTING = 1  # the connection of this test, which may be kept or cut as idle
REST_SECONDS = 5.0  # every target has a pause between probes in that time


def sums(exposition):
    """The sums of each sample over all targets and over the healthy targets."""
    every, healthy = Counter(), Counter()
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            every[sample.name] += sample.value
            if sample.labels.get("target") in HEALTHY:
                healthy[sample.name] += sample.value
    return every, healthy


async def test_process_resources_are_stable_after_every_scenario(simulator, client, tmp_path):
    config, management = simulator
    log = tmp_path / "exporter.log"
    flags = ("--config.file", config, "--web.listen-address", "127.0.0.1:0", "--history.limit", "3")
    began = time.monotonic()
    async with running(log, sys.executable, "-W", "error", "-m", "exporter", "run", *flags) as process:
        fleet = Fleet(client, await output(log, r"url=(http://\S+)"), management)
        await fleet.wait_for_permanent()
        await fleet.every_scenario()  # fills every cache and history
        await fleet.wait_for_permanent()
        before = await at_rest(process.pid, REST_SECONDS)
        count = await fleet.every_scenario()
        await fleet.wait_for_permanent()
        after = await at_rest(process.pid, REST_SECONDS)
        every, healthy = sums(await fleet.metrics())
        withheld = waited(process.pid) / (time.monotonic() - began)
    assert count + len(PERMANENT) == len(SIMULATED)
    assert after.sockets <= before.sockets + REQUESTING
    assert after.descriptors <= before.descriptors + REQUESTING
    assert after.threads <= before.threads + THREADS_BY_CHANCE
    assert after.memory <= before.memory * MEMORY, (before, after)
    assert healthy["ekm_probes_total"] > 3 * len(HEALTHY)
    assert healthy["ekm_probe_failures_total"] == 0
    assert every["ekm_probe_failures_total"] > 2 * count
    assert every["ekm_exporter_probes_tainted_total"] <= max(TAINTED, withheld) * every["ekm_probes_total"]
    assert every["ekm_exporter_internal_errors_total"] == 0
    assert process.returncode == 0
    for word in ("Traceback", "Exception ignored", "Unclosed", "never awaited"):
        assert word not in log.read_text()


def tasks():
    """The number of tasks of this loop by coroutine, without the current task."""
    return Counter(task.get_coro().__qualname__ for task in asyncio.all_tasks() if task is not asyncio.current_task())


async def at_a_standstill(service, wanted=None):
    """The minimum of tasks, threads, sockets and descriptors of this process without a schedule.

    A busy machine ends idle threads late: wait until the numbers are the wanted ones. What is left over stays.
    """
    loop = asyncio.get_running_loop()
    service._scheduler.reconcile([])
    last = loop.time() + PATIENCE
    while (found := await _least(loop)) != wanted and wanted is not None and loop.time() < last:
        pass
    service._scheduler.reconcile(service.config.targets.values())
    return found


async def _least(loop):
    seen, end = [], loop.time() + REST_SECONDS
    while loop.time() < end:
        seen.append(tasks())
        await asyncio.sleep(0.02)
    least = await at_rest("self", 0.5)
    return min(seen, key=Counter.total), least.threads - len(_pooled()), least.sockets, least.descriptors


def _pooled():
    """The threads of the loop's own pool, which starts a few, reuses them and ends with the loop."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("asyncio_")]


@pytest.fixture
def own_process(monkeypatch):
    """The resources of this process. Idle threads end early and the SDK logs nothing during the test."""
    monkeypatch.setattr(tasks_module, "IDLE_SECONDS", 0.2)
    monkeypatch.setattr(logging.getLogger("azure"), "level", logging.CRITICAL + 1)
    gc.collect()
    return held("self"), threading.active_count() - len(_pooled())


async def test_no_task_or_thread_is_left_over(simulator, client, own_process):
    (config, management), (held_at_first, threads_at_first) = simulator, own_process
    tasks_at_first = tasks()
    service = a_service(load_config(config).config, history_limit=3)
    await service.start()
    try:
        fleet = Fleet(client, service._web.urls[0], management)
        await fleet.wait_for_permanent()
        before = await at_a_standstill(service)
        await fleet.every_scenario(step=3)  # scenarios of one step and kind stand side by side
        await fleet.wait_for_permanent()
        after = await at_a_standstill(service, before)
    finally:
        await service.stop()
    await asyncio.sleep(0.3)  # the last idle threads end
    assert after == before
    assert tasks() == tasks_at_first
    async with asyncio.timeout(PATIENCE):  # an idle thread of an earlier test may end, too
        while threading.active_count() - len(_pooled()) > threads_at_first:  # noqa: ASYNC110 - a thread sets no event
            await asyncio.sleep(0.05)
    assert held("self").descriptors <= held_at_first.descriptors
