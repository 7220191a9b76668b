"""Look-ups in one source, and which credentials have which sources and pauses."""

import json
import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from exporter.clients.certificates import load_certificate, thumbprint
from exporter.config import settings
from exporter.config.settings import Credential, Module, Retained, SecretSource
from exporter.core.values import CredentialKind, Fault
from exporter.knowledge.expiry import Source
from exporter.probing.expiry import INTERVALS, ExpiryLookup, first_delay, monitored_credentials, next_delay
from exporter.probing.expiry_monitor import ExpiryMonitor
from tests.support import expiry_fakes
from tests.support.expiry_fakes import Recorded, a_credential, by_graph
from tests.support.expiry_simulated import PASSWORD, by_source
from tests.support.factories import a_config, a_target
from tests.support.tls_server import CHALLENGE, ENTRA, TOKEN, Wire, response
from tests.system.abuse.echoes import ENCODINGS, leaks

# Certificate expiry from each kind of certificate file.


@pytest.fixture
def not_after(principal):
    return float(int(principal.certificate.not_valid_after_utc.timestamp()))


def forget_what_was_read(monitor):
    """Empty the secret cache, which keeps a secret for one second."""
    monitor._lookup._secrets.keep_only(())


def renewed(authority, principal, days):
    """The same key in a newer certificate, as PFX with the expiry_harness's password."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "principal")])
    start = datetime.now(UTC)
    certificate = authority._sign(name, principal.key.public_key(), start, start + timedelta(days=days))
    lock = serialization.BestAvailableEncryption(PASSWORD.encode())
    content = pkcs12.serialize_key_and_certificates(b"principal", principal.key, certificate, None, lock)
    return content, float(int(certificate.not_valid_after_utc.timestamp()))


def test_readable_files_have_expiry_and_thumbprint(principal, not_after):
    mark = principal.certificate.fingerprint(hashes.SHA1()).hex()  # noqa: S303 - how Entra names it
    for name, content, password in principal.good():
        certificate = load_certificate(content, password).certificate
        assert (certificate.not_valid_after_utc.timestamp(), thumbprint(certificate)) == (not_after, mark), name


def test_pem_expiry_needs_no_readable_key(principal):
    locked = principal.certificate_pem() + principal.key_pem(b"right")
    for content, password in ((locked, "wrong"), (principal.certificate_pem(), None), (principal.pfx(None, key=False), None)):
        assert load_certificate(content, password).certificate == principal.certificate
    assert load_certificate(principal.elliptic_pfx(), None).certificate is not None


def test_first_certificate_of_a_pem_counts(principal, authority):
    chain = principal.pem() + authority.certificate.public_bytes(serialization.Encoding.PEM)
    assert load_certificate(chain, None).certificate == principal.certificate


@pytest.mark.parametrize(
    ("make", "password", "fault"),
    [
        (lambda principal: principal.pfx(b"right"), "wrong", Fault.PFX_UNREADABLE),
        (lambda principal: principal.pfx(b"right"), None, Fault.PFX_UNREADABLE),
        (lambda principal: principal.pfx(None, certificate=False), None, Fault.PFX_NO_CERTIFICATE),
        (lambda principal: principal.key_pem(), None, Fault.PEM_NO_CERTIFICATE),
        (lambda _principal: b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", None, Fault.PEM_NO_CERTIFICATE),
        (lambda _principal: b"", None, Fault.PFX_UNREADABLE),
        (lambda _principal: os.urandom(64), None, Fault.PFX_UNREADABLE),
    ],
)
def test_unreadable_certificate_has_a_fault(principal, make, password, fault):
    loaded = load_certificate(make(principal), password)
    assert (loaded.fault, loaded.certificate) == (fault, None)


async def test_wrong_password_keeps_the_last_expiry(expiry_harness, not_after):
    monitor = expiry_harness.monitor()
    await monitor.look_up("cert")
    expiry_harness.write("password", "another-password")
    forget_what_was_read(monitor)
    expiry = by_source(await monitor.look_up("cert"))["certificate"]
    assert (expiry.expires_at, expiry.failure) == (not_after, "the certificate file: pfx unreadable")
    assert PASSWORD not in expiry.failure


async def test_wrong_password_from_the_start_gives_no_expiry(set_up):
    expiry_harness = await set_up()
    expiry_harness.write("password", "another-password")
    expiries = by_source(await expiry_harness.monitor().look_up("cert"))
    assert {(expiry.expires_at, expiry.looked_up_at) for expiry in expiries.values()} == {(None, None)}
    assert not expiry_harness.simulator.requests


async def test_missing_file_keeps_the_last_expiry(expiry_harness, not_after):
    monitor = expiry_harness.monitor()
    await monitor.look_up("cert")
    (expiry_harness.folder / "sp.pfx").unlink()
    forget_what_was_read(monitor)
    expiry = by_source(await monitor.look_up("cert"))["certificate"]
    assert expiry.expires_at == not_after
    assert "the secret cannot be read" in expiry.failure


async def test_renewed_certificate_is_found_by_the_next_lookup(expiry_harness, principal, authority, not_after):
    monitor = expiry_harness.monitor()
    assert by_source(await monitor.look_up("cert"))["certificate"].expires_at == not_after
    content, later = renewed(authority, principal, days=300)
    expiry_harness.write("sp.pfx", content)
    forget_what_was_read(monitor)
    expiries = by_source(await monitor.look_up("cert"))
    assert expiries["certificate"].expires_at == later
    assert "does not list the configured certificate" in expiries["graph"].failure


# Lookups against hostile services leak no token and raise nothing.

VAULT, GRAPH_HOST, ELSEWHERE = "contoso.vault.azure.net", "graph.microsoft.com", "elsewhere.example"
HOSTS = (VAULT, GRAPH_HOST, ENTRA, ELSEWHERE)
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
        (GRAPH_HOST, f"/v1.0/applications(appId='{client}')?{selected}"),
        (GRAPH_HOST, f"/v1.0/servicePrincipals(appId='{client}')?{selected}"),
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
    assert [target for host, target in with_token(server) if host != GRAPH_HOST] == [f"{LIST}?api-version=7.4"]


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
    [(ENTRA, ELSEWHERE, "authority untrusted"), ("https://vault.azure.net", f"https://{GRAPH_HOST}", "resource mismatch")],
)
async def test_foreign_challenge_gets_no_secret_and_no_token(server, expected, other, fault):
    challenge, answer = CHALLENGE.replace(expected, other), server.answer
    server.answer = lambda request: response(401, WWW_Authenticate=challenge) if request.path == "/keys" else answer(request)
    assert (await found(server, "key_vault")).failure == f"the vault {VAULT}: {fault}"
    assert {host for host, _ in with_token(server)} == {GRAPH_HOST}
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


async def test_secret_is_read_before_a_service_can_answer_with_it(server, monkeypatch):
    answered, read, late = threading.Event(), settings.read_secret, []

    def slow_read(source):
        if source.file.name == "sql":
            late.append(answered.wait(0.5))
        return read(source)

    def answer(_request):
        answered.set()
        return response(403, {"error": {"code": ENCODINGS["base64url bare"](SECRET)}})

    monkeypatch.setattr("exporter.probing.secrets.read_secret", slow_read)
    server.own = answer
    assert leaks(repr(await server.look_up("sql")), SECRET) == []
    assert late == [False]


async def test_error_code_that_is_an_id_is_masked(server):
    server.own = lambda _request: response(400, {"error": {"code": "66666666-7777-8888-9999-000000000000"}})
    assert "HTTP 400 (<id>)" in (await found(server, "graph")).failure


async def test_graph_response_without_hints_is_accepted(server):
    entry = {"endDateTime": "2027-03-01T00:00:00Z", "hint": None}
    server.own = lambda _request: response(200, json.loads(json.dumps({"passwordCredentials": [entry], "keyCredentials": []})))
    assert (await found(server, "graph")).expires_at == 1803859200.0


# Which credentials are monitored, with which sources and pauses.

SECRET_URL = "https://ops.vault.azure.net/secrets/sql"
GRAPH, KEY_VAULT, CERTIFICATE = Source.GRAPH, Source.KEY_VAULT, Source.CERTIFICATE


@pytest.mark.parametrize(
    ("kind", "sources"),
    [
        (CredentialKind.CLIENT_SECRET, (GRAPH, KEY_VAULT)),
        (CredentialKind.CONNECTOR_SECRET, (GRAPH, KEY_VAULT)),
        (CredentialKind.CLIENT_CERTIFICATE, (CERTIFICATE, GRAPH, KEY_VAULT)),
        (CredentialKind.MANAGED_IDENTITY, ()),
        (CredentialKind.WORKLOAD_IDENTITY, ()),
        (CredentialKind.DEFAULT, ()),
    ],
)
def test_each_kind_of_credential_has_its_sources(kind, sources):
    full = a_credential(
        kind=kind, graph_credential="monitor", key_vault_secret=SECRET_URL, certificate_file=Path("sp.pem"), client_id="c"
    )
    assert monitored_credentials(expiry_fakes.a_config(full))["sql"].sources == sources


def test_sources_need_a_configured_lookup_credential():
    assert monitored_credentials(expiry_fakes.a_config(a_credential()))["sql"].sources == ()
    certificate = a_credential(kind=CredentialKind.CLIENT_CERTIFICATE, certificate_file=Path("sp.pem"), client_id="c")
    assert monitored_credentials(expiry_fakes.a_config(certificate))["sql"].sources == (CERTIFICATE,)


def test_monitored_are_credentials_and_lookup_credentials():
    names = ("current", "next", "recovery", "old", "unused")
    retained = Retained(key_name="K", key_version="1", vault="old.vault.azure.net", credential="old")
    target = a_target(
        "one", credential="current", next_credential="next", recovery_credential="recovery", retained_versions=(retained,)
    )
    config = expiry_fakes.a_config(by_graph("current"), *(a_credential(name) for name in names[1:]), targets=[target])
    assert set(monitored_credentials(config)) == {"current", "next", "recovery", "old", "monitor"}


@pytest.mark.parametrize(
    ("more", "identity"),
    [
        ({}, "sql"),
        ({"graph_credential": "monitor"}, "monitor"),
        ({"graph_credential": "monitor", "key_vault_credential": "ops"}, "ops"),
    ],
)
def test_key_vault_lookup_credential_has_a_precedence(more, identity):
    config = expiry_fakes.a_config(a_credential(key_vault_secret=SECRET_URL, **more), a_credential("ops"))
    assert monitored_credentials(config)["sql"].lookup_credentials[KEY_VAULT].name == identity


@given(st.sampled_from(list(INTERVALS)), st.integers(0, 10_000), st.floats(0, 1))
def test_delay_stays_within_the_bounds_of_its_source(source, failures, draw):
    seconds = next_delay(source, failures, draw)
    assert 0.9 * INTERVALS[source].failed <= seconds <= 1.1 * INTERVALS[source].answered


@given(st.integers(0, 20), st.floats(0, 1))
def test_another_failure_never_shortens_the_delay(failures, draw):
    assert next_delay(GRAPH, failures + 2, draw) >= next_delay(GRAPH, failures + 1, draw)


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_first_delay_is_a_minute_and_none_for_files(credentials, draw):
    assert 5 <= first_delay(GRAPH, credentials, draw) <= 65
    assert first_delay(CERTIFICATE, credentials, draw) == 0
