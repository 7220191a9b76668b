"""Token requests: what Entra ID and identity services of a host receive, and the facts of each response."""

import asyncio
import base64
import json
import logging
import shutil
import time
import urllib.parse
from contextvars import copy_context
from pathlib import Path

import msal
import pytest
from azure.core.pipeline.policies import ContentDecodePolicy
from azure.identity.aio import ClientSecretCredential

from exporter import __version__
from exporter.clients import entra
from exporter.clients.certificates import load_certificate
from exporter.clients.entra import fetch_token, pending_facts, quiet_sdk_loggers
from exporter.clients.http.exchange import USER_AGENT
from exporter.config.settings import Credential, Proxy
from exporter.core.values import Challenge, CredentialKind, Fault, Phase, Step
from exporter.knowledge.classify import classify
from exporter.knowledge.reasons import Reason
from exporter.probing.secrets import CredentialSecret
from exporter.probing.tokens import ReuseWindow, TokenCache
from exporter.runtime.tasks import PoolExhausted
from tests.support.tls_server import ENTRA, TENANT, TOKEN, VAULT, closes, is_silent, response, until, writes
from tests.support.values import replace
from tests.support.web_server import until as eventually

# Token requests: what Entra receives, and the facts of each response.

CLIENT = "66666666-7777-8888-9999-aaaaaaaaaaaa"
SECRET = "MARKED~secret.value-With_everything+/=&40chars"
CHALLENGE = Challenge(authority=f"https://{ENTRA}", tenant=TENANT, resource="https://vault.azure.net")
GRANT = {"token_type": "Bearer", "expires_in": 3599, "access_token": TOKEN}
BY_SECRET = Credential(name="sql", kind=CredentialKind.CLIENT_SECRET, client_id=CLIENT)
BY_CERTIFICATE = Credential(
    name="c", kind=CredentialKind.CLIENT_CERTIFICATE, client_id=CLIENT, certificate_file=Path("no-such-folder/gone.pem")
)
BY_HOST = Credential(name="vm", kind=CredentialKind.MANAGED_IDENTITY)
TYPED = Credential(name="typed", kind=CredentialKind.CONNECTOR_SECRET)


@pytest.fixture
def get_token(network_to):
    """Fetch a token and check that the result does not contain the secret."""

    async def fetch(entra, credential=BY_SECRET, secret=SECRET, challenge=CHALLENGE, seconds=5.0, **module):
        network = network_to(entra=entra, **module)
        answer = await fetch_token(network, credential, secret, challenge, deadline=until(seconds))
        assert not isinstance(secret, str) or len(secret) < 8 or secret not in repr(answer)
        return answer

    return fetch


def refusal(status, aadsts, error="invalid_client", **headers):
    body = {
        "error": error,
        "error_description": f"AADSTS{aadsts}: refused. Trace ID: {TENANT}",
        "error_codes": [aadsts],
        "trace_id": "77777777-1111-2222-3333-444444444444",
        "correlation_id": "88888888-1111-2222-3333-444444444444",
    }
    return response(status, body, Content_Type="application/json; charset=utf-8", **headers)


async def test_token_takes_one_request_with_the_secret_in_its_body(serve, get_token):
    wire = await serve(lambda _request: response(200, GRANT, Content_Type="application/json", x_ms_request_id="r1"))
    answer = await get_token(wire)
    assert answer.token == TOKEN
    assert answer.facts.fault is Fault.NONE
    assert answer.facts.request_id == "r1"
    assert answer.facts.endpoint == "login.microsoftonline.com:443"
    assert set(answer.facts.phases) == {Phase.CONNECT, Phase.TLS, Phase.WAIT, Phase.TRANSFER}
    (request,) = wire.requests
    assert (request.method, request.path) == ("POST", f"/{TENANT}/oauth2/v2.0/token")
    assert urllib.parse.parse_qs(request.body.decode()) == {
        "client_id": [CLIENT],
        "client_secret": [SECRET],
        "grant_type": ["client_credentials"],
        "scope": ["https://vault.azure.net/.default"],
    }
    assert request.headers["user-agent"] == USER_AGENT == f"ekm-exporter/{__version__}"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"


async def test_each_call_requests_a_new_token(serve, get_token):
    wire = await serve(lambda _request: response(200, GRANT, Content_Type="application/json"))
    for _ in range(3):
        assert (await get_token(wire)).token == TOKEN
    assert (len(wire.requests), wire.connections) == (3, 3)


