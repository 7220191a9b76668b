"""An exception at any await of a probe gives a failure report."""

import asyncio
import gc

import aiohttp
import pytest

from exporter.core.values import Outcome
from exporter.knowledge.reasons import Reason
from tests.unit.probing.harness import SECRET
from tests.unit.probing.throwing import Plan, thrown_into

KINDS = (
    RuntimeError, OSError, ValueError, KeyError, AttributeError, asyncio.TimeoutError, asyncio.CancelledError, aiohttp.ClientError,
)  # fmt: skip
FEWEST_SUSPENSIONS = 14  # five exchanges over two connections

# Before Python 3.12 aiohttp sends and closes in tasks of its own, which an exception in the middle leaves behind.
pytestmark = pytest.mark.filterwarnings("ignore:coroutine '(_wait_for_close|ClientRequest.write_bytes)' was never awaited")


async def each_suspension(harness, kind, start):
    """Throw at each await of the probe in turn and yield the plan and the result."""
    at = 0
    while True:
        harness.forget()
        plan = Plan(at, kind("thrown into the probe"))
        result, pending = await thrown_into(start(), plan)
        await harness.nothing_open()
        assert not pending or not (await asyncio.wait(pending, timeout=30))[1], plan.thrown_in
        if not plan.threw:
            break
        yield plan, result
        at += 1
    assert at >= FEWEST_SUSPENSIONS
    assert result is not None


@pytest.mark.parametrize("kind", KINDS)
async def test_exception_at_any_await_is_a_failure_report(harness, kind):
    assert (await harness.probe()).success
    async for plan, report in each_suspension(harness, kind, harness.probe):
        assert report is not None, plan.thrown_in
        if not plan.may_be_harmless:
            assert report.success is plan.harmless, (plan.at, plan.thrown_in)
        assert len(report.steps) == 5
        again = await harness.probe()
        assert again.success, (plan.thrown_in, again.first_failure)
    gc.collect()  # an open connection would warn here
    assert not harness.starved


@pytest.mark.parametrize("kind", [RuntimeError, asyncio.CancelledError])
async def test_internal_error_at_any_await_is_counted_once(harness, kind):
    async for plan, report in each_suspension(harness, kind, harness.probe):
        internal = [step for step in report.steps if step.reason is Reason.INTERNAL]
        assert len(internal) == len(harness.bugs) + len(harness.unexplained) == (not plan.harmless), plan.thrown_in
        assert SECRET not in repr((report, harness.bugs, harness.unexplained))
        harness.bugs.clear()
        harness.unexplained.clear()


async def test_demand_and_auxiliary_probes_lose_no_report(harness):
    harness.lag.stop()  # a slow machine would make results inconclusive
    async for plan, report in each_suspension(harness, KeyError, lambda: harness.prober.probe_on_demand(harness.target)):
        assert report.success is plan.harmless, plan.thrown_in
    async for plan, result in each_suspension(harness, KeyError, lambda: harness.prober.auxiliary(harness.plan())):
        failed = any(step.outcome is Outcome.FAILED for step in result.steps)
        assert failed is not plan.harmless, plan.thrown_in
        assert result.usable is not False, plan.thrown_in  # an internal error is not the credential's fault
