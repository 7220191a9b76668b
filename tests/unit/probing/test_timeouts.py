"""Timeouts and the step or exporter-side cause that each one names."""

import asyncio
import threading
import time
from dataclasses import replace

import pytest

from exporter.core.values import Outcome, Step
from exporter.knowledge.reasons import Reason
from exporter.probing import secrets
from tests.support.tls_server import CHALLENGE, ENTRA, is_silent
from tests.unit.probing.harness import stalls_after_headers


def at_challenge(request):
    return request.path == "/keys"


def at_token(request):
    return request.headers["host"] == ENTRA


async def failure_of(harness):
    report = await harness.probe()
    failure = report.first_failure
    return failure.step, failure.code, failure.reason, report


@pytest.mark.parametrize(
    ("where", "expected", "body"),
    [
        (at_challenge, Step.CHALLENGE, stalls_after_headers(401, WWW_Authenticate=CHALLENGE)),
        (at_token, Step.TOKEN, stalls_after_headers(200, Content_Type="application/json")),
    ],
)
async def test_stalled_body_fails_its_step(harness, where, expected, body):
    harness.within(1.0)
    harness.instead = lambda request: body if where(request) else None
    step, code, reason, report = await failure_of(harness)
    assert (step, code, reason) == (expected, 3019, Reason.BODY_TIMEOUT)
    assert (report.readiness.ready, report.discarded) == (False, False)


@pytest.fixture
def hanging_secret(monkeypatch):
    """Block each read of a secret until the test ends; yield the names of the threads."""
    over, reads = threading.Event(), []

    def read(_source):
        reads.append(threading.current_thread().name)
        over.wait(10)
        return "text"

    monkeypatch.setattr(secrets, "read_secret", read)
    yield reads
    over.set()


async def test_hanging_secret_is_exporter_side_and_holds_one_thread(harness, hanging_secret):
    harness.within(0.3)
    reports = await asyncio.gather(*(harness.prober.probe_on_demand(harness.target) for _ in range(5)))
    for report in reports:
        failure = report.first_failure
        assert (failure.step, failure.code, failure.reason) == (Step.TOKEN, 3001, Reason.SECRET_TIMEOUT)
        assert failure.facts.detail == "reading the secret file took too long"
        assert (report.readiness.ready, report.readiness.why) == (None, "exporter_fault")
    assert len(hanging_secret) == 1


@pytest.mark.parametrize("where", [at_challenge, at_token])
async def test_failure_during_a_loop_stall_is_discarded(harness, where):
    """The response arrives in time and is read too late."""
    harness.within(0.3)

    def block_the_loop(request):
        if where(request):
            time.sleep(0.6)

    harness.instead = block_the_loop
    report = await harness.probe()
    assert any(step.disturbed for step in report.steps)
    assert report.success or report.discarded
    assert report.first_failure is None or report.first_failure.reason is not Reason.SECRET_UNREADABLE


async def test_continuous_reloads_fail_no_probe(harness):
    """Each reload changes the credential, so each probe reads the secret and signs in."""
    over = asyncio.Event()

    async def reload_without_end():
        number = 0
        while not over.is_set():
            number += 1
            credential = replace(harness.config.credentials["c"], tenant_id=f"11111111-2222-3333-4444-{number:012}")
            harness.prober.reconfigure(replace(harness.config, credentials={"c": credential}))
            await asyncio.sleep(0)

    storm = asyncio.create_task(reload_without_end())
    reports = [await harness.probe() for _ in range(10)]
    over.set()
    await storm
    bad = [report for report in reports if report is not None and not report.success and not report.discarded]
    assert bad == []
    assert not harness.bugs


async def test_probe_during_a_reload_signs_in_over_its_own_route(harness):
    module = harness.config.modules["default"]
    elsewhere = replace(module, connect_to={**module.connect_to, f"{ENTRA}:443": "127.0.0.1:1"})

    def reload(request):
        if at_challenge(request):
            harness.prober.reconfigure(replace(harness.config, modules={"default": elsewhere}))

    harness.instead = reload
    assert (await harness.probe()).success
    assert not harness.bugs


async def test_challenge_that_uses_all_time_is_the_failed_step(harness):
    harness.within(1.0)

    async def late(_wire, _reader, writer):
        await asyncio.sleep(0.95)
        writer.write(f"HTTP/1.1 401 No\r\nWWW-Authenticate: {CHALLENGE}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        return True

    harness.instead = lambda request: late if at_challenge(request) else is_silent
    step, code, reason, report = await failure_of(harness)
    assert (step, code, reason) == (Step.CHALLENGE, 3008, Reason.READ_TIMEOUT)
    assert [result.outcome for result in report.steps] == [Outcome.FAILED, *[Outcome.SKIPPED] * 4]
