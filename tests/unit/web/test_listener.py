"""Addresses and ports, requests that no client library sends, long responses, and what a response follows from the request."""

import asyncio
import base64
import gzip
import os
import resource
import socket
from contextlib import asynccontextmanager

import bcrypt
import pytest
from aiohttp import ClientPayloadError, ClientSession, web

from exporter.web import listener
from exporter.web.access_control import AccessControl
from exporter.web.app import create_app
from exporter.web.config_file import load
from exporter.web.listener import (
    OPENMETRICS,
    TEXT,
    ListenAddress,
    ListenError,
    WebServer,
    accepts_gzip,
    format_for,
    parse_address,
)
from exporter.web.options import web_options
from tests.support.turns import make_idle
from tests.support.web_server import Service


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":10377", ListenAddress("", 10377)),
        ("127.0.0.1:10377", ListenAddress("127.0.0.1", 10377)),
        ("[::1]:10377", ListenAddress("::1", 10377)),
        ("[fe80::1%eth0]:1", ListenAddress("fe80::1%eth0", 1)),
        ("localhost:0", ListenAddress("localhost", 0)),
    ],
)
def test_addresses_are_parsed_as_in_go(text, address):
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize("text", ["", "10377", "127.0.0.1", "::1:10377", ":http", ":65536", ":-1", "[::1]10377", ":²"])
def test_invalid_address_is_refused_with_a_valid_form(text):
    with pytest.raises(ValueError, match="write HOST:PORT") as caught:
        parse_address(text)
    assert "\n" not in str(caught.value)


def app_of(handler):
    app = web.Application()
    app.router.add_get("/", handler)
    return app


async def hello(_request):
    return web.Response(text="hello")


async def test_server_with_several_addresses_reports_real_ports():
    addresses = [parse_address("127.0.0.1:0"), parse_address("localhost:0"), parse_address(":0")]
    async with WebServer(app_of(hello), addresses) as server, ClientSession() as session:
        assert len(set(server.urls)) == 3
        assert all(not url.endswith(":0") for url in server.urls)
        for url in server.urls:
            async with session.get(url) as response:
                assert await response.text() == "hello"


async def test_lack_of_files_is_logged_a_few_times_and_recovers(caplog):
    clients = [socket.socket() for _ in range(20)]
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with WebServer(app_of(hello), [parse_address("127.0.0.1:0")]) as server, ClientSession() as session:
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + 2, before[1]))
        try:
            for client in clients:
                client.connect(("127.0.0.1", server.listening[0].port))
            await asyncio.sleep(0.05)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        logged = [record for record in caplog.records if "out of system resource" in record.getMessage()]
        assert 1 <= len(logged) <= 3
        async with session.get(server.urls[0]) as response:
            assert await response.text() == "hello"
    for client in clients:
        client.close()


async def test_server_listens_on_ipv6_loopback():
    async with WebServer(app_of(hello), [parse_address("[::1]:0")]) as server, ClientSession() as session:
        assert server.urls[0].startswith("http://[::1]:")
        async with session.get(server.urls[0]) as response:
            assert response.status == 200


async def test_port_in_use_is_one_clear_line_and_opens_no_address():
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as spare:
        port, free_port = taken.getsockname()[1], spare.getsockname()[1]
        spare.close()
        server = WebServer(app_of(hello), [ListenAddress("127.0.0.1", free_port), ListenAddress("127.0.0.1", port)])
        with pytest.raises(ListenError) as caught:
            await server.start()
        assert (
            str(caught.value)
            == f"cannot listen on 127.0.0.1:{port}: address already in use (choose another with --web.listen-address)"
        )
        socket.create_server(("127.0.0.1", free_port)).close()


async def test_port_in_use_on_all_interfaces_is_named_as_configured():
    async with WebServer(app_of(hello), [parse_address(":0")]) as first:
        port = first.listening[0].port
        with pytest.raises(ListenError, match=f"^cannot listen on :{port}: address already in use "):
            await WebServer(app_of(hello), [ListenAddress("", port)]).start()


