"""The assertion of a certificate: what azure-identity would send, from a key that is read once."""

import base64
import json
import urllib.parse

from azure.identity.aio import CertificateCredential
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from exporter.clients import client_assertion
from exporter.clients.certificate_file import PS256, SHA256
from exporter.clients.client_assertion import make_assertion
from exporter.clients.http.network import split_url
from tests.support.tls_server import ENTRA, TENANT, TOKEN, response, until

CLIENT = "66666666-7777-8888-9999-aaaaaaaaaaaa"
AUDIENCE = f"https://{ENTRA}/{TENANT}/oauth2/v2.0/token"


def decoded(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def parts_of(assertion):
    header, claims, _ = map(decoded, assertion.split("."))
    return json.loads(header), json.loads(claims)


async def test_assertion_is_that_of_azure_identity(serve, network_to, principal):
    wire = await serve(lambda _request: response(200, {"access_token": TOKEN, "expires_in": 1}, Content_Type="application/json"))
    connection = network_to(entra=wire).connection(*split_url(ENTRA))
    pem = principal.pem()

    async def get_token():
        options = {"transport": connection.transport, "authority": f"https://{ENTRA}"}
        await CertificateCredential(TENANT, CLIENT, certificate_data=pem, **options).get_token("https://vault.azure.net/.default")

    await connection.exchange(get_token, deadline=until(10.0))
    await connection.close()
    sent = urllib.parse.parse_qs(wire.requests[0].body.decode())["client_assertion"][0]
    (header, claims), (own_header, own_claims) = (
        parts_of(sent),
        parts_of(make_assertion(pem, client_id=CLIENT, audience=AUDIENCE)),
    )
    assert own_header == header
    assert {**own_claims, "jti": "", "nbf": 0, "exp": 1800} == {
        **claims,
        "jti": "",
        "nbf": 0,
        "exp": claims["exp"] - claims["nbf"],
    }
    assert own_claims["exp"] - own_claims["nbf"] == 1800


def test_assertion_is_signed_by_the_key(principal):
    signed, _, signature = make_assertion(principal.pem(), client_id=CLIENT, audience=AUDIENCE).rpartition(".")
    public = load_pem_private_key(principal.key_pem(), None).public_key()
    public.verify(decoded(signature), signed.encode(), PS256, SHA256)


def test_key_is_read_once_for_several_assertions(principal, monkeypatch):
    reads = []
    monkeypatch.setattr(client_assertion, "load_pem_private_key", lambda *given: reads.append(1) or load_pem_private_key(*given))
    client_assertion._read.cache_clear()
    first, second = (make_assertion(principal.pem(), client_id=CLIENT, audience=AUDIENCE) for _ in range(2))
    assert first != second
    assert len(reads) == 1
