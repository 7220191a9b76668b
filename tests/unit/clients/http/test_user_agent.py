"""All requests have one User-Agent.

Audits can therefore separate the exporter's requests from those of SQL Server.
"""

import pytest

from exporter.clients.entra import GraphSession, Holder, fetch_token
from exporter.clients.http.exchange import USER_AGENT
from exporter.clients.key_vault import SecretVersionsSession
from exporter.config.settings import Credential
from exporter.core.values import Challenge, CredentialKind
from tests.support.tls_server import ENTRA, TENANT, TOKEN, VAULT, response, until

GRANT = {"access_token": TOKEN, "expires_on": "4102444800", "expires_in": "3599", "token_type": "Bearer", "resource": "x"}
CHALLENGE = Challenge(authority=f"https://{ENTRA}", tenant=TENANT, resource="https://vault.azure.net")


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZURE_HTTP_USER_AGENT", "something-of-the-hosts")


def user_agents(wire):
    assert wire.requests
    return {request.headers["user-agent"] for request in wire.requests}


@pytest.mark.parametrize("kind", [CredentialKind.MANAGED_IDENTITY, CredentialKind.DEFAULT])
@pytest.mark.parametrize("imds", [False, True], ids=["App Service", "virtual machine"])
async def test_identity_service_receives_the_user_agent(kind, imds, app_service, network_to, monkeypatch):
    wire = await app_service(response(200, GRANT, Content_Type="application/json"))
    if imds:
        monkeypatch.delenv("IDENTITY_ENDPOINT")
        monkeypatch.delenv("IDENTITY_HEADER")
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", f"http://127.0.0.1:{wire.port}")
    answer = await fetch_token(network_to(), Credential(name="vm", kind=kind), None, CHALLENGE, deadline=until(5.0))
    assert answer.token == TOKEN
    assert user_agents(wire) == {USER_AGENT}


async def test_entra_receives_the_user_agent_from_the_default_chain(serve, network_to, monkeypatch):
    wire = await serve(lambda _request: response(200, GRANT, Content_Type="application/json"))
    monkeypatch.setenv("AZURE_CLIENT_ID", "66666666-7777-8888-9999-aaaaaaaaaaaa")
    monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "MARKED~secret")
    chain = Credential(name="chain", kind=CredentialKind.DEFAULT)
    assert (await fetch_token(network_to(entra=wire), chain, None, CHALLENGE, deadline=until(5.0))).token == TOKEN
    assert user_agents(wire) == {USER_AGENT}


async def test_expiry_lookups_send_the_user_agent(serve, network_to):
    wire = await serve(lambda _request: response(404, {"error": {"code": "NotFound"}}, Content_Type="application/json"))
    async with GraphSession(network_to(vault=wire), VAULT) as graph:
        await graph.list_credentials(TOKEN, Holder.APPLICATION, "66666666-7777-8888-9999-aaaaaaaaaaaa", deadline=until())
    async with SecretVersionsSession(network_to(vault=wire), VAULT, "7.4") as session:
        await session.list_versions(TOKEN, "sql", deadline=until())
    assert len(wire.requests) == 2
    assert user_agents(wire) == {USER_AGENT}


async def test_vault_requests_of_a_probe_send_the_user_agent(serve, session_to, fake_vault):
    wire = await serve(fake_vault)
    async with session_to(wire) as session:
        await session.challenge(deadline=until())
        await session.get_key(TOKEN, "k", None, deadline=until())
        await session.deleted_key(TOKEN, "k", deadline=until())
    assert len(wire.requests) == 3
    assert user_agents(wire) == {USER_AGENT}