async def test_tenant_of_the_credential_precedes_the_challenge(serve, get_token):
    wire = await serve(lambda _request: response(200, GRANT, Content_Type="application/json"))
    await get_token(wire, Credential(name="c", kind=CredentialKind.CLIENT_SECRET, client_id=CLIENT, tenant_id="fabrikam.example"))
    assert wire.requests[0].path == "/fabrikam.example/oauth2/v2.0/token"


async def test_configured_authority_precedes_the_challenge(serve, get_token, authority):
    wire = await serve(
        lambda _request: response(200, GRANT, Content_Type="application/json"), context=authority.server("entra.example")
    )
    connect_to = {"entra.example:8443": f"127.0.0.1:{wire.port}"}
    answer = await get_token(None, authority_host="https://entra.example:8443", connect_to=connect_to)
    assert answer.token == TOKEN
    assert answer.facts.endpoint == "entra.example:8443"


@pytest.mark.parametrize(
    ("status", "aadsts", "error"),
    [
        (401, 7000215, "invalid_client"),
        (401, 7000222, "invalid_client"),
        (400, 700016, "unauthorized_client"),
        (400, 90002, "invalid_request"),
        (429, 90055, "temporarily_unavailable"),
        (503, 90033, "temporarily_unavailable"),
    ],
)
async def test_refusal_keeps_its_status_and_error_codes(serve, get_token, status, aadsts, error):
    wire = await serve(lambda _request: refusal(status, aadsts, error, Retry_After="3"))
    answer = await get_token(wire)
    facts = answer.facts
    assert answer.token is None
    assert (facts.fault, facts.status, facts.aadsts, facts.service_code) == (Fault.HTTP_STATUS, status, aadsts, error)
    assert facts.retry_after_seconds == 3
    assert facts.request_id == "77777777-1111-2222-3333-444444444444"
    assert facts.correlation_id == "88888888-1111-2222-3333-444444444444"
    assert str(aadsts) in facts.detail
    assert TENANT not in facts.detail
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    ("answer", "fault", "status"),
    [
        (response(200, b"<html>Sign in to Wi-Fi</html>", Content_Type="text/html"), Fault.ANSWER_NOT_JSON, 200),
        (response(503, b"<html>Sorry</html>", Content_Type="text/html"), Fault.HTTP_STATUS, 503),
        (response(503, b""), Fault.HTTP_STATUS, 503),
        (response(429, b"", Retry_After="1"), Fault.HTTP_STATUS, 429),
        (response(302, b"", Location="https://captive.example/"), Fault.REDIRECT, 302),
        (response(200, b"[1]", Content_Type="application/json"), Fault.ANSWER_NOT_JSON, 200),
        (response(200, {"expires_in": 1}, Content_Type="application/json"), Fault.TOKEN_MISSING, 200),
        (response(200, {**GRANT, "access_token": "a b\n"}, Content_Type="application/json"), Fault.TOKEN_UNUSABLE, 200),
        (response(200, {**GRANT, "expires_in": "never"}, Content_Type="application/json"), Fault.NONE, 200),
        (response(200, {**GRANT, "expires_in": 10**400}, Content_Type="application/json"), Fault.NONE, 200),
        (response(200, {**GRANT, "expires_in": -(10**400)}, Content_Type="application/json"), Fault.NONE, 200),
        (response(200, json.dumps(GRANT).encode(), Content_Type="text/plain"), Fault.NONE, 200),
        (response(200, json.dumps(GRANT).encode(), Content_Type="application/xml"), Fault.NONE, 200),
    ],
    ids=[
        "portal", "html-503", "empty-503", "429", "redirect", "list", "none",
        "unusable", "odd-expiry", "late-expiry", "early-expiry", "text", "xml",
    ],
)  # fmt: skip
async def test_malformed_response_has_its_own_fault(serve, get_token, *, answer, fault, status):
    wire = await serve(lambda _request: answer)
    got = await get_token(wire)
    assert (got.facts.fault, got.facts.status) == (fault, status)
    assert (got.token is not None) == (fault is Fault.NONE)
    assert len(wire.requests) == 1


