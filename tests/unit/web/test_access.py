"""The paths that each kind of address serves, cross-site requests and foreign host names, and no secret in any response."""

import io
import logging
import re

import pytest
from yarl import URL

from exporter.config.settings import Module, Proxy, SecretSource
from exporter.presentation.log import ProbeLog
from exporter.runtime.logging import LogFormat, configure
from exporter.web.access import DOCUMENT_PATHS, OPEN_PATHS, is_cross_site_change, is_own_name, is_refused, on_loopback
from exporter.web.options import web_options
from tests.support.web_factories import bad, config, target
from tests.support.web_server import Service, answer, get, serving


@pytest.mark.parametrize(
    ("sockname", "loopback"),
    [
        (("127.0.0.1", 10377), True),
        (("127.8.9.10", 1), True),
        (("::1", 10377, 0, 0), True),
        (("::ffff:127.0.0.1", 10377, 0, 0), True),
        ("/run/ekm.sock", True),
        (("10.0.0.5", 10377), False),
        (("::ffff:10.0.0.5", 10377, 0, 0), False),
        (("fe80::1%eth0", 10377, 0, 2), False),
        (("0.0.0.0", 10377), False),  # noqa: S104 - an address to check, nothing listens on it
        (("not an address", 1), False),
        ((), False),
        (None, False),
    ],
)
def test_only_loopback_and_unix_sockets_count_as_this_host(sockname, loopback):
    assert on_loopback(sockname) is loopback


OUTSIDE = ("10.0.0.5", 10377)
PAGES = (
    "/", "/targets", "/targets/{name}", "/api/v1/targets", "/api/v1/sql-servers", "/config", "/explain/{code}", "/-/reload", "",
)  # fmt: skip


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(
    ("address", "enabled", "refused"), [(OUTSIDE, False, True), (OUTSIDE, True, False), (("127.0.0.1", 10377), False, False)]
)
def test_pages_are_refused_on_other_addresses_unless_enabled(path, address, enabled, refused):
    assert is_refused(path, address, web_options(enable_pages=enabled)) is refused


@pytest.mark.parametrize("path", sorted(OPEN_PATHS | DOCUMENT_PATHS))
def test_metrics_health_and_documents_are_served_on_every_address(path):
    assert not is_refused(path, OUTSIDE, web_options())


@pytest.mark.parametrize(
    ("path", "query", "refusal"),
    [
        ("/probe", "debug=true", True),
        ("/probe", "target=contoso-key0&debug=true&debug=false", True),
        ("/probe", "%64ebug=tru%65", True),
        ("/probe", "debug=false", False),
        ("/probe", "", False),
        ("/metrics", "debug=true", False),
    ],
)
async def test_transcript_is_refused_on_addresses_without_pages(path, query, refusal, monkeypatch):
    monkeypatch.setattr("exporter.web.access.on_loopback", lambda _: False)
    service = Service()
    async with serving(service) as session:
        query += "&target=contoso-key0"
        config, answer = await get(session, "/config"), await get(session, URL(f"{path}?{query}", encoded=True))
        assert answer[0] == (403 if refusal else 200)
        assert not refusal or (answer[2], service.probed) == (config[2], [])
        assert refusal or path != "/probe" or answer[2].startswith("# HELP")


async def test_transcript_is_served_if_pages_are_enabled(monkeypatch):
    monkeypatch.setattr("exporter.web.access.on_loopback", lambda _: False)
    status, _, text = await answer(Service(), "/probe?target=contoso-key0&debug=true", flags={"enable_pages": True})
    assert status == 200
    assert "\nModule:\n" in text


FOREIGN = {"Host": "evil.example:10377"}


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:10377", "[::1]:10377", "10.0.0.5", "localhost:1", "a.localhost", "ekm.corp", "EKM.CORP:8443", "thishost", "",
        "localhost.", "ThisHost.:1",
    ],
)  # fmt: skip
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


MARKED = "Marked~Secret.8Q-9w_0123456789abcdefghij"


@pytest.fixture
def log():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure("debug", LogFormat.LOGFMT, stream=stream)
    yield stream
    root.handlers[:], root.level = handlers, level


async def test_no_page_response_or_log_line_has_a_secret(log, monkeypatch, tmp_path):
    monkeypatch.setenv("SQL_PROD", MARKED)
    password = tmp_path / "password"
    password.write_text(MARKED)
    proxy = Proxy(url=f"http://someone:{MARKED}@proxy:3128", username="someone", password=SecretSource(file=password))
    service = Service(config(target(), modules={"default": Module(name="default", proxy=proxy)}))
    service.add_reports(bad())
    emitted = []
    async with serving(service) as session:
        todo, seen = ["/", "/api/v1/targets/contoso-key0", "/probe?target=contoso-key0", "/-/reload"], set()
        while todo:
            path = todo.pop()
            seen.add(path)
            _, headers, text = await get(session, path, headers={"Authorization": f"Bearer {MARKED}"})
            emitted += [str(headers), text]
            links = set(re.findall(r'href="(/[^"#]*)"', text.replace("&amp;", "&")))
            todo += [link for link in links - seen if not link.startswith("/docs")]  # written before any secret is known
        emitted.append(
            (await get(session, f"/probe?target={MARKED}"))[2].replace(MARKED, "", 1)
        )  # the response returns it to its sender
    assert len(seen) > 10
    ProbeLog().record(target(), bad())
    logging.getLogger("azure.identity").warning("sent %s", MARKED)
    emitted.append(log.getvalue())
    assert "probe failed" in log.getvalue()
    assert [text for text in emitted if MARKED in text] == []


async def test_a_malformed_request_is_not_written_to_the_log(log):
    async with serving(Service()) as session, session.get("/metrics", headers={"X-Long": MARKED * 500}) as response:
        assert response.status == 400
    assert MARKED not in log.getvalue()
