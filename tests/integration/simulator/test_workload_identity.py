"""Sign-in of pods with service account tokens, and the reasons for refusals."""

import stat

import pytest
import pytest_asyncio

from exporter.config.load import load_config
from exporter.config.settings import Credential
from exporter.core.values import CredentialKind
from exporter.simulator.build import build_environment, exporter_variables, write_config
from exporter.simulator.entra import BEARER
from exporter.simulator.simulator import Simulator
from tests.support.simulated import ScenarioHarness
from tests.support.simulated_environment import small_environment
from tests.support.simulated_vaults import PROBED, VAULTS
from tests.support.simulator_client import CLIENT, ENTRA, TENANT, Client
from tests.support.values import replace
from tests.support.written import written

ISSUER, SUBJECT = "https://oidc.example/cluster/", "system:serviceaccount:monitoring:exporter"


def federated(environment, *accounts):
    """The environment, in which every application trusts these service accounts."""
    tenants = {
        key: replace(tenant, applications={name: replace(one, federated=accounts) for name, one in tenant.applications.items()})
        for key, tenant in environment.tenants.items()
    }
    return replace(environment, tenants=tenants)


@pytest.fixture
async def simulator():
    async with Simulator(federated(small_environment(), (ISSUER, SUBJECT), ("https://another.example/", "b"))) as simulator:
        yield simulator


async def offered(simulator, token):
    form = {
        "grant_type": "client_credentials",
        "client_id": CLIENT,
        "client_assertion_type": BEARER,
        "client_assertion": token,
        "scope": "https://vault.azure.net/.default",
    }
    async with Client(simulator) as client:
        reply = await client.request("POST", f"https://{ENTRA}/{TENANT}/oauth2/v2.0/token", data=form)
        if reply.status == 200:
            assert (await client.get(reply.json["access_token"])).status == 200
    return reply.status, reply.json.get("error"), reply.json.get("error_codes", [None])[0]


async def test_trusted_service_account_token_opens_the_vault(simulator):
    assert await offered(simulator, simulator.service_accounts.issue(ISSUER, SUBJECT)) == (200, None, None)


@pytest.mark.parametrize(
    ("issuer", "subject", "more", "number"),
    [
        ("https://oidc.example/cluster", SUBJECT, {}, 700211),
        (ISSUER, SUBJECT.title(), {}, 700213),
        ("https://another.example/", SUBJECT, {}, 700213),
        (ISSUER, SUBJECT, {"audience": "https://kubernetes.default.svc"}, 700212),
        (ISSUER, SUBJECT, {"lifetime": -3600}, 700024),
    ],
)
async def test_mismatched_token_is_refused_with_its_error_number(simulator, issuer, subject, more, number):
    token = simulator.service_accounts.issue(issuer, subject, **more)
    assert await offered(simulator, token) == (401, "invalid_client", number)


async def test_federation_mismatch_fault_has_the_older_error_number(simulator):
    simulator.set_fault("federation_unmatched", application=CLIENT)
    token = simulator.service_accounts.issue(ISSUER, SUBJECT)
    assert await offered(simulator, token) == (400, "invalid_request", 70021)


@pytest_asyncio.fixture
async def harness(tmp_path):
    harness = ScenarioHarness(tmp_path)
    harness.simulator = Simulator(federated(harness.simulator.state.environment, (ISSUER, SUBJECT)))
    async with harness:
        yield harness


async def test_pod_completes_the_round_trip_until_its_token_expires(harness, tmp_path, monkeypatch):
    file = tmp_path / "token"
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(file))
    pods = {
        vault.name: Credential(
            name=vault.name, kind=CredentialKind.WORKLOAD_IDENTITY, tenant_id=vault.tenant, client_id=vault.client
        )
        for vault in VAULTS
    }
    file.write_text(harness.simulator.service_accounts.issue(ISSUER, SUBJECT))
    assert all(report.success for report in (await harness.probe(pods)).values())
    file.write_text(harness.simulator.service_accounts.issue(ISSUER, SUBJECT, lifetime=-3600))
    report = (await harness.probe(pods, only=PROBED[:1]))[PROBED[0]]
    assert (report.first_failure.facts.status, report.first_failure.facts.aadsts) == (401, 700024)


CONFIGURATION = """\
credentials:
  pod: {type: workload_identity}
  other-pod: {type: workload_identity, tenant_id: 11111111-2222-3333-4444-555555555555, client_id: 66666666-7777-8888-9999-00000000000B}
  chain: {type: default}
targets:
  - {name: one, vault: contoso-one, key: TdeKey, credential: pod}
  - {name: two, vault: contoso-two, key: TdeKey, credential: other-pod}
  - {name: three, vault: contoso-three, key: TdeKey, credential: chain}
"""


@pytest.fixture
async def served(tmp_path):
    """The simulator, a configuration with identities of pod and host, and the folder of the written files."""
    config = written(tmp_path, CONFIGURATION)
    async with Simulator(build_environment(config)) as simulator:
        out = tmp_path / "sim"
        write_config(simulator, config, out)
        yield simulator, config, out


async def test_pod_identity_gets_a_token_file_and_an_environment(served):
    simulator, config, out = served
    file = out / "service-account-token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    environment = dict(line.split("=", 1) for line in (out / "environment").read_text().splitlines())
    assert environment == exporter_variables(simulator, config, out)
    assert environment["AZURE_FEDERATED_TOKEN_FILE"] == str(file)
    tenant, client_id = environment["AZURE_TENANT_ID"], environment["AZURE_CLIENT_ID"]
    assert simulator.state.environment.tenants[tenant].applications[client_id].names == ("pod", "chain")
    assert environment["IDENTITY_ENDPOINT"] == simulator.identity_url


async def test_written_environment_signs_in_every_identity(served, monkeypatch):
    simulator, config, out = served
    for name, value in exporter_variables(simulator, config, out).items():
        monkeypatch.setenv(name, value)
    harness = ScenarioHarness(out.parent)
    reports = await harness.reports_of(load_config(out / "ekm.yml").config)
    assert [report.success for report in reports.values()] == [True] * 3, [r.first_failure for r in reports.values()]


async def test_default_chain_without_a_pod_is_the_host_identity(tmp_path):
    chain = CONFIGURATION.replace("  pod: {type: workload_identity}\n", "").replace("credential: pod", "credential: chain")
    lines = [line for line in chain.splitlines() if "other-pod" not in line]
    environment = build_environment(written(tmp_path, "\n".join(lines)))
    (tenant,) = environment.tenants.values()
    assert tenant.applications[environment.host_identity].names == ("chain",)


async def test_configuration_without_identities_has_no_environment(tmp_path):
    text = CONFIGURATION.partition("  other-pod")[0].replace(
        "{type: workload_identity}", f"{{type: client_secret, client_id: {CLIENT}, client_secret_file: secret}}"
    )
    text += "targets: [{name: one, vault: contoso-one, key: TdeKey, credential: pod}]\n"
    config = written(tmp_path, text, secret="marked-secret")
    async with Simulator(build_environment(config)) as simulator:
        write_config(simulator, config, tmp_path / "sim")
    assert exporter_variables(simulator, config, tmp_path / "sim") == {}
    assert sorted(path.name for path in (tmp_path / "sim").iterdir()) == ["ca.pem", "ekm.yml"]