async def test_server_that_echoes_the_request_leaks_no_secret(serve, get_token, caplog):
    caplog.set_level(logging.DEBUG)
    quiet_sdk_loggers()

    def echo(request):
        shown = urllib.parse.unquote_plus(request.body.decode())
        return response(500, f"raw {request.body.decode()} plain {shown} alone {SECRET}".encode(), Content_Type="text/html")

    wire = await serve(echo)
    answer = await get_token(wire)
    for form in (SECRET, urllib.parse.quote_plus(SECRET), urllib.parse.quote(SECRET)):
        assert form not in repr(answer)
        assert form not in caplog.text
    assert answer.facts.detail


async def test_sdk_writes_nothing_to_the_log(serve, get_token, caplog):
    caplog.set_level(logging.DEBUG)
    quiet_sdk_loggers()
    wire = await serve(lambda _request: refusal(401, 7000215))
    await get_token(wire)
    assert [record for record in caplog.records if record.name.startswith(("azure", "msal"))] == []
    assert TENANT not in caplog.text


async def test_secret_is_sent_only_to_entra(serve, get_token, authority):
    wire = await serve(lambda _request: response(200, GRANT), context=authority.server("login.evil.example"))
    challenge = Challenge(authority="https://login.evil.example", tenant=TENANT, resource="https://vault.azure.net")
    connect_to = {"login.evil.example:443": f"127.0.0.1:{wire.port}"}
    answer = await get_token(None, challenge=challenge, connect_to=connect_to)
    assert answer.facts.fault is Fault.AUTHORITY_UNTRUSTED
    assert answer.token is None
    assert wire.connections == 0


async def test_network_fault_names_the_entra_endpoint(get_token, free_port, serve, stranger):
    refused = (await get_token(free_port)).facts
    assert (refused.fault, refused.endpoint) == (Fault.CONNECT_REFUSED, "login.microsoftonline.com:443")
    untrusted = (await get_token(await serve(context=stranger.server(ENTRA)))).facts
    assert untrusted.fault is Fault.TLS_UNTRUSTED
    gone = (await get_token(None, connect_to={f"{ENTRA}:443": "entra.invalid:443"})).facts
    assert gone.fault in (Fault.DNS_NOT_FOUND, Fault.DNS_TEMPORARY)  # depends on the resolver of this host


@pytest.mark.parametrize(
    ("behaviour", "expected", "seconds"),
    [(closes, (Fault.CONNECTION_CLOSED, Phase.WAIT), 5.0), (is_silent, (Fault.READ_TIMEOUT, Phase.WAIT), 0.3)],
)
async def test_request_without_a_response_is_not_repeated(serve, get_token, behaviour, expected, seconds):
    wire = await serve(lambda _request: behaviour)
    facts = (await get_token(wire, seconds=seconds)).facts
    assert ((facts.fault, facts.phase_reached), len(wire.requests)) == (expected, 1)


async def test_connector_secret_is_split_as_the_connector_does(serve, get_token):
    wire = await serve(lambda _request: response(200, GRANT, Content_Type="application/json"))
    answer = await get_token(wire, TYPED, CLIENT.replace("-", "").upper() + "the~secret")
    assert answer.token == TOKEN
    form = urllib.parse.parse_qs(wire.requests[0].body.decode())
    assert (form["client_id"], form["client_secret"]) == ([CLIENT], ["the~secret"])


async def test_client_id_with_hyphens_is_split_at_32_characters(serve, get_token):
    wire = await serve(lambda _request: refusal(400, 700016, "unauthorized_client"))
    facts = (await get_token(wire, TYPED, CLIENT + "the~secret")).facts
    assert (facts.fault, facts.status) == (Fault.HTTP_STATUS, 400)
    assert urllib.parse.parse_qs(wire.requests[0].body.decode())["client_id"] == [CLIENT[:32]]


