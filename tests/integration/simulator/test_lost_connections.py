"""Connections that the vault closes between two steps."""

import pytest

from exporter.core.model import Step
from tests.support.simulated import ScenarioHarness
from tests.support.simulated_vaults import PROBED, PUBLIC


@pytest.fixture
async def harness(tmp_path):
    async with ScenarioHarness(tmp_path) as harness:
        yield harness


async def test_lost_connections_between_steps_keep_the_verdict(harness):
    harness.simulator.set_fault("keep_alive_lost", vault=PUBLIC.host)
    report = (await harness.probe(only=PROBED[:1]))[PROBED[0]]
    assert (report.success, report.readiness.ready) == (True, True), report.first_failure
    resent = [result.step for result in report.steps if result.facts.resent]
    assert resent == [Step.GET_KEY, Step.WRAP_KEY, Step.UNWRAP_KEY]
    assert not harness.bugs


async def test_connection_that_every_request_closes_fails_after_one_repeat(harness):
    harness.simulator.set_fault("closed", vault=PUBLIC.host)
    report = (await harness.probe(only=PROBED[:1]))[PROBED[0]]
    assert (report.first_failure.step, report.first_failure.facts.resent) == (Step.CHALLENGE, False)
