import asyncio
import re
import ssl
import time

import aiohttp
import pytest

from exporter.simulator.faults import Options
from exporter.simulator.simulator import Simulator
from tests.support.simulated_environment import LATER, small_environment
from tests.support.simulator_client import CLIENT, ENTRA, HSM, KEY, OTHER, SECRET, TENANT, VAULT, VERSION, Client

VERSIONED = "?api-version=7.4"
PLAIN = b"0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("algorithm", ["RSA-OAEP", "RSA-OAEP-256"])
@pytest.mark.parametrize("v1", [True, False])
async def test_round_trip_returns_the_plain_bytes(client, algorithm, v1):
    challenge = await client.challenge()
    assert challenge.status == 401
    assert (
        challenge.headers["WWW-Authenticate"]
        == f'Bearer authorization="https://{ENTRA}/{TENANT}", resource="https://vault.azure.net"'
    )
    assert challenge.error["code"] == "Unauthorized"
    assert challenge.error["message"].startswith("AKV10000:")
    token = await client.token(v1=v1)
    key = (await client.get(token)).json["key"]
    assert key["kid"] == f"https://{VAULT}/keys/{KEY}/{VERSION}"
    wrapped = (await client.operate(token, "wrapKey", PLAIN, algorithm=algorithm)).json
    assert wrapped["kid"] == key["kid"]
    unwrapped = (await client.unwrap_text(token, wrapped["value"], algorithm=algorithm)).json
    assert unwrapped["value"] == "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"


async def test_other_version_does_not_unwrap(client):
    token = await client.token()
    wrapped = (await client.operate(token, "wrapkey", PLAIN)).json["value"]
    refused = await client.unwrap_text(token, wrapped, version=LATER)
    assert (refused.status, refused.error["code"]) == (400, "BadParameter")


async def test_vault_sends_its_diagnostic_headers(client):
    headers = (await client.get(await client.token())).headers
    assert headers["x-ms-keyvault-region"] == "westeurope"
    assert re.fullmatch(r"[\d.]+", headers["x-ms-keyvault-service-version"])
    assert headers["x-ms-keyvault-network-info"].startswith("conn_type=Ipv4;addr=")
    assert headers["x-ms-request-id"]
    assert headers["Date"]


async def test_managed_hsm_has_an_empty_challenge_and_its_own_audience(client):
    challenge = await client.challenge(HSM)
    assert (challenge.status, challenge.body) == (401, b"")
    assert challenge.headers["WWW-Authenticate"].endswith('resource="https://managedhsm.azure.net"')
    assert "x-ms-server-latency" in challenge.headers
    assert not [name for name in challenge.headers if name.lower().startswith("x-ms-keyvault")]
    token = await client.token(resource="https://managedhsm.azure.net")
    assert (await client.get(token, vault=HSM)).json["key"]["kty"] == "RSA-HSM"


async def test_managed_hsm_refuses_a_token_for_a_vault(client):
    refused = await client.get(await client.token(), vault=HSM)
    assert refused.status == 401
    assert refused.error["message"].startswith("AKV10022:")


async def test_token_of_another_run_is_refused(client):
    async with Simulator(small_environment()) as other, Client(other) as stranger:
        token = await stranger.token()
    refused = await client.get(token)
    assert (refused.status, refused.error["code"]) == (401, "Unauthorized")


@pytest.mark.parametrize(
    ("more", "status", "error", "number"),
    [
        ({"secret": "wrong"}, 401, "invalid_client", 7000215),
        ({"client": "66666666-7777-8888-9999-00000000dead"}, 400, "unauthorized_client", 700016),
        ({"tenant": "11111111-2222-3333-4444-00000000dead"}, 400, "invalid_request", 90002),
        ({"tenant": "no_tenant"}, 400, "invalid_request", 900023),
        ({"resource": "https://nothing.example"}, 400, "invalid_resource", 500011),
    ],
)
async def test_entra_error_has_its_envelope_and_number(client, more, status, error, number):
    refused = await client.token_answer(**more)
    assert (refused.status, refused.json["error"], refused.json["error_codes"]) == (status, error, [number])
    assert refused.json["error_description"].startswith(f"AADSTS{number}: ")
    assert {"timestamp", "trace_id", "correlation_id", "error_uri"} <= refused.json.keys()
    assert refused.headers["x-ms-request-id"]
    assert SECRET.encode() not in refused.body


