"""`/docs/` serves pages by a table of names, on every listener, and never opens a file for a request."""

import asyncio
import re
import sys
from html import unescape
from urllib.parse import urljoin, urlsplit

import pytest

from exporter.presentation.documentation import NOT_BUILT, Documentation
from exporter.web.app import create_app
from exporter.web.listener import ListenAddress, WebServer
from exporter.web.options import web_options
from tests.support.web_factories import bad, good
from tests.support.web_server import Service, answer, get, serving

OPENED: list[str] | None = None  # files that the process opens while a test records them


def record(event: str, arguments: tuple[object, ...]) -> None:
    if OPENED is not None and event in ("open", "os.listdir", "os.scandir"):
        OPENED.append(str(arguments[0]))


sys.addaudithook(record)
pytestmark = pytest.mark.usefixtures("built")


@pytest.fixture
def opened(monkeypatch):
    monkeypatch.setitem(globals(), "OPENED", [])
    return globals()["OPENED"]


async def raw(port, target):
    """Return the status of a request whose target is sent as it is, and the content."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(30):
            writer.write(b"GET " + target.encode() + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    return int(head.split()[1]), body


async def test_every_link_inside_the_pages_leads_to_a_page_and_its_anchor():
    todo, pages = {"/docs/"}, {}
    links, elsewhere = [], set()
    async with serving(Service()) as session:
        while todo:
            path = todo.pop()
            status, _, pages[path] = await get(session, path)
            assert status == 200, path
            body = pages[path].split("<article")[1].split("</article>")[0]
            found = [urlsplit(urljoin(path, link)) for link in re.findall(r'href="([^"]+)"', body)]
            links += [(path, each.path, each.fragment) for each in found if not each.netloc]
            elsewhere |= {each.geturl() for each in found if each.netloc}
            todo |= {each.path for each in found if not each.netloc} - set(pages)
    rendered = {page.name for page in Documentation.load().pages() if page.source.endswith(".md")}
    assert {name for name in rendered if f"/docs/{name}" not in pages} == set()
    # A closed network opens none of them: they are pages of other projects.
    assert [link for link in elsewhere if "ekm-exporter" in link or "OWNER" in link] == []
    assert any("learn.microsoft.com" in link for link in elsewhere)
    missing = [link for link in links if link[2] and f'id="{link[2]}"' not in pages[link[1]]]
    assert (missing, len(links) > 300) == ([], True)


async def test_no_page_of_the_exporter_needs_another_host():
    service, todo, seen, elsewhere = Service(), {"/"}, set(), set()
    service.add_reports(bad(), good())
    async with serving(service) as session:
        while todo:
            path = todo.pop()
            seen.add(path)
            status, _, page = await get(session, path)
            assert status == 200, path
            found = [urlsplit(urljoin(path, unescape(link))) for link in re.findall(r'\s(?:href|src)="([^"]+)"', page)]
            elsewhere |= {each.geturl() for each in found if each.netloc}
            inside = {each.path for each in found if not each.netloc and not each.path.startswith(("/docs/", "/static/"))}
            todo |= inside - seen - {"/calendar.ics", "/probe"}
    assert elsewhere == set()
    assert {"/targets/contoso-key0", "/explain/3303", "/changes", "/config"} <= seen


async def test_pages_run_no_script_but_the_search_and_load_no_picture(archive):
    documentation = Documentation(archive)
    _, headers, html = await answer(Service(), "/docs/README")
    _, _, index = await answer(Service(), "/docs/")
    bodies = "".join(documentation.html(page) for page in documentation.pages())
    assert "<script" not in html
    assert re.findall(r"<script [^>]*>", index) == [re.search(r'<script src="/static/search\.js\?v=\w+" defer>', index)[0]]
    assert set(re.findall(r"<(\w+)", bodies)) <= {
        *("h1", "h2", "h3", "p", "a", "code", "pre", "em", "strong", "ul", "ol", "li", "br"),
        *("div", "table", "thead", "tbody", "tr", "th", "td"),
    }
    assert "The status page: causes first" in html.replace("\n", " ")
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("name", ["", "install", "install.md", "runbooks/EkmEgressDown", "runbooks/EkmEgressDown.md", "runbooks"])
async def test_page_is_served_where_pages_are_not(name, monkeypatch):
    monkeypatch.setattr("exporter.web.access.on_loopback", lambda _: False)
    async with serving(Service()) as session:
        status, _, html = await get(session, f"/docs/{name}")
        style = re.search('href="(/static/style.css[^"]*)"', html)[1]
        assert (status, (await get(session, style))[0], (await get(session, "/targets"))[0]) == (200, 200, 403)
    assert re.findall(r'href="(/[^"?]*)"', html.split("<main")[0].split("<header>")[1]) == ["/docs/", "/docs/"]
    assert "/api/v1/targets" not in html.split("</article>")[1]


async def test_page_behind_a_prefix_links_below_the_prefix():
    async with serving(Service(), external_url="https://prom.example/ekm/") as session:
        moved = await get(session, "/ekm/docs")
        status, _, html = await get(session, "/ekm/docs/runbooks/EkmEgressDown")
    assert (moved[0], moved[1]["Location"]) == (302, "/ekm/docs/")
    assert status == 200
    assert '<a href="../what-needs-the-vault">' in html
    assert '<a href="/ekm/targets">' in html


@pytest.fixture
def moved(built, archive, monkeypatch):  # noqa: ARG001 - `built` replaces the same function, first
    documentation = Documentation(archive)
    documentation._moved = {"old-page": "doctor", "old/part": "doctor#what-it-prints"}
    monkeypatch.setattr(Documentation, "load", lambda: documentation)


@pytest.mark.parametrize(
    ("old", "new"), [("old-page", "doctor"), ("old-page.md", "doctor"), ("old/part", "doctor#what-it-prints")]
)
@pytest.mark.usefixtures("moved")
async def test_old_name_leads_below_the_prefix_to_the_new_page(old, new):
    async with serving(Service(), external_url="https://prom.example/ekm/") as session:
        status, headers, text = await get(session, f"/ekm/docs/{old}")
        async with session.head(f"/ekm/docs/{old}", allow_redirects=False) as head:
            assert (head.status, head.headers["Location"], await head.read()) == (301, f"/ekm/docs/{new}", b"")
        async with session.get(f"/ekm/docs/{old}") as followed:
            assert (followed.status, "<article" in await followed.text()) == (200, True)
        assert (await get(session, "/ekm/docs/old"))[0] == 404
    assert (status, headers["Location"], headers["Cache-Control"]) == (301, f"/ekm/docs/{new}", "no-cache")
    assert text == f"The page is now /docs/{new}.\n"


async def test_unchanged_page_is_not_sent_again():
    async with serving(Service()) as session:
        _, first, html = await get(session, "/docs/install")
        same = await get(session, "/docs/install", headers={"If-None-Match": first["ETag"]})
        other = await get(session, "/docs/expiry", headers={"If-None-Match": first["ETag"]})
        async with session.head("/docs/install") as head:
            assert (head.status, await head.read(), head.headers["ETag"]) == (200, b"", first["ETag"])
    assert (same[0], same[2], same[1]["ETag"]) == (304, "", first["ETag"])
    assert (other[0], first["Cache-Control"], first["Content-Encoding"]) == (200, "no-cache", "gzip")
    assert "ekm-exporter 1.2.3</p>" in html


@pytest.mark.parametrize(
    "name",
    [
        "../metrics", "..%2fmetrics", "%2e%2e/%2e%2e/pyproject.toml", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/etc/passwd", "%2fetc%2fpasswd",
        "runbooks/../install", "install%00.md", "install%00", "..\\install", "%5c..%5cinstall", "install/", "install.md.md", ".md.md",
        "C:/Windows/win.ini", "Install", "%c0%ae%c0%ae/", "x" * 4000, "runbooks/" * 400, "docs.zip", "%252e%252e%252f", "nowhere",
    ],
)  # fmt: skip
async def test_other_name_is_refused_and_opens_no_file(name, opened):
    app = create_app(Service(), web_options())
    async with WebServer(app, [ListenAddress("127.0.0.1", 0)]) as server:
        opened.clear()
        status, body = await raw(server.listening[0].port, f"/docs/{name}")
        assert opened == []
    assert status in (400, 404, 421)
    assert b"<article" not in body
    assert b"Traceback" not in body


async def test_index_of_the_search_is_served_where_the_pages_are(archive, monkeypatch):
    monkeypatch.setattr("exporter.web.access.on_loopback", lambda _: False)
    async with serving(Service()) as session:
        status, headers, text = await get(session, "/docs/search.json")
        assert (await get(session, "/static/search.js"))[0] == 200
        assert (await get(session, "/docs/search.json", headers={"If-None-Match": headers["ETag"]}))[0] == 304
    assert (status, headers["Content-Type"], headers["Content-Encoding"]) == (200, "application/json", "gzip")
    assert text == Documentation(archive).search_index()


async def test_page_opens_no_file(opened):
    async with serving(Service()) as session:
        opened.clear()
        assert (await get(session, "/docs/codes"))[0] == 200
        assert opened == []


async def test_checkout_without_built_documents_names_the_command(monkeypatch):
    monkeypatch.setattr(Documentation, "load", lambda: None)
    status, _, text = await answer(Service(), "/docs/")
    assert (status, text) == (404, NOT_BUILT)
