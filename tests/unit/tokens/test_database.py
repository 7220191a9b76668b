"""Which token a SQL Server needs, and when a missing one is a refusal."""

import pytest

from exporter.config.settings import Module
from exporter.core.faults import Fault
from exporter.core.model import CredentialKind, Facts
from exporter.tokens.database import DatabaseTokens, database_challenge
from exporter.tokens.failure import is_refusal
from tests.support.factories import a_config, a_credential, a_target

TENANT = "11111111-2222-3333-4444-555555555555"
PUBLIC = "https://database.windows.net"


@pytest.mark.parametrize(
    ("authority", "resource"),
    [
        (None, PUBLIC),
        ("https://login.microsoftonline.com", PUBLIC),
        ("https://login.microsoftonline.us/", "https://database.usgovcloudapi.net"),
        ("https://login.partner.microsoftonline.cn", "https://database.chinacloudapi.cn"),
        ("https://login.chinacloudapi.cn", "https://database.chinacloudapi.cn"),
    ],
)
def test_resource_is_that_of_the_cloud(authority, resource):
    challenge = database_challenge(a_credential(tenant_id=TENANT), Module(name="default", authority_host=authority))
    assert (challenge.resource, challenge.tenant) == (resource, TENANT)
    assert challenge.authority == (authority or "https://login.microsoftonline.com")


@pytest.mark.parametrize("kind", CredentialKind)
def test_identity_of_the_host_needs_no_tenant(kind):
    challenge = database_challenge(a_credential(kind=kind), Module(name="default"))
    assert (challenge is not None) == (kind in (CredentialKind.MANAGED_IDENTITY, CredentialKind.DEFAULT))


async def test_credential_without_a_tenant_sends_no_request():
    requests = []
    tokens = DatabaseTokens(a_config(a_target()), on_request=lambda: requests.append(1))
    result = await tokens.token_of("sql")
    await tokens.aclose()
    assert (result.token, result.facts.detail) == (None, "credential sql has no tenant_id: add it")
    assert requests == []
    assert not is_refusal(result.facts)


@pytest.mark.parametrize("status", [400, 401, 403])
def test_answer_about_the_credential_is_a_refusal(status):
    assert is_refusal(Facts(fault=Fault.HTTP_STATUS, status=status))


@pytest.mark.parametrize(
    "facts",
    [
        Facts(),
        Facts(fault=Fault.CONNECT_TIMEOUT),
        Facts(fault=Fault.PROXY_STATUS, status=407),
        *(Facts(fault=Fault.HTTP_STATUS, status=status) for status in (302, 408, 429, 500, 503)),
    ],
)
def test_any_other_failure_is_none(facts):
    assert not is_refusal(facts)
