"""Which token a SQL Server needs, and when a missing one is a refusal."""

import asyncio

import pytest

from exporter.clients.http.network import make_network
from exporter.config.settings import Module
from exporter.core.values import CredentialKind, Facts, Fault
from exporter.probing import tokens as tokens_module
from exporter.probing.tokens import DatabaseTokens, TokenCache, database_challenge, is_refusal
from exporter.runtime.files import FileUnreadableError
from exporter.runtime.tasks import DaemonThreadPool
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
    assert not is_refusal(result.facts, a_credential())


@pytest.fixture
async def tokens(monkeypatch):
    """Make tokens whose pool runs each call at once, or never if `hangs`."""
    made = []

    async def run(_, function, *args):
        await asyncio.sleep(3600.0 * begin.hangs)
        return function(*args)

    def begin(module):
        config = a_config(credentials=[a_credential(tenant_id=TENANT)], modules=[module])
        made.append(DatabaseTokens(config, on_request=lambda: pytest.fail("a request")))
        return made[-1]

    begin.hangs = False
    monkeypatch.setattr(DaemonThreadPool, "run", run)
    yield begin
    for one in made:
        await one.aclose()


async def test_unusable_authorities_are_an_unreadable_file(tokens, tmp_path):
    made = tokens(Module(name="default", ca_file=tmp_path / "ca.pem"))
    for _ in range(2):
        with pytest.raises(FileUnreadableError, match=r"module default: .*ca\.pem holds no usable certificate authority"):
            await made.token_of("sql")


async def test_authorities_on_a_dead_mount_do_not_stop_the_loop(tokens, monkeypatch):
    monkeypatch.setattr(tokens, "hangs", True)
    made, began = tokens(Module(name="default")), asyncio.get_running_loop().time()
    results = await asyncio.gather(*(made.token_of("sql") for _ in range(8)), return_exceptions=True)
    assert {(type(error), str(error)) for error in results} == {
        (FileUnreadableError, "module default: its authorities were not read within 10 s")
    }
    assert asyncio.get_running_loop().time() - began == pytest.approx(10.0)


async def test_network_for_tokens_spares_no_other_names(tokens, monkeypatch):
    loaded = []
    monkeypatch.setattr("exporter.clients.http.network.spare", lambda _: pytest.fail("other names"))
    monkeypatch.setattr(TokenCache, "token", lambda *_, **__: asyncio.sleep(0, "a token"))
    monkeypatch.setattr(
        tokens_module, "make_network", lambda *found, **more: loaded.append(found) or make_network(*found, **more)
    )
    made = tokens(module := Module(name="default"))
    assert await asyncio.gather(made.token_of("sql"), made.token_of("sql")) == ["a token"] * 2
    assert loaded == [(module,)]


@pytest.mark.parametrize("status", [400, 401, 403])
def test_answer_about_the_credential_is_a_refusal(status):
    facts = Facts(fault=Fault.HTTP_STATUS, status=status)
    assert {kind for kind in CredentialKind if is_refusal(facts, a_credential(kind=kind))} == {
        CredentialKind.CLIENT_SECRET,
        CredentialKind.CONNECTOR_SECRET,
        CredentialKind.CLIENT_CERTIFICATE,
    }


@pytest.mark.parametrize(
    "facts",
    [
        Facts(),
        Facts(fault=Fault.CONNECT_TIMEOUT),
        Facts(fault=Fault.PROXY_STATUS, status=407),
        *(Facts(fault=Fault.HTTP_STATUS, status=status) for status in (302, 404, 405, 408, 413, 429, 451, 500, 503)),
    ],
)
def test_any_other_failure_is_none(facts):
    assert not is_refusal(facts, a_credential())
