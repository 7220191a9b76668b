"""From a fault to a person: each paged condition is caused, the page is read, the fault is healed, the page ends."""

import asyncio
import random
import time

import pytest

from tests.system.alerts.drill import measured
from tests.system.alerts.drill.conditions import CONDITIONS, ENTRA, HEALTHY, configuration
from tests.system.alerts.drill.harness import SCALE, set_up

pytestmark = pytest.mark.real

HOUR = 3600 / SCALE
MANY = tuple(f"target-{number:02}" for number in range(30))
EVERY = 3  # seconds between two probes of each of the many
RANDOM = 0.01  # of the probes fail by chance: ten times what the rules are made to bear
# Faults that come and go: a lost packet, a busy vault, a service that fails for a moment.
PASSING = ("reset", "vault_throttled", "vault_unavailable", "closed")


async def test_each_condition_pages_says_what_is_wrong_and_ends(stage):
    began = {one.name: await stage.break_(**one.fault) for one in CONDITIONS}
    pages = await asyncio.gather(*(stage.page(one.alert, env=one.name) for one in CONDITIONS))
    for one, (page, _) in zip(CONDITIONS, pages, strict=True):
        assert [word for word in (one.name, one.sql_server, *one.says) if word not in str(page)] == [], str(page)
    await stage.nothing_more_is_on_its_way()
    assert {_about(page) for page in stage.pages()} == {(one.alert, one.name) for one in CONDITIONS}
    await stage.heal()
    healed = time.monotonic()
    ends = await asyncio.gather(*(stage.page(one.alert, env=one.name, action="resolve") for one in CONDITIONS))
    for one, (_, paged), (_, resolved) in zip(CONDITIONS, pages, ends, strict=True):
        measured.add(one.broken, one.alert, paged - began[one.name], resolved - healed)
    measured.keep_page(next(page for one, (page, _) in zip(CONDITIONS, pages, strict=True) if one.name == "forbidden"))


async def test_when_entra_is_gone_one_page_names_it_and_none_a_vault(stage):
    began = await stage.break_(**ENTRA)
    _, paged = await stage.page("EkmEntraUnavailable")
    await stage.nothing_more_is_on_its_way()
    assert_one_page(stage, "EkmEntraUnavailable")
    await stage.heal()
    healed = time.monotonic()
    _, resolved = await stage.page("EkmEntraUnavailable", action="resolve")
    measured.add("Entra gives no tokens to anybody", "EkmEntraUnavailable", paged - began, resolved - healed)


async def test_when_no_name_resolves_one_page_says_that_this_host_has_no_way_out(stage):
    names = [one.name for one in CONDITIONS] + list(HEALTHY)
    began = await stage.break_every_name(names)
    _, paged = await stage.page("EkmEgressDown")
    await stage.nothing_more_is_on_its_way()
    assert_one_page(stage, "EkmEgressDown")
    await stage.heal()
    healed = time.monotonic()
    _, resolved = await stage.page("EkmEgressDown", action="resolve")
    measured.add("no host name resolves on the exporter's host", "EkmEgressDown", paged - began, resolved - healed)


async def test_an_exporter_that_is_killed_is_missed(stage):
    stage.process.process.kill()
    began = time.monotonic()
    _, paged = await stage.page("EkmExporterDown")
    measured.add("the exporter is killed", "EkmExporterDown", paged - began, None)


async def test_an_hour_of_healthy_life_with_random_failures_pages_nobody(command, tmp_path):
    draw = random.Random(3011)  # noqa: S311 - chance that can be repeated
    async with set_up(tmp_path, command, configuration(tmp_path, names=MANY, interval=f"{EVERY}s", timeout="1400ms")) as stage:
        ends, failures = time.monotonic() + HOUR, 0
        while time.monotonic() < ends:
            await asyncio.sleep(draw.expovariate(RANDOM * len(MANY) / EVERY))
            await stage.break_(vault=draw.choice(MANY), fault=draw.choice(PASSING))
            await asyncio.sleep(EVERY)  # one probe of that target
            await stage.heal()
            failures += 1
        failed = await stage.prometheus.query("sum(max_over_time(ekm_probe_failures_total[1m]))")
    assert failures >= 2
    assert float(failed[0]["value"][1]) >= 1
    assert stage.pages() == []


def assert_one_page(stage, alert):
    """One page names the common cause; at this pace a single lost scrape can let one or two vaults be faster than it, of thirteen."""
    told = [_about(page) for page in stage.pages()]
    assert told.count((alert, "")) == 1
    assert len(told) <= 1 + 2, told


def _about(page):
    title, _, _ = page["payload"]["summary"].partition(":")
    alert, _, env = title.partition(" (")
    return alert.split(" x ")[-1], env.removesuffix(")")
