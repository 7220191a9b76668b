"""Seeds for the fuzzer and the property tests: valid responses, and refusals from the tables of the simulator."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

from exporter.core.values import Step
from exporter.simulator.errors import ENTRA_ERRORS, VAULT_ERRORS, entra_error, vault_error
from tests.fuzz.exchanges import VAULT, Reported

GOOD_CONFIGURATIONS = Path(__file__).parents[1] / "unit" / "config" / "good"
BAD_CONFIGURATIONS = Path(__file__).parents[1] / "unit" / "config" / "bad"

CHALLENGE = 'Bearer authorization="https://login.microsoftonline.com/contoso.onmicrosoft.com", resource="https://vault.azure.net"'
HEADERS = (
    ("Date", "Wed, 21 Oct 2015 07:28:00 GMT"),
    ("x-ms-request-id", "00000000-0000-0000-0000-000000000000"),
    ("x-ms-keyvault-region", "westeurope"),
    ("x-ms-keyvault-service-version", "1.9.0.0"),
    ("x-ms-keyvault-network-info", "conn_type=Ipv4;addr=203.0.113.10;act_addr_fam=InterNetwork;"),
)
_MODULUS = base64.urlsafe_b64encode(b"\xc1" + bytes(range(1, 256))).decode().rstrip("=")
KEY_ANSWER = {
    "key": {
        "kid": f"https://{VAULT}/keys/ContosoRSAKey0/0123456789abcdef",
        "kty": "RSA-HSM",
        "n": _MODULUS,
        "e": "AQAB",
        "key_ops": ["wrapKey", "unwrapKey"],
    },
    "attributes": {"enabled": True, "nbf": 1, "exp": 1893456000, "created": 1},
}
VALUE_ANSWER = {"kid": KEY_ANSWER["key"]["kid"], "value": "AAECAwQFBgcICQoLDA0ODw"}
TOKEN_ANSWER = {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": "eyJ0eXAi.eyJhdWQi.c2ln"}

GOOD_BODIES = {
    Step.TOKEN: TOKEN_ANSWER,
    Step.GET_KEY: KEY_ANSWER,
    Step.WRAP_KEY: VALUE_ANSWER,
    Step.UNWRAP_KEY: VALUE_ANSWER,
}


def good_answers() -> Iterator[Reported]:
    yield Reported(Step.CHALLENGE, 401, (*HEADERS, ("WWW-Authenticate", CHALLENGE)), vault_error("token_missing").body)
    for step, body in GOOD_BODIES.items():
        yield Reported(step, 200, HEADERS, json.dumps(body).encode())


def refusals() -> Iterator[Reported]:
    for name in ENTRA_ERRORS:
        yield Reported(Step.TOKEN, entra_error(name).status, (("Retry-After", "7"),), entra_error(name).body)
    for name in VAULT_ERRORS:
        answer = vault_error(name, operation="get", vault="contoso", found="https://graph.microsoft.com")
        yield Reported(Step.GET_KEY, answer.status, HEADERS, answer.body)


def odd_answers() -> Iterator[Reported]:
    yield Reported(Step.GET_KEY, 200, HEADERS, json.dumps(KEY_ANSWER).encode("utf-16"))
    yield Reported(Step.GET_KEY, 200, HEADERS, b"\xef\xbb\xbf" + json.dumps(KEY_ANSWER).encode())
    yield Reported(Step.GET_KEY, 200, HEADERS, b'{"key":' * 50 + b"1" + b"}" * 50)
    yield Reported(Step.WRAP_KEY, 200, HEADERS, b'{"value":"AA","value":7}')
    yield Reported(Step.UNWRAP_KEY, 200, HEADERS, b'{"value":"A', complete=False)
    yield Reported(Step.UNWRAP_KEY, 200, HEADERS, b'{"value":"A', complete=False, timed_out=True)
    yield Reported(Step.TOKEN, 200, (), b"<html><title>Sign in to the guest network</title></html>")
    yield Reported(Step.TOKEN, 503, (("Retry-After", "Wed, 21 Oct 2015 07:28:30 GMT"),), b"<html>out</html>")
    yield Reported(Step.CHALLENGE, 302, (("Location", "https://elsewhere.invalid/"),))
    yield Reported(Step.CHALLENGE, 401, (("WWW-Authenticate", 'Bearer authorization="https://'),))


TEXTS = (
    CHALLENGE,
    "Wed, 21 Oct 2015 07:28:00 GMT",
    "Sun Nov  6 08:49:37 1994",
    "17",
    "conn_type=PrivateLink;addr=10.0.0.1;act_addr_fam=InterNetwork;",
    "addr=fd00::1%eth0;",
    "client_secret=abcdefghijkl&assertion=eyJhbGciOi.eyJpc3Mi.c2ln",
    "Authorization: Bearer abcdefghijklmnop",
    "https://user:password@proxy.example:3128/",
    "from 203.0.113.10 and 2001:db8::1 by 66666666-7777-8888-9999-000000000000",
    "https://contoso.vault.azure.net:8443/",
    "1h30m250ms",
    "6666666677778888999900000000000" + "0~secret",
    "AQAB",
)


def configurations() -> Iterator[bytes]:
    for folder in (GOOD_CONFIGURATIONS, BAD_CONFIGURATIONS):
        for path in sorted(folder.rglob("*.yml")):
            if path.stat().st_size <= 4096:
                yield path.read_bytes()
