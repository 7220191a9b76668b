"""Requests that no client library sends, written to a socket: host names, headers with line breaks, two meanings of one request."""

import asyncio
import base64
from contextlib import asynccontextmanager

import bcrypt
import pytest

from exporter.web.access_control import AccessControl
from exporter.web.app import create_app
from exporter.web.config_file import load
from exporter.web.listener import ListenAddress, WebServer
from exporter.web.options import web_options
from tests.support.web_server import Service

LOCAL = "Host: localhost\r\n"
RIGHT = base64.b64encode(b"u:pass").decode()
WRONG = base64.b64encode(b"u:nope").decode()


@asynccontextmanager
async def listening(access_control=None):
    """The port of a listener on loopback."""
    app = create_app(Service(), web_options(access_control=access_control))
    async with WebServer(app, [ListenAddress("127.0.0.1", 0)]) as server:
        yield server.listening[0].port


async def statuses(port, request, rest=""):
    """The status of each response to a request; `rest` is sent after the first one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(30):
            writer.write(request.encode())
            received = await reader.read(1)
            writer.write(rest.encode())
            lines = (received + await reader.read()).split(b"\r\n")
    finally:
        writer.close()
    return [int(line.split()[1]) for line in lines if line.startswith(b"HTTP/")]


@pytest.fixture
def password(tmp_path):
    (tmp_path / "web.yml").write_text(f"basic_auth_users:\n  u: {bcrypt.hashpw(b'pass', bcrypt.gensalt(4)).decode()}\n")
    return AccessControl(tmp_path / "web.yml", load(tmp_path / "web.yml"))


def get(target="/metrics", headers=LOCAL):
    return f"GET {target} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n"


REBINDING = {
    "user information": get(headers="Host: localhost:10377@evil.example\r\n"),
    "behind an address": get(headers="Host: [::1].evil.example\r\n"),
    "below an address": get(headers="Host: 127.0.0.1.evil.example\r\n"),
    "hexadecimal": get(headers="Host: 0x7f.1\r\n"),
    "one number": get(headers="Host: 2130706433\r\n"),
    "path in the host": get(headers="Host: localhost/evil.example\r\n"),
    "list of hosts": get(headers="Host: localhost, evil.example\r\n"),
    "absolute target": get("http://evil.example/metrics"),
    "absolute target with a user": get("http://localhost@evil.example/metrics"),
    "absolute target and a foreign header": get("http://localhost/metrics", "Host: evil.example\r\n"),
    "absolute target with a URL in its query": get("http://evil.example/metrics?x=://localhost/"),
    "target of a tunnel": f"CONNECT evil.example:443 HTTP/1.1\r\n{LOCAL}Connection: close\r\n\r\n",
}
ALLOWED = {
    "upper case": get(headers="Host: LOCALHOST:1\r\n"),
    "final dot": get(headers="Host: localhost.\r\n"),
    "address": get(headers="Host: [::1]:10377\r\n"),
    "empty": get(headers="Host:\r\n"),
    "none in HTTP/1.0": "GET /metrics HTTP/1.0\r\n\r\n",
    "absolute target": get("http://localhost/metrics"),
    "forwarded host": get(headers=f"{LOCAL}X-Forwarded-Host: evil.example\r\nForwarded: host=evil.example\r\n"),
}
MALFORMED = {
    "two hosts": get(headers=f"{LOCAL}Host: evil.example\r\n"),
    "no host": get(headers=""),
    "folded host": get(headers="Host: localhost\r\n .evil.example\r\n"),
    "NUL in the host": get(headers="Host: localhost\0.evil.example\r\n"),
    "blank before the colon": get(headers="Host : localhost\r\n"),
    "bare line feed": get(headers=f"{LOCAL}X: a\nY: b\r\n"),
    "bare carriage return": get(headers=f"{LOCAL}X: a\rY: b\r\n"),
    "NUL in a header": get(headers=f"{LOCAL}X: a\0b\r\n"),
    "two lengths": get(headers=f"{LOCAL}Content-Length: 5\r\nContent-Length: 6\r\n"),
    "length with a sign": get(headers=f"{LOCAL}Content-Length: +0\r\n"),
    "length and chunks": get(headers=f"{LOCAL}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n",
    "unknown coding": get(headers=f"{LOCAL}Transfer-Encoding: xchunked\r\n") + "0\r\n\r\n",
    "chunked before another coding": get(headers=f"{LOCAL}Transfer-Encoding: chunked, identity\r\n") + "0\r\n\r\n",
    "chunks in HTTP/1.0": f"POST /metrics HTTP/1.0\r\n{LOCAL}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("case", REBINDING)
async def test_foreign_host_is_refused_on_loopback(case):
    async with listening() as port:
        assert await statuses(port, REBINDING[case]) == [421]


@pytest.mark.parametrize("case", ALLOWED)
async def test_own_host_is_served_on_loopback(case):
    async with listening() as port:
        assert await statuses(port, ALLOWED[case]) == [200]


@pytest.mark.parametrize("case", MALFORMED)
async def test_request_with_two_meanings_is_malformed(case):
    async with listening() as port:
        assert await statuses(port, MALFORMED[case] + get()) == [400]


BREAKS = ("\n", "\r", "\r\n ", "\r\n\t", "\x0b", "\x0c", "\x1c", "\0", "\x85", "\u2028", "\u2029", "\u00a0", "\u3000")


@pytest.mark.parametrize("line_break", BREAKS)
async def test_line_break_after_the_password_is_refused(line_break, password):
    async with listening(password) as port:
        assert await statuses(port, get(headers=f"{LOCAL}Authorization: Basic {RIGHT}\r\n")) == [200]  # now in the cache
        [status] = await statuses(port, get(headers=f"{LOCAL}Authorization: Basic {RIGHT}{line_break}\r\n"))
    assert status in (400, 401)


@pytest.mark.parametrize(
    "credentials", [f"\u2028{RIGHT}", f"{RIGHT[:4]}\u2028{RIGHT[4:]}", f"{RIGHT}====", f"{RIGHT}{RIGHT}", "", "="]
)
async def test_malformed_credentials_are_refused(credentials, password):
    async with listening(password) as port:
        assert await statuses(port, get(headers=f"{LOCAL}Authorization: Basic {credentials}\r\n")) == [401]


@pytest.mark.parametrize("both", [(RIGHT, WRONG), (WRONG, RIGHT), (RIGHT, RIGHT)])
async def test_two_passwords_are_refused(both, password):
    async with listening(password) as port:
        assert await statuses(port, get(headers=LOCAL + "".join(f"Authorization: Basic {each}\r\n" for each in both))) == [401]


BROKEN_BODIES = {
    "no gzip": (f"POST /metrics HTTP/1.1\r\n{LOCAL}Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\n", "hello"),
    "broken chunk": (f"POST /metrics HTTP/1.1\r\n{LOCAL}Transfer-Encoding: chunked\r\n\r\n", "5\r\nhelloX"),
}


@pytest.mark.parametrize("case", BROKEN_BODIES)
async def test_broken_body_is_no_internal_error(case, caplog):
    async with listening() as port:
        assert await statuses(port, *BROKEN_BODIES[case]) == [405]
    assert caplog.records == []
