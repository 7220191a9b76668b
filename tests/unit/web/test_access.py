"""The paths that each kind of address serves."""

import pytest
from yarl import URL

from exporter.web.access import DOCUMENT_PATHS, OPEN_PATHS, is_refused, on_loopback
from exporter.web.options import web_options
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
    "/",
    "/targets",
    "/targets/{name}",
    "/api/v1/targets",
    "/api/v1/sql-servers",
    "/config",
    "/explain/{code}",
    "/-/reload",
    "",
)


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