async def test_refusal_names_the_caller_without_permission(client):
    token = await client.token(client="66666666-7777-8888-9999-000000000001", secret="marked-secret-two")
    refused = await client.get(token, vault=OTHER)
    assert (refused.status, refused.error["innererror"]["code"]) == (403, "ForbiddenByPolicy")
    assert "appid=66666666-7777-8888-9999-000000000001" in refused.error["message"]


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (f"GET /keys/{KEY}/{VERSION}", 400, "BadParameter"),
        *((f"GET /keys/{path}{VERSIONED}", 404, "KeyNotFound") for path in ("nothing", f"{KEY}/{'0' * 32}")),
        *((f"PUT /{path}{VERSIONED}", 404, "NotFound") for path in (f"keys/{KEY}", "secrets/x")),
        *((f"GET /{path}{VERSIONED}", 404, "NotFound") for path in ("certificates/x", "")),
    ],
)
async def test_other_requests_are_refused(client, request_, status, code):
    method, _, path = request_.partition(" ")
    headers = {"Authorization": f"Bearer {await client.token()}"}
    answer = await client.request(method, f"https://{VAULT}{path}", headers=headers)
    assert (answer.status, answer.error["code"]) == (status, code)


async def test_simulator_listens_on_loopback_only(simulator):
    assert {simulator.address.partition(":")[0], simulator.management_url.rpartition("/")[2].partition(":")[0]} == {"127.0.0.1"}


async def test_each_run_has_its_own_certificate_authority(client, simulator):
    other = Simulator(small_environment())
    assert other.ca_pem != simulator.ca_pem
    context = ssl.create_default_context(cadata=other.ca_pem.decode())
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get(f"https://{simulator.address}/", ssl=context, server_hostname=VAULT)
    assert (await client.challenge()).status == 401


async def test_silent_client_delays_no_other_client_and_no_stop(client, simulator):
    address, _, port = simulator.address.partition(":")
    _, writer = await asyncio.open_connection(address, int(port))
    assert (await client.challenge()).status == 401
    async with asyncio.timeout(10):  # a third of the time that a client has for its hello
        await simulator.stop()
    writer.close()


async def test_repr_contains_no_secret(simulator):
    assert SECRET not in repr(simulator.state.environment)
    assert CLIENT in repr(simulator.state.environment)


async def test_soft_deleted_key_is_a_deleted_key(client, simulator):
    token = await client.token()
    assert (await client.get(token, path=f"/deletedkeys/{KEY}")).error["code"] == "KeyNotFound"
    simulator.apply("key_soft_deleted", vault=VAULT)
    deleted = (await client.get(token, path=f"/deletedkeys/{KEY}")).json
    assert deleted["recoveryId"] == f"https://{VAULT}/deletedkeys/{KEY}"
    assert deleted["scheduledPurgeDate"] > deleted["deletedDate"]
    assert (await client.get(token)).status == 404
    assert (await client.get(token, path="/keys")).json["value"] == []
    simulator.clear()
    assert (await client.get(token)).status == 200


async def test_keys_are_listed_without_their_versions(client):
    token = await client.token()
    newest = (await client.get(token, path=f"/keys/{KEY}/")).json["attributes"]
    listed = (await client.get(token, path="/keys")).json["value"]
    assert listed == [{"kid": f"https://{VAULT}/keys/{KEY}", "attributes": newest, "tags": {}}]
    assert newest["created"] == newest["updated"] < time.time()


async def test_without_a_version_the_newest_one_wraps_and_unwraps(client):
    """Clients that pin no version leave its segment of the path empty."""
    token = await client.token()
    wrapped = (await client.operate(token, "wrapkey", PLAIN, version="")).json
    assert wrapped["kid"] == f"https://{VAULT}/keys/{KEY}/{LATER}"
    unwrapped = await client.unwrap_text(token, wrapped["value"], version="")
    assert unwrapped.json["value"] == "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"
    assert (await client.unwrap_text(token, wrapped["value"], version=VERSION)).status == 400


@pytest.mark.parametrize(
    ("operation", "action"),
    [("get", "keys/read"), ("list", "keys/read"), ("wrapKey", "keys/wrap/action"), ("unwrapKey", "keys/unwrap/action")],
)
async def test_refusal_names_the_data_action_of_the_role(client, simulator, operation, action):
    simulator.set_fault("role_removed", Options(operation=operation), vault=VAULT)
    token = await client.token()
    paths = {"get": f"/keys/{KEY}", "list": "/keys"}
    refused = await (client.get(token, path=paths[operation]) if operation in paths else client.operate(token, operation, PLAIN))
    assert f"Action: 'Microsoft.KeyVault/vaults/{action}'" in refused.error["message"]


async def test_token_expires():
    now = [1_800_000_000.0]
    async with Simulator(small_environment(), clock=lambda: now[0]) as simulator, Client(simulator) as client:
        token = await client.token()
        assert (await client.get(token)).status == 200
        now[0] += 3600
        assert (await client.get(token)).status == 401