@pytest.mark.parametrize(("digits", "known"), [(CLIENT.replace("-", ""), CLIENT), ("Z" * 32, None)])
async def test_facts_name_the_client_id_of_a_valid_string_only(serve, get_token, digits, known):
    wire = await serve(lambda _request: refusal(401, 7000222))
    assert (await get_token(wire, TYPED, digits + SECRET)).facts.client_id == known
    assert (await get_token(wire)).facts.client_id == CLIENT


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        *(({"credential": TYPED, "secret": text}, Fault.SECRET_TOO_SHORT) for text in ("short", "0" * 31, "0" * 32)),
        ({"secret": None}, Fault.SECRET_UNREADABLE),
        ({"secret": ""}, Fault.SECRET_UNREADABLE),
        ({"credential": replace(BY_SECRET, tenant_id="a/../b")}, Fault.IDENTITY_UNAVAILABLE),
        ({"challenge": replace(CHALLENGE, tenant="a?b")}, Fault.CHALLENGE_NO_TENANT),
        ({"credential": BY_CERTIFICATE, "secret": None}, Fault.SECRET_UNREADABLE),
        ({"credential": BY_CERTIFICATE, "secret": load_certificate(b"", None)}, Fault.PFX_UNREADABLE),
    ],
)
async def test_unusable_secret_or_tenant_sends_no_request(serve, get_token, changes, fault):
    wire = await serve()
    assert (await get_token(wire, **changes)).facts.fault is fault
    assert wire.connections == 0


async def test_certificate_signs_the_client_assertion(serve, get_token, principal):
    wire = await serve(lambda _request: response(200, GRANT, Content_Type="application/json"))
    for name, content, password in principal.good():
        answer = await get_token(wire, BY_CERTIFICATE, load_certificate(content, password))
        assert answer.token == TOKEN, (name, answer.facts)
        form = urllib.parse.parse_qs(wire.requests[-1].body.decode())
        header = json.loads(base64.urlsafe_b64decode(form["client_assertion"][0].split(".")[0] + "=="))
        assert header["alg"] == "PS256"


async def test_managed_identity_uses_the_endpoint_of_its_host(app_service, get_token, free_port):
    grant = {"access_token": TOKEN, "expires_on": "4102444800", "resource": "https://vault.azure.net"}
    wire = await app_service(response(200, grant, Content_Type="application/json"), "header")
    answer = await get_token(free_port, BY_HOST, None)
    assert answer.token == TOKEN
    assert answer.facts.endpoint == f"127.0.0.1:{wire.port}"
    assert wire.requests[0].headers["x-identity-header"] == "header"
    assert wire.requests[0].headers["user-agent"] == USER_AGENT
    assert set(answer.facts.phases) == {Phase.CONNECT, Phase.WAIT, Phase.TRANSFER}


async def test_identity_service_of_the_host_is_asked_past_the_proxy(serve, app_service, network_to):
    grant = {"access_token": TOKEN, "expires_on": "4102444800", "resource": "https://vault.azure.net"}
    wire, proxy = await app_service(response(200, grant, Content_Type="application/json")), await serve(tls=False)
    network = network_to(proxy=Proxy(url=f"http://127.0.0.1:{proxy.port}"))
    answer = await fetch_token(network, BY_HOST, None, CHALLENGE, deadline=until(5.0))
    assert (answer.token, len(wire.requests), proxy.connections) == (TOKEN, 1, 0)


async def test_unreachable_managed_identity_is_unavailable(get_token, monkeypatch, free_port):
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{free_port}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "header")
    assert (await get_token(free_port, BY_HOST, None)).facts.fault is Fault.IDENTITY_UNAVAILABLE


async def test_silent_imds_is_unavailable_and_named(serve, network_to, monkeypatch, free_port):
    imds = await serve(tls=False, on_connect=is_silent)
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", f"http://127.0.0.1:{imds.port}")
    facts = (await fetch_token(network_to(entra=free_port), BY_HOST, None, CHALLENGE, deadline=until(0.5))).facts
    assert (facts.fault, facts.endpoint) == (Fault.IDENTITY_UNAVAILABLE, f"127.0.0.1:{imds.port}")
    assert facts.detail.startswith(f"127.0.0.1:{imds.port}: ")


async def test_identity_service_that_echoes_its_header_leaks_nothing(app_service, get_token, free_port):
    secret = "Marked-header.8Q9w"
    echoed = {"error": "invalid_request", "error_description": f"not {secret}"}
    await app_service(response(400, echoed, Content_Type="application/json", x_ms_request_id=secret), secret)
    facts = (await get_token(free_port, BY_HOST, None)).facts
    assert secret not in repr(facts)
    assert "<secret>" in facts.detail