@pytest.mark.parametrize(
    ("address", "problem"),
    [("203.0.113.1:1", "cannot assign requested address"), ("no-such-host.invalid:1", "no such host")],
)
async def test_address_of_another_host_is_one_clear_line(address, problem):
    with pytest.raises(ListenError) as caught:
        await WebServer(app_of(hello), [parse_address(address)]).start()
    assert str(caught.value) == f"cannot listen on {address}: {problem} (use an address of this host, or :PORT for all of them)"


async def test_stop_does_not_wait_for_a_client_that_reads_nothing():
    begun = asyncio.Event()

    async def endless(request):
        response = web.StreamResponse()
        await response.prepare(request)
        begun.set()
        while True:
            await response.write(b"x" * 65536)

    server = WebServer(app_of(endless), [parse_address("127.0.0.1:0")])
    await server.start()
    with socket.create_connection(("127.0.0.1", server.listening[0].port)) as stalled:
        stalled.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await begun.wait()
        before = asyncio.get_running_loop().time()
        await server.stop()
        assert asyncio.get_running_loop().time() - before < 20


PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3_PROTO_FIRST = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=1.0.0;q=0.3,*/*;q=0.1"
)


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        (PROMETHEUS_2, True),
        (PROMETHEUS_3_PROTO_FIRST, True),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text; version=1.0.0", True),
        ('Application/OpenMetrics-Text; Version="2.0.0"', True),
        ("application/openmetrics-text;version=10.0", True),
        ("application/openmetrics-text, */*", True),
        ("", False),
        ("*/*", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("text/plain;version=0.0.4", False),
        ("application/openmetrics-text;version=0.0.1", False),
        ("application/openmetrics-text;version=", False),
        ("application/openmetrics-text;version=x", False),
        pytest.param(f"application/openmetrics-text;version={'9' * 5000}", True, id="a version of 5,000 digits"),
        ("application/openmetrics-text;version=00.1", False),
        ("application/openmetrics-text;q=0.2,text/plain;q=0.5", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=nan", False),
        ("application/openmetrics-text;q=-1", False),
        ("application/openmetrics-text;q=banana", False),
        (",;=,,;;q", False),
    ],
)
def test_openmetrics_is_sent_on_request(accept, openmetrics):
    assert format_for(accept, protobuf=False) == (OPENMETRICS if openmetrics else TEXT)


PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"


