"""A managed identity on a host whose identity endpoint swallows every connection."""

import pytest

from exporter.core.values import CredentialKind, Step
from exporter.doctor.collect import EvidenceCollector
from exporter.knowledge.checks_vault import CheckOutcome
from exporter.knowledge.reasons import Reason
from exporter.presentation.diagnosis import Diagnosis
from tests.support.doctor_simulated import ENTRA
from tests.support.swallowing import swallowing
from tests.support.values import replace


@pytest.fixture
async def imds(harness, monkeypatch):
    async with swallowing() as endpoint:
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", f"http://{endpoint}")
        harness.credential = replace(
            harness.credential, kind=CredentialKind.MANAGED_IDENTITY, tenant_id=None, secret=None, expires_on=None
        )
        harness.target = replace(harness.target, timeout=1.0)
        yield endpoint


async def test_doctor_names_the_identity_endpoint_and_not_entra(harness, imds):
    results = await harness.results()
    token = results["token"]
    assert (token.outcome, token.code) == (CheckOutcome.FAIL, 3304)
    assert token.detail.startswith(f"identity unavailable: {imds}: ")
    assert ENTRA not in repr([result for result in results.values() if result.outcome is CheckOutcome.FAIL])


@pytest.mark.parametrize("kind", [CredentialKind.MANAGED_IDENTITY, CredentialKind.DEFAULT])
async def test_probe_reports_3304_and_the_identity_endpoint(harness, imds, kind):
    harness.credential = replace(harness.credential, kind=kind)
    collector = EvidenceCollector(
        harness.configuration(),
        harness.target,
        clock=harness.clock,
        look_up=None,
        on_internal_error=lambda error: pytest.fail(repr(error)),
    )
    try:
        report = (await collector.collect()).report
    finally:
        await collector.aclose()
    failure = report.first_failure
    assert (failure.step, failure.code, failure.reason) == (Step.TOKEN, 3304, Reason.IDENTITY_UNAVAILABLE)
    assert failure.facts.endpoint == imds
    assert any("169.254.169.254" in action for action in Diagnosis(harness.target, report).advice().actions)
