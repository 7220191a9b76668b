"""Cross-site requests of a browser, and foreign host names that resolve to this host."""

import pytest

from exporter.web.access import is_cross_site_change, is_own_name
from tests.support.web_server import Service, answer, get, serving

FOREIGN = {"Host": "evil.example:10377"}


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:10377",
        "[::1]:10377",
        "10.0.0.5",
        "localhost:1",
        "a.localhost",
        "ekm.corp",
        "EKM.CORP:8443",
        "thishost",
        "",
        "localhost.",
        "ThisHost.:1",
    ],
)
def test_addresses_and_local_names_are_own(host, monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "ThisHost")
    assert is_own_name(host, "ekm.corp:8443")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "ekm.corp.evil.example", "localhost:10377@evil.example",
        "[::1].evil.example", "[::1]:1.evil.example", "::1", "0x7f.1", "0177.0.0.1", "2130706433", "127.1", ":10377", "localhost..",
        "evil.localhost@evil.example", "localhost, evil.example", "localhost/evil", "ekm.corp@evil.example", "evil.example#.localhost",
    ],
)  # fmt: skip
def test_other_names_are_foreign(host):
    assert not is_own_name(host, "ekm.corp")


EVERY_PATH = [
    "/", "/targets", "/config", "/api/v1/targets", "/api/v1/sql-servers", "/nowhere", "/metrics", "/probe?target=contoso-key0",
    "/probe?target=contoso-key0&debug=true", "/sd/targets", "/sd/shards", "/-/healthy", "/-/ready",
    "/docs/", "/docs/install",
]  # fmt: skip


@pytest.mark.parametrize("path", EVERY_PATH)
async def test_loopback_refuses_a_foreign_name(path):
    service = Service()
    status, _, text = await answer(service, path, headers=FOREIGN)
    assert (status, text.count("\n")) == (421, 1)
    assert "evil" not in text
    assert service.probed == []


async def test_external_url_is_an_own_name():
    async with serving(Service(), external_url="https://ekm.corp/", route_prefix="/") as session:
        assert (await get(session, "/", headers={"Host": "ekm.corp"}))[0] == 200


@pytest.mark.parametrize(
    ("headers", "elsewhere"),
    [
        ({}, False),
        (FOREIGN, False),  # a program that uses any name of the exporter
        ({"Host": "127.0.0.1:1", "Origin": "http://127.0.0.1:1"}, False),
        ({"Host": "127.0.0.1:1", "Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-origin"}, False),
        ({"Host": "127.0.0.1:1", "Origin": "https://ekm.corp:8443"}, False),  # a proxy that replaces the host name
        ({"Host": "127.0.0.1:1", "Origin": "http://127.0.0.1:2"}, True),
        ({"Host": "127.0.0.1:1", "Origin": "null"}, True),
        ({"Host": "127.0.0.1:1", "Sec-Fetch-Site": "cross-site"}, True),
        ({"Host": "127.0.0.1:1", "Sec-Fetch-Site": "same-site"}, True),
        ({**FOREIGN, "Origin": "http://evil.example:10377", "Sec-Fetch-Site": "same-origin"}, True),  # DNS rebinding
        ({**FOREIGN, "Sec-Fetch-Site": "none"}, True),
    ],
)
def test_cross_site_request_of_a_browser_is_recognised(headers, elsewhere):
    assert is_cross_site_change(headers, "ekm.corp:8443", known_by_name=False) is elsewhere


def test_foreign_name_is_accepted_if_every_client_authenticates():
    headers = {"Host": "ekm", "Origin": "http://ekm"}
    assert not is_cross_site_change(headers, "", known_by_name=True)
    assert is_cross_site_change({**headers, "Origin": "http://other"}, "", known_by_name=True)


async def test_cross_site_requests_that_change_state_are_refused():
    async with serving(Service()) as session:
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            async with session.request(method, "/metrics", headers={"Origin": "https://evil.example"}) as answer:
                assert answer.status == 403


async def test_body_is_refused_without_reading_it():
    async with serving(Service()) as session, session.post("/metrics", data=b"x" * 20_000) as answer:
        assert answer.status == 413
        assert answer.headers["Connection"] == "close"
