"""Microsoft Graph: permitted callers read the expiry of secrets and certificates."""

import base64
import hashlib
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from exporter.simulator.build import build_environment
from exporter.simulator.environment import GRAPH_HOSTS, Application, ClientSecret, Environment
from exporter.simulator.faults import Options
from exporter.simulator.simulator import Simulator
from tests.support.simulated_environment import small_environment
from tests.support.simulator_client import CLIENT, ENTRA, GRAPH, MONITOR, MONITOR_SECRET, SECRET, TENANT, VAULT, Client
from tests.support.tls_server import Authority, Principal
from tests.support.values import replace
from tests.support.written import written

ENDS = datetime(2027, 3, 1, 12, tzinfo=UTC)
FIELDS = "id,appId,displayName,passwordCredentials,keyCredentials"


@pytest.fixture
def principal(tmp_path):
    return Principal(Authority(tmp_path))


@pytest.fixture
async def simulator(principal):
    environment = small_environment()
    secrets = (
        ClientSecret(value=SECRET, expires=ENDS.timestamp(), display_name="sql"),
        ClientSecret(value="marked-secret-endless"),
        ClientSecret(value="marked-secret-of-the-principal", expires=ENDS.timestamp(), of_principal=True),
    )
    applications = dict(environment.tenants[TENANT].applications)
    der = principal.certificate.public_bytes(Encoding.DER)
    applications[CLIENT] = replace(applications[CLIENT], secrets=secrets, certificates=(der,))
    tenant = replace(environment.tenants[TENANT], applications=applications)
    async with Simulator(replace(environment, tenants={TENANT: tenant})) as simulator:
        yield simulator


async def graph_token(client, host=GRAPH):
    return await client.token(client=MONITOR, secret=MONITOR_SECRET, resource=f"https://{host}")


async def read(client, token, *, host=GRAPH, what=f"applications(appId='{CLIENT}')", select=FIELDS):
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    query = {} if select is None else {"$select": select}
    return await client.request("GET", f"https://{host}/v1.0/{what}", params=query, headers=headers)


@pytest.mark.parametrize("host", GRAPH_HOSTS)
async def test_graph_returns_expiry_and_hint_of_each_secret(client, host):
    answer = await read(client, await graph_token(client, host), host=host)
    assert answer.status == 200
    first, endless = answer.json["passwordCredentials"]
    assert (first["endDateTime"], first["hint"], first["displayName"]) == ("2027-03-01T12:00:00Z", "mar", "sql")
    assert first["secretText"] is None
    assert endless["endDateTime"] == "2099-01-01T00:00:00Z"
    assert first["keyId"] != endless["keyId"]
    assert (answer.json["appId"], answer.json["displayName"]) == (CLIENT, "sql-prod")
    assert b"marked" not in answer.body


async def test_graph_lists_certificates_with_thumbprint_and_expiry(client, principal):
    (key,) = (await read(client, await graph_token(client))).json["keyCredentials"]
    der = principal.certificate.public_bytes(Encoding.DER)
    assert base64.b64decode(key["customKeyIdentifier"]) == hashlib.sha1(der).digest()  # noqa: S324 - how the portal names it
    assert key["endDateTime"] == f"{principal.certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"
    assert (key["type"], key["usage"], key["key"]) == ("AsymmetricX509Cert", "Verify", None)


async def test_service_principal_has_its_own_id_and_secrets(client):
    token = await graph_token(client)
    principal = (await read(client, token, what=f"servicePrincipals(appId='{CLIENT}')")).json
    application = (await read(client, token)).json
    assert (principal["id"], len(principal["passwordCredentials"]), principal["keyCredentials"]) == ("o-1", 1, [])
    assert principal["id"] != application["id"]


async def test_graph_refuses_missing_and_foreign_tokens(client):
    for token in (
        None,
        "x",
        await client.token(client=MONITOR, secret=MONITOR_SECRET),
        await graph_token(client, GRAPH_HOSTS[1]),
    ):
        refused = await read(client, token)
        assert (refused.status, refused.error["code"]) == (401, "InvalidAuthenticationToken")
        assert refused.headers["WWW-Authenticate"].startswith("Bearer ")
        assert {"date", "request-id"} <= set(refused.error["innerError"])


async def test_application_without_permission_cannot_read_itself(client, simulator):
    own = await client.token(resource=f"https://{GRAPH}")
    refused = await read(client, own)
    assert (refused.status, refused.error["code"]) == (403, "Authorization_RequestDenied")
    simulator.set_fault("graph_permission_removed", application=MONITOR)
    assert (await read(client, await graph_token(client))).status == 403


async def test_unknown_application_is_not_found(client):
    missing = await read(client, await graph_token(client), what="applications(appId='66666666-7777-8888-9999-00000000dead')")
    assert (missing.status, missing.error["code"]) == (404, "Request_ResourceNotFound")


async def test_graph_faults_apply_per_host_and_have_retry_after(client, simulator):
    token = await graph_token(client)
    fault = simulator.set_fault("graph_throttled", graph=GRAPH)
    refused = await read(client, token)
    assert (refused.status, refused.error["code"], refused.headers["Retry-After"]) == (429, "TooManyRequests", "10")
    simulator.clear(number=fault.number)
    simulator.set_fault("graph_throttled", Options(retry_after=3), graph=GRAPH)
    assert (await read(client, token)).headers["Retry-After"] == "3"
    assert (await read(client, await graph_token(client, GRAPH_HOSTS[1]), host=GRAPH_HOSTS[1])).status == 200
    simulator.clear()
    simulator.set_fault("html", graph=GRAPH)
    assert (await read(client, token)).body.startswith(b"<html>")
    assert (await client.challenge()).status == 401


async def test_graph_is_served_only_with_a_permitted_application():
    environment = small_environment()
    powerless = Application(client_id=MONITOR, object_id="o-3")
    tenant = replace(environment.tenants[TENANT], applications={**environment.tenants[TENANT].applications, MONITOR: powerless})
    assert set(GRAPH_HOSTS) <= set(environment.served)
    assert not set(GRAPH_HOSTS) & set(replace(environment, tenants={TENANT: tenant}).served)
    assert f"{GRAPH}:443" in Simulator(environment).connect_to
    assert Environment(tenants={}, vaults={}).served == (ENTRA,)


CONFIGURATION = """\
credentials:
  sql: {type: client_secret, tenant_id: 11111111-2222-3333-4444-555555555555, client_id: 66666666-7777-8888-9999-000000000000, client_secret_file: one, graph_credential: monitor}
  monitor: {type: client_secret, tenant_id: 11111111-2222-3333-4444-555555555555, client_id: 66666666-7777-8888-9999-000000000002, client_secret_file: two}
targets:
  - {name: one, vault: contoso-one, key: TdeKey, credential: sql}
"""


async def test_only_the_graph_credential_of_a_configuration_reads_graph(tmp_path):
    config = written(tmp_path, CONFIGURATION, one=SECRET, two=MONITOR_SECRET)
    async with Simulator(build_environment(config)) as simulator, Client(simulator) as client:
        assert (await read(client, await graph_token(client))).json["passwordCredentials"][0]["hint"] == SECRET[:3]
        assert (await read(client, await client.token(resource=f"https://{GRAPH}"))).status == 403
        assert (
            await client.get(await client.token(client=MONITOR, secret=MONITOR_SECRET), vault=VAULT, path="/keys/TdeKey")
        ).status == 403
