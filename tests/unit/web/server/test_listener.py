"""Addresses, ports in use, and a stop that does not wait for clients."""

import asyncio
import os
import resource
import socket

import pytest
from aiohttp import ClientSession, web

from exporter.web.listener import ListenAddress, ListenError, WebServer, parse_address


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
