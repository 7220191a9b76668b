"""The scenarios that no simulator can cause, caused by real programs: every row of the table whose place is the network."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest

from exporter.simulator.scenarios import SCENARIOS, Outside
from tests.system.network.harness import AWAY, ENTRA, GUARDED, HERE, VAULT, SiteServer
from tests.system.network.resolver import resolving

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

Cause = Callable[[SiteServer], AbstractAsyncContextManager[None]]


@contextlib.asynccontextmanager
async def offline(site: SiteServer) -> AsyncIterator[None]:
    site.machine.knows({VAULT: AWAY})
    yield


@contextlib.asynccontextmanager
async def walled(verdict: str, site: SiteServer) -> AsyncIterator[None]:
    site.machine.knows({VAULT: GUARDED, ENTRA: HERE})
    await site.guard(f"ip daddr {GUARDED} {verdict}")
    yield


@contextlib.asynccontextmanager
async def resolver_answer(answer: str, site: SiteServer) -> AsyncIterator[None]:
    async with resolving(site.machine, vault=answer):
        yield


CAUSES: Mapping[str, Cause] = {
    "host_offline": offline,
    "resolver_nxdomain": partial(resolver_answer, "nxdomain"),
    "resolver_servfail": partial(resolver_answer, "servfail"),
    "resolver_silent": partial(resolver_answer, "silent"),
    "connect_dropped": partial(walled, "drop"),
    "connect_unreachable": partial(walled, "reject with icmp host-unreachable"),
}
ROWS = [scenario for scenario in SCENARIOS if scenario.place is Outside.NETWORK]


@pytest.mark.parametrize("scenario", ROWS, ids=lambda scenario: scenario.name)
async def test_a_scenario_of_the_network_has_its_code_and_reason(site, scenario):
    async with CAUSES[scenario.name](site):
        shown = await site.shown(timeout="900ms")
    assert shown == (scenario.step, scenario.classic, scenario.current, scenario.reason)


async def test_no_cause_is_without_a_scenario():
    assert set(CAUSES) == {scenario.name for scenario in ROWS}
