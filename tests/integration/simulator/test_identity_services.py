"""The identity services of a host, asked by hand and by azure-identity itself: App Service, Azure VM, Azure Arc."""

import base64
import json
import sys
from pathlib import Path

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError
from azure.identity.aio import ManagedIdentityCredential

from exporter.simulator import Simulator
from exporter.simulator.faults import Options
from exporter.simulator.managed_identity import PATHS
from tests.support.simulated_vaults import CHINA, PUBLIC, estate
from tests.support.simulator_client import Client
from tests.system.network.namespaces import Machine

UNKNOWN = "66666666-7777-8888-9999-00000000dead"
SCOPE, RESOURCE = "https://vault.azure.net/.default", "https://vault.azure.net"
VARIABLES = ("IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IMDS_ENDPOINT", "AZURE_POD_IDENTITY_AUTHORITY_HOST")
IMDS = {"api-version": "2018-02-01", "resource": RESOURCE}
METADATA = {"Metadata": "true"}
TEXTS = ("expires_in", "expires_on", "not_before", "ext_expires_in")


@pytest.fixture
async def simulator(tmp_path):
    simulator = Simulator(estate(), arc_token_folder=tmp_path)
    await simulator.start()
    yield simulator
    await simulator.stop()


@pytest.fixture
async def client(simulator):
    async with Client(simulator) as client:
        yield client


@pytest.fixture(params=["app_service", "imds"])
def service(request, simulator, monkeypatch):
    """A host on which azure-identity finds one of the services."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    if request.param == "imds":
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", simulator.imds_url)
    else:
        monkeypatch.setenv("IDENTITY_ENDPOINT", simulator.identity_url)
        monkeypatch.setenv("IDENTITY_HEADER", "any")
    return request.param


def content(file):
    return Path(file).read_text() if Path(file).exists() else None


def said_of(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


async def asked(client_id=None):
    async with ManagedIdentityCredential(client_id=client_id, retry_total=0) as credential:
        return said_of((await credential.get_token(SCOPE)).token)


@pytest.mark.parametrize("client_id", [None, CHINA.client])
async def test_the_sdk_gets_a_token_for_the_hosts_own_identity_and_for_one_assigned_to_it(simulator, service, client_id):
    said = await asked(client_id)
    assert (said["appid"], said["aud"]) == (client_id or PUBLIC.client, RESOURCE)
    assert simulator.requests["identity", service, 200] == 1


async def test_the_sdk_is_told_that_an_identity_is_not_assigned(simulator, service):
    with pytest.raises(ClientAuthenticationError) as caught:
        await asked(UNKNOWN)
    assert isinstance(caught.value, CredentialUnavailableError) == (service == "imds")
    assert simulator.requests["identity", service, 400] == 1


@pytest.mark.parametrize("status", [410, 429, 500])
async def test_an_identity_service_can_fail_with_any_status(simulator, service, status):
    simulator.set_fault("status", Options(status=status, retry_after=7), application=PUBLIC.client)
    with pytest.raises(ClientAuthenticationError):
        await asked()
    assert simulator.requests["identity", service, status] == 1
    assert (await asked(CHINA.client))["appid"] == CHINA.client


@pytest.mark.parametrize("client_id", [PUBLIC.client, None])
async def test_a_host_without_an_identity_of_its_own_says_so(client_id):
    simulator = Simulator(type(estate())(tenants={}, vaults={}))
    await simulator.start()
    query = IMDS if client_id is None else {**IMDS, "client_id": client_id}
    async with Client(simulator) as client:
        refused = await client.request("GET", simulator.imds_url + PATHS["imds"], params=query, headers=METADATA)
    await simulator.stop()
    assert (refused.status, refused.json) == (400, {"error": "invalid_request", "error_description": "Identity not found"})


async def test_a_virtual_machine_gives_its_numbers_as_texts(client, simulator):
    answer = (await client.request("GET", simulator.imds_url + PATHS["imds"], params=IMDS, headers=METADATA)).json
    assert all(isinstance(answer[name], str) and answer[name].isdecimal() for name in TEXTS)
    assert (answer["resource"], answer["token_type"], answer["client_id"]) == (RESOURCE, "Bearer", PUBLIC.client)


async def test_app_service_says_when_a_token_ends_and_not_how_long_it_lasts(client, simulator):
    query = {"api-version": "2019-08-01", "resource": RESOURCE}
    answer = (await client.request("GET", simulator.identity_url, params=query, headers={"X-IDENTITY-HEADER": "any"})).json
    assert sorted(answer) == ["access_token", "client_id", "expires_on", "resource", "token_type"]


@pytest.mark.parametrize("service", ["imds", "arc"])
@pytest.mark.parametrize(
    ("headers", "missing", "says"),
    [
        ({}, None, "metadata header"),
        ({"Metadata": "false"}, None, "metadata header"),
        (METADATA, "api-version", "'api-version'"),
        (METADATA, "resource", "'resource'"),
    ],
)
async def test_a_request_that_could_have_been_forwarded_or_lacks_something_is_refused(client, service, headers, missing, says):
    query = {name: value for name, value in IMDS.items() if name != missing}
    refused = await client.request("GET", client.simulator.management_url + PATHS[service], params=query, headers=headers)
    assert (refused.status, refused.json["error"]) == (400, "invalid_request")
    assert says in refused.json["error_description"]


async def test_azure_arc_wants_the_content_of_a_file_and_takes_it_once(client, simulator, tmp_path):
    async def ask(**more):
        return await client.request("GET", simulator.arc_identity_url, params=IMDS, headers={**METADATA, **more})

    challenge = await ask()
    scheme, _, file = challenge.headers["WWW-Authenticate"].partition(" realm=")
    assert (challenge.status, scheme, Path(file).parent, Path(file).suffix) == (401, "Basic", tmp_path, ".key")
    key = content(file)
    assert (await ask(Authorization="Basic another")).status == 401
    assert (await ask(Authorization=f"Basic {key}")).json["client_id"] == PUBLIC.client
    assert content(file) is None
    assert (await ask(Authorization=f"Basic {key}")).status == 401


async def test_unused_keys_of_azure_arc_are_few_and_gone_at_the_end(tmp_path):
    simulator = Simulator(estate(), arc_token_folder=tmp_path)
    await simulator.start()
    async with Client(simulator) as client:
        for _ in range(40):
            await client.request("GET", simulator.arc_identity_url, params=IMDS, headers=METADATA)
    assert 1 <= len(list(tmp_path.iterdir())) <= 20
    await simulator.stop()
    assert list(tmp_path.iterdir()) == []


async def test_without_a_folder_for_keys_nothing_answers_as_azure_arc():
    simulator = Simulator(estate())
    await simulator.start()
    async with Client(simulator) as client:
        assert (await client.request("GET", simulator.arc_identity_url, params=IMDS, headers=METADATA)).status == 404
    await simulator.stop()


@pytest.mark.real
async def test_the_sdk_signs_in_as_azure_arcs_identity_where_the_agents_folder_is(tmp_path):
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
