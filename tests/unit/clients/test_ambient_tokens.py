"""Tokens of the identity services of a host: unusable ones, and unreadable responses."""

import json
import shutil
import time

import pytest

from exporter.clients.entra import fetch_token
from exporter.config.settings import Credential
from exporter.core.values import Challenge, CredentialKind, Fault
from tests.support.tls_server import ENTRA, TENANT, TOKEN, response, until

CHALLENGE = Challenge(authority=f"https://{ENTRA}", tenant=TENANT, resource="https://vault.azure.net")
MANAGED = Credential(name="managed", kind=CredentialKind.MANAGED_IDENTITY)
CHAIN = Credential(name="chain", kind=CredentialKind.DEFAULT)
VARIABLES = (
    "AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST", "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IMDS_ENDPOINT", "MSI_ENDPOINT",
)  # fmt: skip


@pytest.fixture
def get_token(network_to, free_port, monkeypatch, tmp_path):
    """Fetch a token of a host without any identity but those that a test adds."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))

    async def fetch(credential):
        return await fetch_token(network_to(entra=free_port), credential, None, CHALLENGE, deadline=until(30))

    return fetch


def granted(token):
    body = {"access_token": token, "expires_on": str(int(time.time()) + 3600), "resource": "r", "token_type": "Bearer"}
    return response(200, body, Content_Type="application/json")


@pytest.mark.parametrize(
    ("token", "fault"),
    [
        (TOKEN, Fault.NONE),
        (None, Fault.TOKEN_MISSING),
        ([1], Fault.TOKEN_MISSING),
        ("", Fault.TOKEN_UNUSABLE),
        ("a\r\nX-Injected: b", Fault.TOKEN_UNUSABLE),
        ("a" * 65537, Fault.TOKEN_UNUSABLE),
    ],
    ids=["good", "null", "list", "empty", "injected", "long"],
)
async def test_unusable_token_of_a_host_fails_the_token_step(app_service, get_token, token, fault):
    await app_service(granted(token))
    answer = await get_token(MANAGED)
    assert answer.facts.fault is fault
    assert answer.token == (token if fault is Fault.NONE else None)


@pytest.mark.parametrize(
    ("body", "detail"),
    [(b"<html>unreachable network</html>", ": <html>unreachable network</html>"), (b"<html>", ": <html>")],
)
async def test_response_that_the_sdk_cannot_read_is_shown(app_service, get_token, body, detail):
    wire = await app_service(response(403, body))
    facts = (await get_token(MANAGED)).facts
    assert facts.fault is Fault.IDENTITY_UNAVAILABLE
    assert facts.detail == f"127.0.0.1:{wire.port}: status 403, not a token response{detail}"


async def test_unreadable_expiry_shows_no_token(app_service, get_token):
    body = {"access_token": TOKEN, "expires_on": "soon", "resource": "r", "token_type": "Bearer"}
    wire = await app_service(response(200, body, Content_Type="application/json"))
    facts = (await get_token(MANAGED)).facts
    assert facts.detail == f"127.0.0.1:{wire.port}: status 200, not a token response"


async def test_token_of_a_program_needs_no_response(serve, monkeypatch, get_token, tmp_path):
    """The chain ends with the programs of a developer, after a service that has no identity."""
    refused = {"error": "invalid_request", "error_description": "Identity not found"}
    imds = await serve(lambda _request: response(400, refused, Content_Type="application/json"), tls=False)
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", f"http://127.0.0.1:{imds.port}")
    program = tmp_path / "az"
    shell = shutil.which("sh", path="/bin:/usr/bin")
    grant = {"accessToken": TOKEN, "expires_on": int(time.time()) + 3600, "tenant": "t", "tokenType": "Bearer"}
    program.write_text(f"#!{shell}\necho '{json.dumps(grant)}'\n")
    program.chmod(0o700)
    answer = await get_token(CHAIN)
    assert (answer.facts.fault, answer.token) == (Fault.NONE, TOKEN)
