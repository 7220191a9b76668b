"""From a fault to a page: each condition is caused, its page is read, the fault is healed, and the page ends."""

import asyncio
import random
import time

import pytest

from tests.system.alerts.drill import measured
from tests.system.alerts.drill.conditions import CONDITIONS, ENTRA, HEALTHY, configuration
from tests.system.alerts.drill.harness import SCALE, start_drill

pytestmark = pytest.mark.real

HOUR = 3600 / SCALE
MANY = tuple(f"target-{number:02}" for number in range(30))
EVERY = 3  # seconds between two probes of each of the many
RANDOM = 0.01  # share of probes that fail at random: ten times what the rules are designed for
# Faults that come and go: a lost packet, a busy vault, a service that fails for a moment.
PASSING = ("reset", "vault_throttled", "vault_unavailable", "closed")


async def test_each_condition_pages_with_its_cause_and_ends(drill):
    began = {one.name: await drill.break_(**one.fault) for one in CONDITIONS}
    pages = await asyncio.gather(*(drill.page(one.alert, env=one.name) for one in CONDITIONS))
    for one, (page, _) in zip(CONDITIONS, pages, strict=True):
        assert [word for word in (one.name, one.sql_server, *one.words) if word not in str(page)] == [], str(page)
    await drill.settle()
    assert {_about(page) for page in drill.pages()} == {(one.alert, one.name) for one in CONDITIONS}
    await drill.heal()
    healed = time.monotonic()
    ends = await asyncio.gather(*(drill.page(one.alert, env=one.name, action="resolve") for one in CONDITIONS))
    for one, (_, paged), (_, resolved) in zip(CONDITIONS, pages, ends, strict=True):
        measured.add(one.broken, one.alert, paged - began[one.name], resolved - healed)
    measured.add_page(next(page for one, (page, _) in zip(CONDITIONS, pages, strict=True) if one.name == "forbidden"))


async def test_entra_outage_is_one_page_and_none_of_a_vault(drill):
    began = await drill.break_(**ENTRA)
    _, paged = await drill.page("EkmEntraUnavailable")
    await drill.settle()
    assert_one_page(drill, "EkmEntraUnavailable")
    await drill.heal()
    healed = time.monotonic()
    _, resolved = await drill.page("EkmEntraUnavailable", action="resolve")
    measured.add("Entra ID issues no tokens", "EkmEntraUnavailable", paged - began, resolved - healed)


async def test_broken_name_resolution_is_one_page_of_the_host(drill):
    names = [one.name for one in CONDITIONS] + list(HEALTHY)
    began = await drill.break_every_name(names)
    _, paged = await drill.page("EkmEgressDown")
    await drill.settle()
    assert_one_page(drill, "EkmEgressDown")
    await drill.heal()
    healed = time.monotonic()
    _, resolved = await drill.page("EkmEgressDown", action="resolve")
    measured.add("no host name resolves on the exporter's host", "EkmEgressDown", paged - began, resolved - healed)


async def test_killed_exporter_pages(drill):
    drill.process.process.kill()
    began = time.monotonic()
    _, paged = await drill.page("EkmExporterDown")
    measured.add("the exporter is killed", "EkmExporterDown", paged - began, None)


async def test_hour_with_random_failures_causes_no_page(command, tmp_path):
    draw = random.Random(3011)  # noqa: S311 - chance that can be repeated
    async with start_drill(
        tmp_path, command, configuration(tmp_path, names=MANY, interval=f"{EVERY}s", timeout="1400ms")
    ) as drill:
        ends, failures = time.monotonic() + HOUR, 0
        while time.monotonic() < ends:
            await asyncio.sleep(draw.expovariate(RANDOM * len(MANY) / EVERY))
            await drill.break_(vault=draw.choice(MANY), fault=draw.choice(PASSING))
            await asyncio.sleep(EVERY)  # one probe of that target
            await drill.heal()
            failures += 1
        failed = await drill.prometheus.query("sum(max_over_time(ekm_probe_failures_total[1m]))")
    assert failures >= 2
    assert float(failed[0]["value"][1]) >= 1
    assert drill.pages() == []


def assert_one_page(drill, alert):
    """One page names the common cause. At this speed a lost scrape can let one or two vaults of thirteen page earlier."""
    pages = [_about(page) for page in drill.pages()]
    assert pages.count((alert, "")) == 1
    assert len(pages) <= 1 + 2, pages


def _about(page):
    title, _, _ = page["payload"]["summary"].partition(":")
    alert, _, env = title.partition(" (")
    return alert.split(" x ")[-1], env.removesuffix(")")