async def test_assertion_echoed_in_hexadecimal_is_masked(serve, get_token, monkeypatch, tmp_path):
    (tmp_path / "token").write_text("Marked.assertion.of-a-pod")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))
    echoed = b"Marked.assertion.of-a-pod".hex(":")
    body = {"error": "invalid_client", "error_description": f"AADSTS7000215: {echoed}", "trace_id": "Marked.assertion.of-a-pod"}
    wire = await serve(lambda _request: response(401, body, Content_Type="application/json"))
    identity = Credential(name="pod", kind=CredentialKind.WORKLOAD_IDENTITY, client_id=CLIENT, tenant_id=TENANT)
    facts = (await get_token(wire, identity, None)).facts
    assert (facts.aadsts, facts.detail, facts.request_id) == (7000215, "AADSTS7000215: <secret>", None)


async def test_workload_identity_sends_its_token_file_to_entra(serve, get_token, monkeypatch, tmp_path):
    wire = await serve(lambda _request: response(200, GRANT, Content_Type="application/json"))
    identity = Credential(name="pod", kind=CredentialKind.WORKLOAD_IDENTITY)
    assert (await get_token(wire, identity, None)).facts.fault is Fault.IDENTITY_UNAVAILABLE
    file = tmp_path / "token"
    file.write_text("federated.assertion.text")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(file))
    monkeypatch.setenv("AZURE_CLIENT_ID", CLIENT)
    assert (await get_token(wire, identity, None)).token == TOKEN
    assert urllib.parse.parse_qs(wire.requests[0].body.decode())["client_assertion"] == ["federated.assertion.text"]
    assert wire.requests[0].headers["user-agent"] == USER_AGENT
    file.unlink()
    assert (await get_token(wire, identity, None)).facts.fault is Fault.IDENTITY_UNAVAILABLE


async def test_cancelled_request_leaves_no_connection(serve, get_token):
    wire = await serve(lambda _request: is_silent)
    task = asyncio.create_task(get_token(wire, seconds=60))
    await eventually(lambda: wire.requests)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    wire.release.set()
    await eventually(lambda: not wire.open)


# The facts of a probe whose wait for a shared token timed out.


class Secrets:
    def find(self, _credential):
        return CredentialSecret(text="s3cret", fingerprint="1")


@pytest.fixture
async def wait_for_token():
    """Get a token from a cache whose requests have a longer timeout than the caller."""
    caches = []

    async def get(network, patience, credential=BY_SECRET):
        cache = TokenCache(Secrets(), reuse_policy=lambda *_: ReuseWindow(60.0, 5.0))
        caches.append(cache)
        started = asyncio.get_running_loop().time()
        return await cache.token(credential, network, CHALLENGE, started=started, deadline=started + patience)

    yield get
    for cache in caches:
        await cache.aclose()


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        ({"tls": False, "on_connect": is_silent}, (Fault.TLS_TIMEOUT, Phase.TLS)),
        ({"answer": lambda _request: is_silent}, (Fault.READ_TIMEOUT, Phase.WAIT)),
        (
            {"answer": lambda _request: writes(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", then=is_silent)},
            (Fault.BODY_TIMEOUT, Phase.TRANSFER),
        ),
    ],
    ids=["in the handshake", "before the headers", "in the body"],
)
async def test_timeout_names_the_phase_of_the_request(serve, network_to, wait_for_token, behaviour, expected):
    entra = await serve(**behaviour)
    result = await wait_for_token(network_to(entra=entra), 0.4)
    assert result.token is None
    assert (result.facts.fault, result.facts.phase_reached) == expected
    assert result.facts.endpoint == f"{ENTRA}:443"


async def test_silent_imds_is_named_as_the_endpoint(serve, network_to, wait_for_token, monkeypatch, free_port):
    imds = await serve(tls=False, on_connect=is_silent)
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", f"http://127.0.0.1:{imds.port}")
    result = await wait_for_token(network_to(entra=free_port), 0.6, BY_HOST)
    assert result.token is None
    assert (result.facts.fault, result.facts.endpoint) == (Fault.IDENTITY_UNAVAILABLE, f"127.0.0.1:{imds.port}")
    assert result.facts.detail.startswith(f"127.0.0.1:{imds.port}: ")
    assert ENTRA not in result.facts.detail


async def test_wait_for_the_handshake_limit_is_no_network_fault(serve, network_to, wait_for_token):
    full = asyncio.Semaphore(0)
    with pytest.raises(PoolExhausted):
        await wait_for_token(network_to(entra=await serve(), limiter=full), 0.2)


