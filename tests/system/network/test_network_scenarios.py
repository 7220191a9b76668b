"""Network scenarios of the scenario table, caused by real programs."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest

from exporter.simulator.scenarios import SCENARIOS, Outside
from tests.system.network.harness import AWAY, ENTRA, GUARDED, HERE, VAULT, SimulatorHost
from tests.system.network.resolver import resolving

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="session")]

Cause = Callable[[SimulatorHost], AbstractAsyncContextManager[None]]


@contextlib.asynccontextmanager
async def offline(server: SimulatorHost) -> AsyncIterator[None]:
    server.machine.set_hosts({VAULT: AWAY})
    yield


@contextlib.asynccontextmanager
async def walled(verdict: str, server: SimulatorHost) -> AsyncIterator[None]:
    server.machine.set_hosts({VAULT: GUARDED, ENTRA: HERE})
    await server.guard(f"ip daddr {GUARDED} {verdict}")
    yield


@contextlib.asynccontextmanager
async def resolver_answer(answer: str, server: SimulatorHost) -> AsyncIterator[None]:
    async with resolving(server.machine, vault=answer):
        yield


CAUSES: Mapping[str, Cause] = {
    "host_offline": offline,
    "resolver_nxdomain": partial(resolver_answer, "nxdomain"),
    "resolver_servfail": partial(resolver_answer, "servfail"),
    "resolver_silent": partial(resolver_answer, "silent"),
    "connect_dropped": partial(walled, "drop"),
    "connect_unreachable": partial(walled, "reject with icmp host-unreachable"),
}
ROWS = [scenario for scenario in SCENARIOS if scenario.scope is Outside.NETWORK]


@pytest.mark.parametrize("scenario", ROWS, ids=lambda scenario: scenario.name)
async def test_network_scenario_has_its_code_and_reason(server, scenario):
    async with CAUSES[scenario.name](server):
        shown = await server.shown(timeout="900ms")
    assert shown == (scenario.step, scenario.classic, scenario.current, scenario.reason)


async def test_each_cause_has_a_scenario():
    assert set(CAUSES) == {scenario.name for scenario in ROWS}
