"""A request is sent again if the far side closed the kept connection before a byte of the response."""

from dataclasses import replace

import pytest

from exporter.clients.key_vault import encrypt_locally
from exporter.core.values import Facts, Fault, Outcome, Step, TokenResult
from exporter.knowledge.report import StepResult
from exporter.metrics.recorder import Recorder
from exporter.presentation.payloads import step_payload
from exporter.presentation.text import facts_of
from exporter.probing.prober import LoopClock, Prober, ProberCallbacks
from exporter.probing.round_trip import ProbeDependencies, run_probe
from exporter.runtime.loop import LoopLag
from tests.support.factories import a_report
from tests.support.tls_server import TOKEN, FakeVault, closes, resets, until
from tests.unit.probing.test_prober import CONFIG
from tests.unit.probing.test_prober import TARGET as PROBED
from tests.unit.probing.test_round_trip import REQUEST


async def begins_a_response(_wire, _reader, writer):
    writer.write(b"HTTP/1.1 2")
    await writer.drain()
    return False


class LosesConnections(FakeVault):
    """A vault that answers the requests with the given numbers, from 1, by `behaviour`."""

    def __init__(self, behaviour, *numbers):
        super().__init__()
        self.behaviour, self.numbers, self.count = behaviour, numbers, 0

    def __call__(self, request):
        self.count += 1
        return self.behaviour if self.count in self.numbers else super().__call__(request)


@pytest.mark.parametrize("behaviour", [closes, resets])
async def test_lost_keep_alive_is_resent_once_on_a_new_connection(serve, session_to, behaviour):
    wire = await serve(LosesConnections(behaviour, 2))
    async with session_to(wire) as session:
        first, _ = await session.challenge(deadline=until())
        facts, key = await session.get_key(TOKEN, "Key0", None, deadline=until())
        assert session.sent == 3
    assert (first.resent, facts.fault, facts.resent) == (False, Fault.NONE, True)
    assert key.name == "Key0"
    assert [request.connection for request in wire.requests] == [1, 1, 2]
    assert len({request.headers["x-ms-client-request-id"] for request in wire.requests[1:]}) == 1


async def test_second_loss_fails_the_step(serve, session_to):
    wire = await serve(LosesConnections(closes, 2, 3))
    async with session_to(wire) as session:
        await session.challenge(deadline=until())
        facts, key = await session.get_key(TOKEN, "Key0", None, deadline=until())
    assert (facts.fault, facts.resent, key) == (Fault.CONNECTION_CLOSED, True, None)
    assert len(wire.requests) == 3


@pytest.mark.parametrize("behaviour", [closes, resets])
async def test_new_connection_that_is_closed_is_not_resent(serve, session_to, behaviour):
    wire = await serve(LosesConnections(behaviour, 1))
    async with session_to(wire) as session:
        facts, _ = await session.challenge(deadline=until())
    assert (facts.fault in (Fault.CONNECTION_CLOSED, Fault.CONNECTION_RESET), facts.resent) == (True, False)
    assert len(wire.requests) == 1


async def test_response_that_has_begun_is_not_resent(serve, session_to):
    wire = await serve(LosesConnections(begins_a_response, 2))
    async with session_to(wire) as session:
        await session.challenge(deadline=until())
        facts, _ = await session.get_key(TOKEN, "Key0", None, deadline=until())
    assert (facts.fault is Fault.NONE, facts.resent) == (False, False)
    assert len(wire.requests) == 2


@pytest.mark.parametrize("number", [2, 3, 4])
async def test_lost_keep_alive_between_two_steps_keeps_the_verdict(serve, session_to, number):
    wire = await serve(vault := LosesConnections(closes, number))
    target = replace(REQUEST.target, key_name=vault.name, key_version=vault.version)

    async def tokens(challenge, *, deadline):
        del challenge, deadline
        return TokenResult(facts=Facts(), token=TOKEN, duration=0.0, shared=False)

    async with session_to(wire) as session:
        dependencies = ProbeDependencies(
            vault=session, tokens=tokens, clock=LoopClock(), encrypt=encrypt_locally, on_internal_error=pytest.fail
        )
        report = await run_probe(replace(REQUEST, target=target), dependencies)
    assert (report.success, report.readiness.ready) == (True, True)
    resent = [result.step for result in report.steps if result.facts.resent]
    assert resent == [(Step.GET_KEY, Step.WRAP_KEY, Step.UNWRAP_KEY)[number - 2]]
    assert dict(facts_of(report.step(resent[0])))["resent"].startswith("yes")
    assert [result.step for result in report.steps if step_payload(result)["resent"]] == resent


async def test_resent_requests_are_counted_by_step(monkeypatch):
    recorder = Recorder(CONFIG, version="0", mode="run")
    callbacks = ProberCallbacks(on_internal_error=pytest.fail, on_shortage=pytest.fail, resent=recorder.resent)

    async def report(*_args, **_options):
        results = {Step.WRAP_KEY: Facts(resent=True), Step.TOKEN: Facts(resent=True), Step.GET_KEY: Facts()}
        steps = [
            StepResult(step=step, outcome=Outcome.OK, facts=facts, shared=step is Step.TOKEN) for step, facts in results.items()
        ]
        return a_report("a", *steps)

    monkeypatch.setattr("exporter.probing.prober.probe_vault", report)
    prober = Prober(CONFIG, lag=LoopLag(), callbacks=callbacks)
    await prober.probe_on_demand(PROBED)
    await prober.aclose()
    lines = recorder.render_own(openmetrics=False).decode().splitlines()
    counts = {step: f'ekm_exporter_resent_requests_total{{step="{step}"}} {float(step is Step.WRAP_KEY)}' for step in Step}
    assert all(line in lines for line in counts.values())
