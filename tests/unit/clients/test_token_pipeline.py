"""What azure-identity does not do with a token response, and what it does if it ignores the exporter's pipeline."""

import json
import time

import pytest
from azure.core.pipeline.policies import ContentDecodePolicy
from azure.identity.aio import ClientSecretCredential
from msal import TokenCache

from exporter.clients import entra
from exporter.clients.entra import fetch_token
from exporter.config.settings import Credential
from exporter.core.values import Challenge, CredentialKind, Fault
from tests.support.tls_server import ENTRA, TENANT, TOKEN, response, until

CREDENTIAL = Credential(name="sql", kind=CredentialKind.CLIENT_SECRET, client_id=TENANT)
CHALLENGE = Challenge(authority=f"https://{ENTRA}", tenant=TENANT, resource="https://vault.azure.net")
GRANT = {"token_type": "Bearer", "expires_in": 3599, "access_token": TOKEN}


@pytest.fixture
async def get_token(serve, network_to):
    """Fetch a token from a server with one response."""

    async def get(body, media_type="application/json"):
        wire = await serve(lambda _request: response(200, body, Content_Type=media_type))
        return await fetch_token(network_to(entra=wire), CREDENTIAL, "s3cret", CHALLENGE, deadline=until(5.0))

    return get


def is_granted(answer):
    return (answer.token, answer.facts.fault) == (TOKEN, Fault.NONE) and answer.expires_at == pytest.approx(
        time.time() + 3599, abs=60
    )


async def test_sdk_decodes_and_keeps_no_token(get_token, monkeypatch):
    def refuse(*_args, **_options):
        pytest.fail("the SDK uses its own pipeline or cache")

    for holder, name in ((TokenCache, "add"), (TokenCache, "search"), (ContentDecodePolicy, "deserialize_from_http_generics")):
        monkeypatch.setattr(holder, name, refuse)
    assert is_granted(await get_token(GRANT))


async def test_sdk_that_ignores_pipeline_and_cache_gets_a_token(get_token, monkeypatch):
    def build(*parameters, policies, cache, **options):
        assert policies, cache
        return ClientSecretCredential(*parameters, **options)

    monkeypatch.setattr(entra, "ClientSecretCredential", build)
    assert is_granted(await get_token(GRANT))


@pytest.mark.parametrize("body", [b"", b"[1]", b"<html>", json.dumps("text").encode()])
async def test_response_without_an_object_is_no_token(get_token, body):
    assert (await get_token(body)).facts.fault is Fault.ANSWER_NOT_JSON


async def test_token_in_a_page_is_a_token(get_token):
    assert is_granted(await get_token(json.dumps(GRANT).encode(), "text/html"))


@pytest.mark.parametrize("info", ["zz", 5, {"a": 1}])
async def test_expiry_is_that_of_the_body_whatever_the_client_info(get_token, info):
    assert is_granted(await get_token({**GRANT, "client_info": info}))
