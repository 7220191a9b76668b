"""Lookups against hostile services leak no token and raise nothing."""

import json
from urllib.parse import quote

import pytest

from exporter.config.settings import Credential, Module, SecretSource
from exporter.core.values import CredentialKind
from exporter.probing.expiry import ExpiryLookup
from exporter.probing.expiry_monitor import ExpiryMonitor
from tests.support.expiry_fakes import Recorded
from tests.support.expiry_simulated import by_source
from tests.support.factories import a_config, a_target
from tests.support.tls_server import CHALLENGE, ENTRA, TOKEN, Wire, response
from tests.system.abuse.echoes import ENCODINGS, leaks

VAULT, GRAPH, ELSEWHERE = "contoso.vault.azure.net", "graph.microsoft.com", "elsewhere.example"
HOSTS = (VAULT, GRAPH, ENTRA, ELSEWHERE)
LIST = "/secrets/sql/versions"
SECRET = "Zq9~marked"


def versions(*numbers, link=None):
    return {
        "value": [
            {
                "id": f"https://{VAULT}/secrets/sql/{number:032x}",
                "attributes": {"enabled": True, "created": number, "exp": number},
            }
            for number in numbers
        ],
        "nextLink": link,
    }


@pytest.fixture
def secret_files(tmp_path):
    for name, text in (("sql", SECRET), ("monitor", "marked-monitor")):
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
async def server(authority, secret_files):
    """One server for all hosts.

    `own(request)` of a test responds to all requests except challenge and token.
    """
    wire = Wire(context=authority.server(*HOSTS))
    wire.own = lambda _request: response(404)

    def answer(request):
        if request.headers["host"] == ENTRA:
            return response(200, {"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"})
        if request.path == "/keys":
            return response(401, WWW_Authenticate=CHALLENGE)
        return wire.own(request)

    wire.answer = answer
    await wire.start()
    connect_to = {f"{host}:443": f"127.0.0.1:{wire.port}" for host in HOSTS}
    tenant = "11111111-2222-3333-4444-555555555555"
    credentials = [
        Credential(
            name=name,
            kind=CredentialKind.CLIENT_SECRET,
            tenant_id=tenant,
            client_id=f"66666666-7777-8888-9999-00000000000{number}",
            secret=SecretSource(file=secret_files / name),
            **more,
        )
        for number, (name, more) in enumerate(
            {"sql": {"graph_credential": "monitor", "key_vault_secret": f"https://{VAULT}/secrets/sql"}, "monitor": {}}.items()
        )
    ]
    module = Module(name="default", ca_file=authority.file, connect_to=connect_to)
    config = a_config(a_target("one", credential="sql", vault=VAULT), credentials=credentials, modules=[module])
    wire.recorded = Recorded()
    identity = ExpiryLookup(config, requested=lambda _endpoint, _count: None, tenant_of=lambda _target: None)
    monitor = ExpiryMonitor(config, identity, wire.recorded.callbacks)
    wire.look_up = monitor.look_up
    yield wire
    await monitor.aclose()
    await wire.stop()


async def found(server, source):
    expiry = by_source(await server.look_up("sql"))[source]
    assert server.recorded.bugs == []
    return expiry


def with_token(server):
    return [(request.headers["host"], request.target) for request in server.requests if "authorization" in request.headers]


async def test_lookup_sends_exactly_these_requests(server):
    server.own = lambda request: response(
        200, versions(7) if request.path == LIST else {"passwordCredentials": [], "keyCredentials": []}
    )
    await server.look_up("sql")
    selected = "$select=id,appId,passwordCredentials,keyCredentials"
    client = "66666666-7777-8888-9999-000000000000"
    assert sorted(with_token(server)) == [
        (VAULT, f"{LIST}?api-version=7.4"),
        (GRAPH, f"/v1.0/applications(appId='{client}')?{selected}"),
        (GRAPH, f"/v1.0/servicePrincipals(appId='{client}')?{selected}"),
    ]
    assert {request.method for request in server.requests if request.headers["host"] != ENTRA} == {"GET"}
    sent = b"".join(request.body for request in server.requests)
    assert quote(SECRET).encode() not in sent
    assert b"marked-monitor" in sent


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("source", ["graph", "key_vault"])
async def test_redirect_is_not_followed(server, status, source):
    server.own = lambda _request: response(status, b"", Location=f"https://{ELSEWHERE}/")
    expiry = await found(server, source)
    assert expiry.failure.endswith("redirect")
    assert ELSEWHERE not in {request.headers["host"] for request in server.requests}


