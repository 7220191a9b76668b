"""The default chain: environment, workload identity, managed identity, or none."""

import pytest

from exporter.config.settings import Credential
from exporter.core.values import CredentialKind, Generation, Step
from exporter.knowledge.reasons import Reason
from tests.support.simulated import ScenarioHarness
from tests.support.simulated_vaults import PUBLIC, SECRET

CHAIN = {PUBLIC.name: Credential(name=PUBLIC.name, kind=CredentialKind.DEFAULT)}
ONE = ((PUBLIC, Generation.CLASSIC),)


@pytest.fixture
async def harness(tmp_path, monkeypatch):
    # Without PATH and HOME the chain starts no tool of a developer.
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    async with ScenarioHarness(tmp_path) as made:
        yield made
    assert made.bugs == []


APPLICATION = {"AZURE_CLIENT_ID": PUBLIC.client, "AZURE_TENANT_ID": PUBLIC.tenant}


@pytest.mark.parametrize(
    ("variables", "failure"),
    [
        (APPLICATION | {"AZURE_CLIENT_SECRET": SECRET}, None),
        (APPLICATION | {"AZURE_CLIENT_SECRET": "MARKED~another"}, (Step.TOKEN, 3303, Reason.SECRET_WRONG)),
        ({"IDENTITY_ENDPOINT": "URL", "IDENTITY_HEADER": "any"}, None),
        ({"AZURE_POD_IDENTITY_AUTHORITY_HOST": "http://127.0.0.1:9"}, (Step.TOKEN, 3304, Reason.IDENTITY_UNAVAILABLE)),
    ],
    ids=["secret", "wrong secret", "identity of the host", "none"],
)
async def test_chain_signs_in_with_what_the_environment_has(harness, monkeypatch, variables, failure):
    for name, value in variables.items():
        monkeypatch.setenv(name, value.replace("URL", harness.simulator.identity_url))
    report = (await harness.probe(CHAIN, only=ONE))[ONE[0]]
    first = report.first_failure
    assert (first and (first.step, first.code, first.reason)) == failure
    assert "MARKED" not in repr(report)