@pytest.mark.parametrize(
    ("accept", "protobuf"),
    [
        (PROMETHEUS_2, False),
        (PROMETHEUS_3_PROTO_FIRST, True),
        (PROTOBUF, True),
        (PROTOBUF.upper().replace("IO.PROMETHEUS.CLIENT.METRICFAMILY", "io.prometheus.client.MetricFamily"), False),
        (PROTOBUF.replace(";", " ; "), True),
        (PROTOBUF + ", */*", True),
        (PROTOBUF + ";q=0.5,application/openmetrics-text;version=1.0.0;q=0.6", False),
        (PROTOBUF + ";q=0.5,application/openmetrics-text;version=0.0.1;q=0.6", True),
        (PROTOBUF + ";q=0.5,text/plain;q=0.6", False),
        (PROTOBUF + ";q=0.5,*/*;q=0.5", True),
        (PROTOBUF + ";q=0", False),
        (PROTOBUF + ";q=banana", False),
        (PROTOBUF.replace("delimited", "text"), False),
        (PROTOBUF.replace("delimited", "compact-text"), False),
        (PROTOBUF.replace(";encoding=delimited", ""), False),
        (PROTOBUF.replace("io.prometheus.client", "other"), False),
        ("application/vnd.google.protobuf", False),
        ("application/*", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_protobuf_is_sent_on_request(accept, protobuf):
    assert (format_for(accept) == listener.PROTOBUF) is protobuf


@pytest.mark.parametrize(
    ("accept_encoding", "gzip"),
    [
        ("gzip", True), ("GZIP;q=1.0", True), ("deflate, gzip;q=0.001", True), ("x-gzip", True), ("*", True),
        ("br, *;q=0.5", True), ("", False), ("identity", False), ("gzip;q=0", False), ("gzip;q=0.000", False),
        ("gzip;q=0, *", False), ("gzip;q=wrong", False), ("*;q=0", False), ("gzipped", False),
    ],
)  # fmt: skip
def test_gzip_is_used_only_where_it_is_accepted(accept_encoding, gzip):
    assert accepts_gzip(accept_encoding) is gzip


PIECES = [b"# HELP a b\n", b"", b"x" * 300_000, b"a 1\n" * 50_000, b"end\n"]
WHOLE = b"".join(PIECES)


async def pieces():
    for piece in PIECES:
        yield piece


def serving(source, *, zipped=False):
    async def handler(request):
        return await listener.stream(request, source(), headers={"Content-Type": "text/plain"}, gzip=zipped)

    app = web.Application()
    app.router.add_get("/", handler)
    return WebServer(app, [ListenAddress("127.0.0.1", 0)])


@pytest.mark.parametrize("zipped", [False, True])
async def test_client_receives_the_bytes_that_were_sent(zipped):
    async with serving(pieces, zipped=zipped) as server, ClientSession(auto_decompress=False) as session:
        async with session.get(server.urls[0]) as response:
            body = await response.read()
            assert response.headers.get("Content-Encoding") == ("gzip" if zipped else None)
        assert (gzip.decompress(body) if zipped else body) == WHOLE
        assert not zipped or len(body) < len(WHOLE) / 10


async def test_other_tasks_run_between_two_slices(monkeypatch):
    make_idle(monkeypatch)
    slices, turns, ended = 50, [], asyncio.Event()

    async def rendered():
        other = asyncio.create_task(another_task())
        for _ in range(slices):
            yield b"x" * listener.SLICE_BYTES
        other.cancel()
        ended.set()

    async def another_task():
        while True:
            turns.append(1)
            await asyncio.sleep(0)

    async with serving(rendered) as server, ClientSession() as session, session.get(server.urls[0]) as response:
        await response.read()
        await ended.wait()
    assert len(turns) >= slices


async def test_head_has_the_headers_and_no_body():
    async def never():
        raise AssertionError("rendered without a client")
        yield b""

    async with serving(never, zipped=True) as server, ClientSession() as session, session.head(server.urls[0]) as response:
        assert response.status == 200
        assert response.headers["Content-Encoding"] == "gzip"
        assert await response.read() == b""


async def test_error_in_the_middle_leaves_an_incomplete_response():
    async def broken():
        yield b"a 1\n"
        raise RuntimeError("broken")

    async with serving(broken) as server, ClientSession() as session, session.get(server.urls[0]) as response:
        with pytest.raises(ClientPayloadError):
            await response.read()


async def test_client_that_stops_reading_is_disconnected(monkeypatch):
    monkeypatch.setattr(listener, "SECONDS_TO_TAKE_IT", 0.2)
    ended = asyncio.Event()

    async def endless():
        try:
            while True:
                yield b"x" * 65536
        finally:
            ended.set()

    async with serving(endless) as server:
        with socket.create_connection(("127.0.0.1", server.listening[0].port)) as stalled:
            stalled.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            async with asyncio.timeout(30):
                await ended.wait()


async def test_short_pieces_are_sent_together_and_long_ones_alone():
    short, long = "é" * 500, "x" * 5000
    found = [piece async for piece in listener.encoded([long, *[short] * 5, long])]
    assert [len(piece.decode()) for piece in found] == [5000, 2500, 5000, 0]
    assert b"".join(found).decode() == long + 5 * short + long


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
    "absolute target": get("http://evil.example/metrics"),
    "absolute target with a user": get("http://localhost@evil.example/metrics"),
    "absolute target and a foreign header": get("http://localhost/metrics", "Host: evil.example\r\n"),
    "absolute target with a URL in its query": get("http://evil.example/metrics?x=://localhost/"),
    "target of a tunnel": f"CONNECT evil.example:443 HTTP/1.1\r\n{LOCAL}Connection: close\r\n\r\n",
}
ALLOWED = {
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
    "no gzip": (
        f"POST /metrics HTTP/1.1\r\n{LOCAL}Connection: close\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\n",
        "hello",
    ),
    "broken chunk": (f"POST /metrics HTTP/1.1\r\n{LOCAL}Transfer-Encoding: chunked\r\n\r\n", "5\r\nhelloX"),
}


@pytest.mark.parametrize("case", BROKEN_BODIES)
async def test_broken_body_is_no_internal_error(case, caplog):
    async with listening() as port:
        assert await statuses(port, *BROKEN_BODIES[case]) == [405]
    assert caplog.records == []
