"""Identity services of App Service, Azure VM and Azure Arc, used directly and by azure-identity."""

import base64
import json
import sys
from pathlib import Path

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError
from azure.identity.aio import ManagedIdentityCredential

from exporter.simulator.faults import Options
from exporter.simulator.http import PATHS
from exporter.simulator.simulator import Simulator
from tests.support.simulated_vaults import CHINA, PUBLIC, environment
from tests.support.simulator_client import Client
from tests.system.network.namespaces import Machine

UNKNOWN = "66666666-7777-8888-9999-00000000dead"
SCOPE, RESOURCE = "https://vault.azure.net/.default", "https://vault.azure.net"
IMDS = {"api-version": "2018-02-01", "resource": RESOURCE}
METADATA = {"Metadata": "true"}
TEXTS = ("expires_in", "expires_on", "not_before", "ext_expires_in")


@pytest.fixture
async def simulator(tmp_path):
    async with Simulator(environment(), arc_token_folder=tmp_path) as simulator:
        yield simulator


@pytest.fixture(params=["app_service", "imds"])
def service(request, simulator, monkeypatch):
    """Set the environment in which azure-identity finds one of the services."""
    if request.param == "imds":
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", simulator.management_url)
    else:
        monkeypatch.setenv("IDENTITY_ENDPOINT", simulator.identity_url)
        monkeypatch.setenv("IDENTITY_HEADER", "any")
    return request.param


def content(file):
    return Path(file).read_text() if Path(file).exists() else None


def claims_of(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


async def sign_in(client_id=None):
    async with ManagedIdentityCredential(client_id=client_id, retry_total=0) as credential:
        return claims_of((await credential.get_token(SCOPE)).token)


@pytest.mark.parametrize("client_id", [None, CHINA.client])
async def test_sdk_gets_tokens_for_system_and_user_assigned_identity(simulator, service, client_id):
    claims = await sign_in(client_id)
    assert (claims["appid"], claims["aud"]) == (client_id or PUBLIC.client, RESOURCE)
    assert simulator.requests["identity", service, 200] == 1


async def test_sdk_reports_an_unassigned_identity(simulator, service):
    with pytest.raises(ClientAuthenticationError) as caught:
        await sign_in(UNKNOWN)
    assert isinstance(caught.value, CredentialUnavailableError) == (service == "imds")
    assert simulator.requests["identity", service, 400] == 1


@pytest.mark.parametrize("status", [410, 429, 500])
async def test_identity_service_fails_with_the_chosen_status(simulator, service, status):
    simulator.set_fault("status", Options(status=status, retry_after=7), application=PUBLIC.client)
    with pytest.raises(ClientAuthenticationError):
        await sign_in()
    assert simulator.requests["identity", service, status] == 1
    assert (await sign_in(CHINA.client))["appid"] == CHINA.client


async def test_imds_returns_numbers_as_strings(client, simulator):
    answer = (await client.request("GET", simulator.management_url + PATHS["imds"], params=IMDS, headers=METADATA)).json
    assert all(isinstance(answer[name], str) and answer[name].isdecimal() for name in TEXTS)
    assert (answer["resource"], answer["token_type"], answer["client_id"]) == (RESOURCE, "Bearer", PUBLIC.client)


async def test_app_service_returns_expires_on_without_expires_in(client, simulator):
    query = {"api-version": "2019-08-01", "resource": RESOURCE}
    answer = (await client.request("GET", simulator.identity_url, params=query, headers={"X-IDENTITY-HEADER": "any"})).json
    assert sorted(answer) == ["access_token", "client_id", "expires_on", "resource", "token_type"]


async def test_arc_accepts_the_content_of_its_key_file_once(client, simulator, tmp_path):
    async def request(**more):
        return await client.request("GET", simulator.management_url + PATHS["arc"], params=IMDS, headers={**METADATA, **more})

    challenge = await request()
    scheme, _, file = challenge.headers["WWW-Authenticate"].partition(" realm=")
    assert (challenge.status, scheme, Path(file).parent, Path(file).suffix) == (401, "Basic", tmp_path, ".key")
    key = content(file)
    assert (await request(Authorization="Basic another")).status == 401
    assert (await request(Authorization=f"Basic {key}")).json["client_id"] == PUBLIC.client
    assert content(file) is None
    assert (await request(Authorization=f"Basic {key}")).status == 401


async def test_unused_arc_keys_are_few_and_removed_at_the_end(tmp_path):
    async with Simulator(environment(), arc_token_folder=tmp_path) as simulator:
        async with Client(simulator) as client:
            for _ in range(40):
                await client.request("GET", simulator.management_url + PATHS["arc"], params=IMDS, headers=METADATA)
        assert 1 <= len(list(tmp_path.iterdir())) <= 20
    assert list(tmp_path.iterdir()) == []


@pytest.mark.real
async def test_sdk_signs_in_through_arc_with_the_agent_folder(tmp_path):
    script = Path(__file__).with_name("arc_sign_in.py")
    async with Machine(tmp_path) as machine:
        await machine.do("mount -t tmpfs none /var/opt", "mkdir -p /var/opt/azcmagent/tokens")
        path = f"PYTHONPATH={Path(__file__).parents[3]}"
        code, out, err = await machine.run("env", path, sys.executable, script, "", CHINA.client, UNKNOWN)
    assert code == 0, err
    shown = json.loads(out)
    assert shown["got"] == [PUBLIC.client, CHINA.client, "ClientAuthenticationError"]
    assert shown["counts"] == [["arc", 200, 2], ["arc", 400, 1], ["arc", 401, 4]]
    assert (shown["unused"], shown["left"]) == (["0o600"], 0)
