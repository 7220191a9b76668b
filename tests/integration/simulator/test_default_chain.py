"""The default chain: environment, workload identity, managed identity, or none."""

import pytest

from exporter.config.model import Credential, CredentialKind
from exporter.core.faults import Reason
from exporter.core.model import Generation, Step
from tests.support.simulated import ScenarioHarness
from tests.support.simulated_vaults import PUBLIC, SECRET

CHAIN = {PUBLIC.name: Credential(name=PUBLIC.name, kind=CredentialKind.DEFAULT)}
ONE = ((PUBLIC, Generation.CLASSIC),)
VARIABLES = (
    "AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST", "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IMDS_ENDPOINT", "MSI_ENDPOINT",
)  # fmt: skip


@pytest.fixture
async def harness(tmp_path, monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    # Without PATH and HOME the chain starts no tool of a developer.
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    made = ScenarioHarness(tmp_path)
    await made.start()
    yield made
    await made.stop()
    assert made.bugs == []


async def probed(harness):
    reports = await harness.probe(CHAIN, only=ONE)
    return reports[ONE[0]]


async def test_environment_secret_is_found(harness, monkeypatch):
    monkeypatch.setenv("AZURE_CLIENT_ID", PUBLIC.client)
    monkeypatch.setenv("AZURE_TENANT_ID", PUBLIC.tenant)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", SECRET)
    assert (await probed(harness)).success


async def test_wrong_environment_secret_is_refused(harness, monkeypatch):
    monkeypatch.setenv("AZURE_CLIENT_ID", PUBLIC.client)
    monkeypatch.setenv("AZURE_TENANT_ID", PUBLIC.tenant)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "MARKED~another")
    report = await probed(harness)
    failure = report.first_failure
    assert (failure.step, failure.code, failure.reason) == (Step.TOKEN, 3303, Reason.SECRET_WRONG)
    assert "MARKED" not in repr(report)


async def test_managed_identity_is_found(harness, monkeypatch):
    monkeypatch.setenv("IDENTITY_ENDPOINT", harness.simulator.identity_url)
    monkeypatch.setenv("IDENTITY_HEADER", "any")
    assert (await probed(harness)).success


async def test_empty_chain_has_no_identity(harness, monkeypatch):
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:9")
    report = await probed(harness)
    failure = report.first_failure
    assert (failure.step, failure.code, failure.reason) == (Step.TOKEN, 3304, Reason.IDENTITY_UNAVAILABLE)
