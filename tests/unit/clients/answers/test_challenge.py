"""The challenge is parsed as literally as the connector does."""

import pytest

from exporter.clients.answers import read_challenge
from exporter.core.secrets import remember
from exporter.core.values import Challenge, Fault

GOOD = 'Bearer authorization="https://login.microsoftonline.com/8dd0-tenant", resource="https://vault.azure.net"'


def test_a_good_challenge_names_authority_tenant_and_resource():
    assert read_challenge(GOOD) == (
        Fault.NONE,
        Challenge(authority="https://login.microsoftonline.com", tenant="8dd0-tenant", resource="https://vault.azure.net"),
    )


BAD = [
    (None, Fault.CHALLENGE_ABSENT),
    ("", Fault.CHALLENGE_ABSENT),
    ("Basic realm=x", Fault.CHALLENGE_NO_AUTHORIZATION),
    (GOOD.replace("authorization=", "authorization_uri="), Fault.CHALLENGE_NO_AUTHORIZATION),
    ('Bearer resource="https://vault.azure.net", authorization="https://l/t"', Fault.CHALLENGE_NO_AUTHORIZATION),
    (GOOD.replace("https://login", "http://login"), Fault.CHALLENGE_NO_AUTHORIZATION),
    (GOOD.replace("Bearer", "bearer"), Fault.CHALLENGE_NO_AUTHORIZATION),
    ('Bearer authorization="https://login.microsoftonline.com/t', Fault.CHALLENGE_OPEN_AUTHORIZATION),
    ('Bearer authorization="https://"', Fault.CHALLENGE_NO_TENANT),
    ('Bearer authorization="https://login.microsoftonline.com"', Fault.CHALLENGE_NO_TENANT),
    ('Bearer authorization="https://login.microsoftonline.com/"', Fault.CHALLENGE_NO_TENANT),
    ('Bearer authorization="https://user:pw@evil/t", resource="https://x.y"', Fault.CHALLENGE_NO_TENANT),
    ('Bearer authorization="https://login.microsoftonline.com/a b", resource="https://x.y"', Fault.CHALLENGE_NO_TENANT),
    ('Bearer authorization="https://login.microsoftonline.com/..", resource="https://x.y"', Fault.CHALLENGE_NO_TENANT),
    ('Bearer authorization="https://login.microsoftonline.com/t"', Fault.CHALLENGE_NO_RESOURCE),
    ('Bearer authorization="https://login.microsoftonline.com/t", scope="x"', Fault.CHALLENGE_NO_RESOURCE),
    ('Bearer authorization="https://login.microsoftonline.com/t", resource="https://vault', Fault.CHALLENGE_OPEN_RESOURCE),
]


@pytest.mark.parametrize(("header", "fault"), BAD)
def test_unreadable_challenge_is_a_fault(header: str | None, fault: Fault):
    assert read_challenge(header) == (fault, None)


@pytest.mark.parametrize("secret", ["Marked-secret-8Q9w0123456789", "contoso.onmicrosoft.com", "vault.azure.net"])
def test_challenge_is_read_whatever_is_a_secret(secret):
    header = f'Bearer authorization="https://login.example/{secret}", resource="https://{secret}"'
    remember(secret)
    expected = Challenge(authority="https://login.example", tenant=secret, resource=f"https://{secret}")
    assert read_challenge(header) == (Fault.NONE, expected)
