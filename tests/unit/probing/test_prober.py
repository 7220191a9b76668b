"""The prober: its threads, its reports, and exceptions at any of its awaits."""

import asyncio
import gc
import logging
import socket
import threading

import aiohttp
import pytest

from exporter.app.service import Service
from exporter.app.web_endpoint import RunOptions
from exporter.config.settings import Settings
from exporter.core.values import Facts, Fault, Outcome, Readiness, Step
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import ProbeReport, StepResult
from exporter.probing.prober import Prober, ProberCallbacks
from exporter.runtime.loop import LoopLag
from exporter.state.history import History
from exporter.state.record import TargetRecord
from exporter.web.options import web_options
from tests.support.factories import a_config, a_target
from tests.unit.probing.harness import SECRET
from tests.unit.probing.throwing import Plan, thrown_into

# Scheduled probes and probes on demand do not take each other's threads.

TARGET = a_target("a", timeout=0.3)
CONFIG = a_config(TARGET, settings=Settings(concurrency=1))


@pytest.fixture
def dead_resolver(monkeypatch):
    over = threading.Event()

    def wait(*_args, **_kwargs):
        over.wait(10)
        raise socket.gaierror(socket.EAI_AGAIN, "over")

    monkeypatch.setattr(socket, "getaddrinfo", wait)
    yield
    over.set()


@pytest.mark.usefixtures("dead_resolver")
async def test_probe_on_demand_leaves_a_thread_for_scheduled_ones():
    starved = []
    callbacks = ProberCallbacks(on_internal_error=starved.append, on_shortage=starved.append)
    prober = Prober(CONFIG, lag=LoopLag(), callbacks=callbacks)
    requested = asyncio.create_task(prober.probe_on_demand(TARGET))
    await asyncio.sleep(0.05)
    reports = await asyncio.gather(requested, prober.probe_scheduled(TARGET))
    await prober.aclose()
    assert [report.first_failure.reason for report in reports if report is not None] == [Reason.DNS_TIMEOUT] * 2
    assert starved == []


async def test_exporter_before_its_start_is_not_ready():
    assert not Service(CONFIG, RunOptions(listen=(), web=web_options())).ready


# A failing receiver of reports is counted and does not affect others.

STEP = StepResult(
    step=Step.TOKEN,
    outcome=Outcome.FAILED,
    code=3303,
    reason=Reason.SECRET_WRONG,
    facts=Facts(fault=Fault.HTTP_STATUS, status=401),
)
REPORT = ProbeReport(
    target="a", started_at=1_800_000_000.0, duration=0.1, steps=(STEP,), readiness=Readiness(ready=False, why="not_ready")
)


@pytest.fixture
async def service():
    made = Service(CONFIG, RunOptions(listen=(), web=web_options()))
    made.recorder.add_target(TARGET, CONFIG.modules["default"], TargetRecord(TARGET, History(0)), now=0.0)
    yield made
    await made._prober.aclose()


async def scraped(service):
    return b"".join([piece async for piece in service.recorder.scrape(openmetrics=False)]).decode()


@pytest.mark.parametrize(
    ("part", "method"),
    [("_store", "record"), ("recorder", "record"), ("_log", "record"), ("_auxiliary_runner", "start_due")],
)
async def test_failing_receiver_keeps_no_report_from_others(service, monkeypatch, caplog, *, part, method):
    def fails(*_args, **_kwargs):
        raise KeyError("S3CRET-MARK")

    caplog.set_level(logging.INFO)
    monkeypatch.setattr(getattr(service, part), method, fails)
    service._add_report(TARGET, REPORT)
    text = await scraped(service)
    assert ('ekm_probe_success{target="a",vault="contoso.vault.azure.net"} 0' in text) is (part != "recorder")
    record = service.record_of("a")
    assert (record is not None and record.last is REPORT) is (part != "_store")
    assert ("probe failed" in caplog.messages) is (part != "_log")
    assert "ekm_exporter_internal_errors_total 1" in text
    assert "internal error" in caplog.messages


# An exception at any await of a probe gives a failure report.

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
