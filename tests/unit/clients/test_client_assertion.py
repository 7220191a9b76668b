"""The assertion of a certificate: what azure-identity would send, also for AD FS."""

import base64
import json
from urllib.parse import parse_qs

import pytest
from azure.identity.aio import CertificateCredential
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

from exporter.clients.certificates import PS256, SHA256, Signer, load_certificate, make_assertion
from exporter.clients.entra import fetch_token
from exporter.clients.http.network import split_url
from exporter.config.settings import Credential
from exporter.core.values import Challenge, CredentialKind
from tests.support.tls_server import ENTRA, TENANT, TOKEN, response, until

CLIENT = "66666666-7777-8888-9999-aaaaaaaaaaaa"
AUTHORITY = f"https://{ENTRA}"
CREDENTIAL = Credential(name="c", kind=CredentialKind.CLIENT_CERTIFICATE, client_id=CLIENT)


def decoded(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def parts_of(assertion):
    header, claims, _ = map(decoded, assertion.split("."))
    return json.loads(header), json.loads(claims)


def unlike_each_time(claims):
    return {**claims, "jti": "", "nbf": 0, "exp": claims["exp"] - claims["nbf"]}


@pytest.mark.parametrize("tenant", [TENANT, "adfs"])
async def test_assertion_is_that_of_azure_identity(serve, network_to, principal, tenant):
    wire = await serve(lambda _request: response(200, {"access_token": TOKEN, "expires_in": 1}, Content_Type="application/json"))
    challenge = Challenge(authority=AUTHORITY, tenant=tenant, resource="https://vault.azure.net")
    await fetch_token(
        network_to(entra=wire), CREDENTIAL, load_certificate(principal.pem(), None), challenge, deadline=until(10.0)
    )
    connection = network_to(entra=wire).connection(*split_url(ENTRA))

    async def get_token():
        options = {"transport": connection.transport, "authority": AUTHORITY}
        credential = CertificateCredential(tenant, CLIENT, certificate_data=principal.pem(), **options)
        await credential.get_token("https://vault.azure.net/.default")

    await connection.exchange(get_token, deadline=until(10.0))
    await connection.close()
    own, theirs = (parts_of(parse_qs(request.body.decode())["client_assertion"][0]) for request in wire.requests[-2:])
    assert own[0] == theirs[0]
    assert unlike_each_time(own[1]) == unlike_each_time(theirs[1])
    assert wire.requests[0].target == wire.requests[-1].target == f"/{tenant}/oauth2/v2.0/token"


@pytest.mark.parametrize(("tenant", "scheme"), [(TENANT, PS256), ("adfs", PKCS1v15()), ("ADFS", PKCS1v15())])
def test_assertion_is_signed_by_the_key(principal, tenant, scheme):
    signer = Signer(principal.key, principal.certificate)
    assertion = make_assertion(signer, authority=AUTHORITY, tenant=tenant, client_id=CLIENT)
    signed, _, signature = assertion.rpartition(".")
    principal.key.public_key().verify(decoded(signature), signed.encode(), scheme, SHA256)


def test_two_assertions_differ(principal):
    signer = Signer(principal.key, principal.certificate)
    first, second = (make_assertion(signer, authority=AUTHORITY, tenant=TENANT, client_id=CLIENT) for _ in range(2))
    assert first != second