async def test_request_that_was_not_started_has_no_phase(network_to):
    facts = pending_facts(copy_context(), network_to(), CHALLENGE.authority)
    assert (facts.fault, facts.phase_reached) == (Fault.READ_TIMEOUT, None)


# Tokens of the identity services of a host: unusable ones, and unreadable responses.

CHAIN = Credential(name="chain", kind=CredentialKind.DEFAULT)


@pytest.fixture
def get_ambient_token(network_to, free_port, monkeypatch, tmp_path):
    """Fetch a token of a host without any identity but those that a test adds."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))

    async def fetch(credential):
        return await fetch_token(network_to(entra=free_port), credential, None, CHALLENGE, deadline=until(30))

    return fetch


async def test_identity_that_sent_no_request_names_no_endpoint(get_ambient_token, monkeypatch):
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")  # the chain has this one alone
    facts = (await get_ambient_token(CHAIN)).facts
    assert (facts.fault, facts.endpoint) == (Fault.IDENTITY_UNAVAILABLE, None)
    assert facts.detail.startswith("DefaultAzureCredential ")


def granted(token):
    body = {"access_token": token, "expires_on": str(int(time.time()) + 3600), "resource": "r", "token_type": "Bearer"}
    return response(200, body, Content_Type="application/json")


@pytest.mark.parametrize(
    ("token", "fault"),
    [
        (TOKEN, Fault.NONE),
        (None, Fault.TOKEN_MISSING),
        ("a\r\nX-Injected: b", Fault.TOKEN_UNUSABLE),
    ],
    ids=["good", "null", "injected"],
)
async def test_unusable_token_of_a_host_fails_the_token_step(app_service, get_ambient_token, token, fault):
    await app_service(granted(token))
    answer = await get_ambient_token(BY_HOST)
    assert answer.facts.fault is fault
    assert answer.token == (token if fault is Fault.NONE else None)


@pytest.mark.parametrize(
    ("body", "detail"),
    [(b"<html>unreachable network</html>", ": <html>unreachable network</html>"), (b"<html>", ": <html>")],
)
async def test_response_that_the_sdk_cannot_read_is_shown(app_service, get_ambient_token, body, detail):
    wire = await app_service(response(403, body))
    facts = (await get_ambient_token(BY_HOST)).facts
    assert facts.fault is Fault.IDENTITY_UNAVAILABLE
    assert facts.detail == f"127.0.0.1:{wire.port}: status 403, not a token response{detail}"


async def test_unreadable_expiry_shows_no_token(app_service, get_ambient_token):
    body = {"access_token": TOKEN, "expires_on": "soon", "resource": "r", "token_type": "Bearer"}
    wire = await app_service(response(200, body, Content_Type="application/json"))
    facts = (await get_ambient_token(BY_HOST)).facts
    assert facts.detail == f"127.0.0.1:{wire.port}: status 200, not a token response"


async def test_token_of_a_program_needs_no_response(serve, monkeypatch, get_ambient_token, tmp_path):
    """The chain ends with the programs of a developer, after a service that has no identity."""
    refused = {"error": "invalid_request", "error_description": "Identity not found"}
    imds = await serve(lambda _request: response(400, refused, Content_Type="application/json"), tls=False)
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", f"http://127.0.0.1:{imds.port}")
    program = tmp_path / "az"
    shell = shutil.which("sh", path="/bin:/usr/bin")
    grant = {"accessToken": TOKEN, "expires_on": int(time.time()) + 3600, "tenant": "t", "tokenType": "Bearer"}
    program.write_text(f"#!{shell}\necho '{json.dumps(grant)}'\n")
    program.chmod(0o700)
    answer = await get_ambient_token(CHAIN)
    assert (answer.facts.fault, answer.token) == (Fault.NONE, TOKEN)


# What azure-identity does not do with a token response, and what it does if it ignores the exporter's pipeline.


@pytest.fixture
async def get_answered_token(serve, network_to):
    """Fetch a token from a server with one response."""

    async def get(body, media_type="application/json"):
        wire = await serve(lambda _request: response(200, body, Content_Type=media_type))
        return await fetch_token(network_to(entra=wire), BY_SECRET, "s3cret", CHALLENGE, deadline=until(5.0))

    return get


def is_granted(answer):
    return (answer.token, answer.facts.fault) == (TOKEN, Fault.NONE) and answer.expires_at == pytest.approx(
        time.time() + 3599, abs=60
    )


async def test_sdk_decodes_and_keeps_no_token(get_answered_token, monkeypatch):
    def refuse(*_args, **_options):
        pytest.fail("the SDK uses its own pipeline or cache")

    for holder, name in (
        (msal.TokenCache, "add"),
        (msal.TokenCache, "search"),
        (ContentDecodePolicy, "deserialize_from_http_generics"),
    ):
        monkeypatch.setattr(holder, name, refuse)
    assert is_granted(await get_answered_token(GRANT))


async def test_sdk_that_ignores_pipeline_and_cache_gets_a_token(get_answered_token, monkeypatch):
    def build(*parameters, policies, cache, **options):
        assert policies, cache
        return ClientSecretCredential(*parameters, **options)

    monkeypatch.setattr(entra, "ClientSecretCredential", build)
    assert is_granted(await get_answered_token(GRANT))


@pytest.mark.parametrize("info", ["zz", 5, {"a": 1}])
async def test_expiry_is_that_of_the_body_whatever_the_client_info(get_answered_token, info):
    assert is_granted(await get_answered_token({**GRANT, "client_info": info}))


# Pages of proxies and portals instead of responses of the vault and of Entra ID.

PAGE = b"<html><title>Blocked by proxy.example</title></html>"


@pytest.fixture
def get_key(serve, key_facts):
    async def get(answer):
        return await key_facts(await serve(lambda _request: answer))

    return get


@pytest.fixture
def sign_in(serve, network_to):
    async def get(answer):
        wire = await serve(lambda _request: answer)
        answer = await fetch_token(network_to(entra=wire), BY_SECRET, "s3cret-of-test", CHALLENGE, deadline=until())
        assert answer.token is None
        return answer.facts

    return get


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (403, PAGE, Reason.ANSWER_NOT_JSON),
        (403, b"blocked", Reason.ANSWER_NOT_JSON),
        (409, b"blocked", Reason.ANSWER_NOT_JSON),
        (403, b"", Reason.FORBIDDEN),
        (403, b"{}", Reason.FORBIDDEN),
        (403, b'{"message": "Forbidden"}', Reason.ANSWER_NOT_JSON),
        (404, b'{"message": "no Route matched with those values"}', Reason.ANSWER_NOT_JSON),
        (401, PAGE, Reason.ANSWER_NOT_JSON),
        (404, PAGE, Reason.ANSWER_NOT_JSON),
        (503, PAGE, Reason.SERVER_ERROR),
    ],
)
async def test_page_is_no_refusal_by_the_vault(get_key, status, body, reason):
    facts = await get_key(response(status, body))
    assert (facts.fault, facts.status) == (Fault.HTTP_STATUS, status)
    assert classify(Step.GET_KEY, facts).reason is reason
    assert facts.detail == body.decode()


async def test_truncated_error_is_no_page(get_key):
    facts = await get_key(writes(b'HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\n{"error"'))
    assert classify(Step.GET_KEY, facts).reason is Reason.FORBIDDEN


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (400, 3128, Reason.ANSWER_NOT_JSON),
        (401, 3303, Reason.ANSWER_NOT_JSON),
        (403, 3077, Reason.FORBIDDEN),
        (200, 3307, Reason.ANSWER_NOT_JSON),
    ],
)
async def test_page_is_no_refused_credential(sign_in, status, code, reason):
    """The advice for a refused credential is a new secret and a restart of SQL Server."""
    facts = await sign_in(response(status, PAGE, Content_Type="text/html"))
    found = classify(Step.TOKEN, facts)
    assert (found.code, found.reason, facts.detail) == (code, reason, PAGE.decode())
    assert classify(Step.TOKEN, await sign_in(response(401, b""))).reason is Reason.CREDENTIALS_REFUSED


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [(200, PAGE, Fault.ANSWER_NOT_JSON), (301, b"", Fault.REDIRECT), (308, b"", Fault.REDIRECT), (304, b"", Fault.HTTP_STATUS)],
)
async def test_only_a_status_with_another_place_is_a_redirect(get_key, status, body, fault):
    facts = await get_key(response(status, body, Location=f"https://{VAULT}/"))
    assert (facts.fault, facts.detail) == (fault, body.decode())
