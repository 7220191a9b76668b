"""Claims of an access token: three values, nothing else."""

import json

import pytest

from exporter.clients.answers import encode
from exporter.core.secrets import KNOWN_SECRETS
from exporter.knowledge.answers import Claims, read_claims

SECRET = "MARKED~client.secret_8Q-9w"
AUDIENCE = "https://vault.azure.net"


def token(**payload):
    return f"{encode(b'{}')}.{encode(json.dumps(payload).encode())}.{encode(b'signature')}"


@pytest.mark.parametrize("opaque", ["abc", "a.b.c", "a.b", f"a.{encode(b'[]')}.c", token(tid="t"), token(aud=1)])
def test_an_opaque_token_has_no_claims(opaque):
    assert read_claims(opaque) is None


def test_token_claims_keep_three_values_only():
    claims = read_claims(token(aud=AUDIENCE, tid="t", azp="a", secret=SECRET, roles=["x"]))
    assert claims == Claims(audience=AUDIENCE, tenant="t", application="a")
    assert SECRET not in repr(claims)


def test_claim_that_is_long_or_unprintable_is_absent():
    assert read_claims(token(aud=AUDIENCE, tid="t" * 201)) == Claims(audience=AUDIENCE)
    assert read_claims(token(aud=AUDIENCE, tid="a\nb", appid="first", azp="second")) == Claims(
        audience=AUDIENCE, application="first"
    )


def test_claims_are_read_whatever_is_a_secret():
    KNOWN_SECRETS.remember(AUDIENCE)
    assert read_claims(token(aud=AUDIENCE)) == Claims(audience=AUDIENCE)