@pytest.mark.parametrize(
    "link",
    [
        f"https://{ELSEWHERE}{LIST}?$skiptoken=x",
        f"http://{VAULT}{LIST}?$skiptoken=x",
        f"https://{VAULT}:8443{LIST}?$skiptoken=x",
        f"https://{VAULT}@{ELSEWHERE}{LIST}?$skiptoken=x",
        f"https://{VAULT}/secrets/sql?api-version=7.4",
        f"https://{VAULT}/secrets/sql/{'0' * 32}?api-version=7.4",
        f"https://{VAULT}/secrets/other/versions?api-version=7.4",
        f"https://{VAULT}{LIST}/../../sql?api-version=7.4",
        f"https://{VAULT}{LIST}",
        f"https://{VAULT}{LIST}?$skiptoken=x y",
        f"https://{VAULT}{LIST}?$skiptoken=\u00e9",
        "https://[::1",
        f"https://{VAULT}:port{LIST}?x",
        "/secrets/sql/versions?$skiptoken=x",
    ],
)
async def test_next_link_to_another_place_is_not_followed(server, link):
    server.own = lambda _request: response(200, versions(7, link=link))
    expiry = await found(server, "key_vault")
    assert (expiry.expires_at, expiry.failure.endswith("redirect")) == (None, True)
    assert [target for host, target in with_token(server) if host != GRAPH] == [f"{LIST}?api-version=7.4"]


async def test_next_link_with_port_or_other_case_is_followed(server):
    following = f"https://{VAULT.upper()}:443/secrets/SQL/versions?api-version=7.4&$skiptoken=eyJ&maxresults=25"
    server.own = lambda request: response(200, versions(7, link=None if "$skiptoken" in request.target else following))
    await found(server, "key_vault")
    assert [target for host, target in with_token(server) if host == VAULT] == [
        f"{LIST}?api-version=7.4",
        f"{LIST}?api-version=7.4&$skiptoken=eyJ&maxresults=25",
    ]


@pytest.mark.parametrize(
    ("expected", "other", "fault"),
    [(ENTRA, ELSEWHERE, "authority untrusted"), ("https://vault.azure.net", f"https://{GRAPH}", "resource mismatch")],
)
async def test_foreign_challenge_gets_no_secret_and_no_token(server, expected, other, fault):
    challenge, answer = CHALLENGE.replace(expected, other), server.answer
    server.answer = lambda request: response(401, WWW_Authenticate=challenge) if request.path == "/keys" else answer(request)
    assert (await found(server, "key_vault")).failure == f"the vault {VAULT}: {fault}"
    assert {host for host, _ in with_token(server)} == {GRAPH}
    assert ELSEWHERE not in {request.headers["host"] for request in server.requests}


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"<html>", b"[]", b'{"value": 1, "passwordCredentials": 1}', b"\xff\xfe", b"x" * (1024 * 1024 + 1)],
    ids=["empty", "cut", "html", "list", "numbers", "not text", "endless"],
)
async def test_malformed_response_is_a_failed_lookup(server, body):
    server.own = lambda _request: response(200, body)
    for expiry in await server.look_up("sql"):
        assert (expiry.expires_at, expiry.looked_up_at) == (None, None)
        assert expiry.failure
    assert server.recorded.bugs == []


async def test_failure_quotes_only_codes_of_the_response(server):
    message = f"Caller appid=66666666-7777-8888-9999-000000000000;token={TOKEN} of {SECRET}"
    body = {"error": {"code": "Authorization_RequestDenied", "message": message, "innerError": {"code": "x", "request-id": "1"}}}
    server.own = lambda _request: response(403, body)
    reported = " ".join(expiry.failure for expiry in await server.look_up("sql"))
    assert "HTTP 403 (Authorization_RequestDenied, x)" in reported
    for mark in ("66666666", TOKEN, SECRET, "Caller"):
        assert mark not in reported


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("status", [200, 302, 403])
async def test_failure_has_no_secret_from_the_response(server, encoding, status):
    expected = ENCODINGS[encoding](SECRET)
    hint = {"endDateTime": expected, "hint": expected}
    body = {
        "error": {"code": expected, "message": expected, "innerError": {"code": expected}},
        "passwordCredentials": [hint],
        expected: expected,
    }
    server.own = lambda _request: response(
        status, body | {"keyCredentials": [], "value": [{"id": expected}]}, Location=f"/{quote(expected)}"
    )
    expiries = await server.look_up("sql")
    assert all(expiry.failure for expiry in expiries)
    assert leaks(repr(expiries), SECRET) == []


async def test_error_code_that_is_an_id_is_masked(server):
    server.own = lambda _request: response(400, {"error": {"code": "66666666-7777-8888-9999-000000000000"}})
    assert "HTTP 400 (<id>)" in (await found(server, "graph")).failure


async def test_graph_response_without_hints_is_accepted(server):
    entry = {"endDateTime": "2027-03-01T00:00:00Z", "hint": None}
    server.own = lambda _request: response(200, json.loads(json.dumps({"passwordCredentials": [entry], "keyCredentials": []})))
    assert (await found(server, "graph")).expires_at == 1803859200.0
