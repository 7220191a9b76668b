"""Headers, the rate limit, and access to pages with authentication."""

import bcrypt
import pytest

from exporter.web.access import is_refused
from exporter.web.access_control import AccessControl, TokenBucket
from exporter.web.connections import ConnectionLimiter
from exporter.web.options import web_options
from exporter.web.tls import RateLimit
from tests.support.web_server import until
from tests.unit.web.webconfig.serving import protected, request

RIGHT = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
HASH = "$2y$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze"
TLS = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"
VERIFY = "  client_ca_file: ca.pem\n  client_auth_type: "


@pytest.mark.parametrize(
    ("text", "open_to_pages"),
    [
        (f"basic_auth_users: {{alice: {HASH}}}", True),
        (TLS + VERIFY + "RequireAndVerifyClientCert", True),
        (TLS + VERIFY + "VerifyClientCertIfGiven", False),
        (TLS, False),
        ("rate_limit: {interval: 1s, burst: 1}", False),
    ],
)
def test_pages_on_other_addresses_need_authentication(folder, text, open_to_pages):
    access = AccessControl(folder.path / "web.yml", folder.load(text))
    options = web_options(access_control=access)
    for path in ("/", "/config", "/-/reload"):
        assert is_refused(path, ("10.0.0.5", 10377), options) is not open_to_pages
    assert not is_refused("/metrics", ("10.0.0.5", 10377), options)


def test_configuration_with_problems_has_no_access_control(folder):
    with pytest.raises(ValueError, match="cannot use a web configuration with problems"):
        AccessControl(folder.path / "web.yml", folder.load("basic_auth_users: {a: b}"))


@pytest.mark.parametrize(
    ("text", "requests", "known"),
    [
        ("{}", [("/", None), ("/nowhere", None)], False),
        ("{}", [("/metrics", None)], True),
        (f"basic_auth_users: {{alice: {HASH}}}", [("/metrics", None), ("/metrics", "wrong")], False),
        (f"basic_auth_users: {{alice: {RIGHT}}}", [("/", "right")], True),
    ],
    ids=["other pages", "a scrape", "refused", "a login"],  # a hash with a new salt must not be part of a name
)
async def test_scrape_or_login_makes_an_address_known(folder, text, requests, known):
    limiter = ConnectionLimiter()
    async with protected(folder, text, limiter=limiter) as (url, _):
        for path, password in requests:
            await request(url, path, user=password and "alice", password=password)
        assert ("127.0.0.1" in limiter.known) is known


async def test_configured_headers_override_default_headers(folder):
    text = "http_server_config: {headers: {X-Frame-Options: sameorigin, Strict-Transport-Security: max-age=60}}"
    async with protected(folder, text) as (url, access):
        for path in ("/", "/metrics", "/nowhere"):
            _, headers, _ = await request(url, path)
            assert headers.getall("X-Frame-Options") == ["sameorigin"]
            assert headers["Strict-Transport-Security"] == "max-age=60"
            assert headers["X-Content-Type-Options"] == "nosniff"
        folder.write("{}")
        await access.refresh()
        assert "Strict-Transport-Security" not in (await request(url))[1]


async def test_requests_beyond_the_rate_limit_are_refused(folder):
    async with protected(folder, "rate_limit: {interval: 1h, burst: 3}") as (url, access):
        answers = [await request(url, "/-/healthy") for _ in range(5)]
        assert [status for status, _, _ in answers] == [200, 200, 200, 429, 429]
        assert answers[-1][1]["Retry-After"] == "1"
        folder.write("rate_limit: {interval: 0}")
        await access.refresh()
        assert (await request(url))[0] == 200


def test_token_bucket_refills_up_to_its_capacity():
    now = [0.0]
    bucket = TokenBucket(RateLimit(interval=2.0, burst=2), clock=lambda: now[0])
    assert [bucket.allow() for _ in range(3)] == [True, True, False]
    now[0] = 2.0
    assert [bucket.allow() for _ in range(2)] == [True, False]
    now[0] = 1000.0
    assert [bucket.allow() for _ in range(3)] == [True, True, False]


async def test_changed_file_is_reloaded(folder, monkeypatch):
    monkeypatch.setattr("exporter.web.access_control.READ_AGAIN_SECONDS", 0.01)
    async with protected(folder, "{}") as (_, access):
        folder.write(f"basic_auth_users: {{alice: {HASH}}}")
        await until(lambda: access.authenticates_every_client)
