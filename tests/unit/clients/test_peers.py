"""The client of other exporters against servers that are none, and against one with TLS and users."""

import asyncio
import contextlib
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from exporter.clients import peers
from exporter.clients.peers import (
    SQL_SERVERS,
    TARGETS,
    AccessError,
    ApiAccess,
    FetchFailure,
    check_password,
    fetch_list,
    parse_url,
)
from tests.support.gate_factories import body
from tests.unit.web.conftest import folder  # noqa: F401 - a fixture
from tests.unit.web.serving import protected

PATIENCE = 30.0


def access(url, **more):
    return ApiAccess(**{"url": parse_url(str(url)), "timeout": PATIENCE} | more)


async def found(url, path=TARGETS, **more):
    """The problem and its cause, or the body."""
    outcome = await fetch_list(access(url, **more), path)
    return (outcome.problem, outcome.cause) if isinstance(outcome, FetchFailure) else outcome


@asynccontextmanager
async def answering(respond):
    """A server whose every path gets this response; yields its URL."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", respond)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw(data, *, wait=False):
    """A server that sends bytes after the request, and then closes or waits."""

    async def serve(reader, writer):
        with contextlib.closing(writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(data)
            await writer.drain()
            if wait:
                await reader.read()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def giving(**response):
    async def respond(_request):
        return web.Response(**response)

    return respond


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://localhost:10377", "http://localhost:10377/"),
        ("https://prom.example/ekm", "https://prom.example/ekm/"),
        ("https://prom.example/ekm/", "https://prom.example/ekm/"),
        ("http://[::1]:10377", "http://[::1]:10377/"),
    ],
)
def test_address_becomes_the_base_of_the_api(text, url):
    assert parse_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost:10377",
        "ftp://x",
        "http://",
        "http://u:p@x",
        "http://u@x",
        "http://x?a=1",
        "http://x/#a",
        "http://x:99999",
        "http://x y",
        "http://x\n",
        "http://x/?",
        "http://[::1",
    ],
)
def test_other_address_is_refused(text):
    with pytest.raises(ValueError, match=r"write http|use --web\.user|address of the server") as caught:
        parse_url(text)
    assert "u:p" not in str(caught.value)


async def test_list_below_a_prefix_is_read():
    paths = []

    async def respond(request):
        paths.append((request.path, request.headers["Accept-Encoding"]))
        return web.Response(body=body())

    async with answering(respond) as url:
        assert await found(f"{url}/ekm") == await found(f"{url}/ekm", SQL_SERVERS) == body()
    assert paths == [("/ekm/api/v1/targets", "identity"), ("/ekm/api/v1/sql-servers", "identity")]


@pytest.mark.parametrize(
    ("problem", "statuses", "cause"),
    [
        ("refused", (401, 403, 421), "HTTP status {}"),
        ("missing", (404,), "it has HTTP status {}"),
        ("foreign", (204, 500, 503), "it has HTTP status {}"),
    ],
)
async def test_other_status_is_not_known(problem, statuses, cause):
    for status in statuses:
        async with answering(giving(status=status)) as url:
            assert await found(url) == (problem, cause.format(status))


async def test_redirect_is_not_followed():
    async with (
        answering(giving(status=200, body=body())) as other,
        answering(giving(status=302, headers={"Location": other})) as url,
    ):
        assert (await found(url))[0] == "foreign"


async def test_compressed_response_is_not_expanded():
    async with answering(giving(body=b"\x1f\x8b\x08\x00", headers={"Content-Encoding": "gzip"})) as url:
        assert await found(url) == b"\x1f\x8b\x08\x00"


async def test_large_response_is_not_read_to_its_end(monkeypatch):
    monkeypatch.setattr(peers, "LARGEST_RESPONSE", 1024)
    async with answering(giving(body=body() + b" " * 1024)) as url:
        problem, cause = await found(url)
    assert problem == "foreign"
    assert "is larger than" in cause


def test_documented_number_of_sql_servers_is_that_of_the_limit():
    page = (Path(__file__).parents[3] / "docs" / "sql-servers.md").read_text(encoding="utf-8")
    assert peers.LARGEST_RESPONSE == 64 * 1024**2  # another limit has another number in the page
    assert "holds about 450 SQL Servers with 100 databases each" in page


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "it closed the connection without a response"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "it is no HTTP response, or one with too long headers"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "the response ended early"),
    ],
)
async def test_broken_response_is_not_known(data, cause):
    async with raw(data) as url:
        assert await found(url) == ("unreachable", cause)


async def test_silent_exporter_is_not_known():
    async with raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", wait=True) as url:
        assert await found(url, timeout=0.3) == ("unreachable", "no whole response within 0.3 s")


async def test_closed_port_is_not_known():
    async with raw(b"") as url:
        pass
    assert await found(url) == ("unreachable", "the connection was refused")


async def test_host_that_is_not_resolved_is_not_known():
    assert (await found("http://ekm.invalid:10377"))[1] == "its host name is not resolved"


USERS = "basic_auth_users: {gate: $2b$04$c.hAHli3rdbn05h8RDttkut4MXKRgeWXVMdkL5SnoizgIfGfdXKzi}\n"
TLS = "tls_server_config: {cert_file: server.pem, key_file: server.key}\n"


async def test_certificate_of_a_named_ca_is_trusted(folder, tmp_path):  # noqa: F811
    async with protected(folder, TLS) as (url, _):
        assert (await found(url))[1] == "its certificate is not trusted: name its CA with --web.ca.file"
        (tmp_path / "ca.pem").write_text("Zertifikat für Contoso\n" + (tmp_path / "ca.pem").read_text(), encoding="utf-8")
        assert isinstance(await found(url, ca_file=tmp_path / "ca.pem"), bytes)


async def test_plain_request_to_https_is_not_known(folder):  # noqa: F811
    async with protected(folder, TLS) as (url, _):
        assert (await found(url.replace("https", "http")))[0] == "unreachable"
    async with answering(giving(body=body())) as url:
        assert (await found(url.replace("http", "https")))[1] == "TLS failed: is https served there?"


async def test_user_and_password_are_sent(folder, tmp_path):  # noqa: F811
    async with protected(folder, TLS + USERS) as (url, _):
        ca = {"ca_file": tmp_path / "ca.pem"}
        assert (await found(url, **ca))[0] == "refused"
        assert (await found(url, user="gate", password="wrong", **ca))[0] == "refused"
        assert isinstance(await found(url, user="gate", password="right-password", **ca), bytes)


@pytest.mark.parametrize(
    "content",
    [b"", b"no certificate", b"\xff\xfe\x00", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"],
    ids=["empty", "text", "binary", "damaged"],
)
async def test_file_without_a_certificate_is_bad_usage(tmp_path, content):
    file = tmp_path / "ca.pem"
    file.write_bytes(content)
    with pytest.raises(AccessError, match="no certificate in PEM"):
        await fetch_list(access("https://127.0.0.1:1", ca_file=file), TARGETS)


async def test_missing_ca_file_is_bad_usage():
    with pytest.raises(AccessError, match=r"--web\.ca\.file: gone\.pem: no such file"):
        await fetch_list(access("https://127.0.0.1:1", ca_file=Path("gone.pem")), TARGETS)


@pytest.mark.parametrize("url", ["http://localhost:1", "http://127.0.0.9:1", "http://[::1]:1", "https://ekm.example"])
def test_password_goes_to_loopback_or_over_tls_only(url):
    check_password(access(url, user="gate", password="p"))
    for other in ("http://ekm.example", "http://192.0.2.1:10377"):
        check_password(access(other))
        with pytest.raises(AccessError, match="use an https URL"):
            check_password(access(other, user="gate", password="p"))


def test_password_is_not_shown():
    assert "hidden-pw" not in repr(access("http://localhost", user="gate", password="hidden-pw"))
