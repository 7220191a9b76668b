"""How long a client may take, how much it may send, and who gets a place when there is none left."""

import asyncio
import contextlib
import socket

import pytest
from aiohttp import web

from exporter.web.server import connections
from exporter.web.server.connections import MOST_BYTES, Connection, ConnectionLimiter, connection_of
from exporter.web.server.listener import ListenAddress, WebServer, _most_clients
from tests.support.web_server import until

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
async def served(monkeypatch):
    """Starts a server with short times: its port, its places, and an event that holds back `/slow`."""
    for name, seconds in (("HEADER_SECONDS", 0.15), ("IDLE_SECONDS", 0.3), ("_SLACK_SECONDS", 0.0), ("WRITE_SECONDS", 0.2)):
        monkeypatch.setattr(connections, name, seconds)
    go = asyncio.Event()

    async def hello(_request):
        return web.Response(text="hello")

    async def slow(_request):
        await go.wait()
        return web.Response(text="at last")

    async def large(_request):
        return web.Response(body=b"x" * 50_000_000)

    @web.middleware
    async def keep(request, handler):
        connection = connection_of(request.transport)
        connection.begin()
        try:
            return await handler(request)
        finally:
            connection.end()

    async with contextlib.AsyncExitStack() as stack:

        async def start(**limits):
            app = web.Application(middlewares=[keep])
            app.add_routes([web.get("/", hello), web.get("/slow", slow), web.get("/large", large)])
            places = ConnectionLimiter(**limits)
            server = await stack.enter_async_context(WebServer(app, [ListenAddress("127.0.0.1", 0)], places=places))
            return server.listening[0].port, places, go

        yield start
        go.set()


@contextlib.asynccontextmanager
async def client(port, send=b""):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(send)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def rest(reader):
    """All that comes until the server ends the connection, politely or not."""
    async with asyncio.timeout(5):
        try:
            return await reader.read()
        except ConnectionError:
            return b"(cut)"


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n"])
async def test_a_client_that_sends_no_whole_request_is_cut(served, sent):
    port, places, _ = await served()
    async with client(port, sent) as (reader, _):
        assert await rest(reader) in (b"", b"(cut)")
        await until(lambda: len(places) == 0)


async def test_a_header_that_comes_byte_by_byte_buys_no_time(served):
    port, _, _ = await served()
    async with client(port, b"GET / HTTP/1.1\r\n") as (reader, writer):
        cut = asyncio.create_task(rest(reader))
        began = asyncio.get_running_loop().time()
        while not cut.done():
            writer.write(b"X")
            await asyncio.wait([cut], timeout=0.02)
        assert asyncio.get_running_loop().time() - began < 0.6


async def test_between_requests_there_is_more_time_but_not_within_one(served, monkeypatch):
    monkeypatch.setattr(connections, "IDLE_SECONDS", 30.0)
    port, _, _ = await served()
    async with client(port, GET) as (reader, writer):
        assert await reader.readuntil(b"hello")
        await asyncio.sleep(0.3)
        writer.write(GET)
        assert await reader.readuntil(b"hello")
        writer.write(b"GET / HT")
        assert await rest(reader) in (b"", b"(cut)")


async def test_an_idle_connection_is_ended(served):
    port, places, _ = await served()
    async with client(port, GET) as (reader, _):
        assert await reader.readuntil(b"hello")
        assert await rest(reader) in (b"", b"(cut)")
        await until(lambda: len(places) == 0)


async def test_a_request_that_is_being_answered_is_not_cut(served):
    port, _, go = await served()
    async with client(port, GET.replace(b"/ ", b"/slow ", 1)) as (reader, _):
        await asyncio.sleep(0.5)
        go.set()
        assert b"200 OK" in await reader.readuntil(b"at last")


async def test_a_client_that_does_not_read_its_answer_is_cut(served):
    port, places, _ = await served()
    async with client(port) as (_, writer):
        writer.transport.pause_reading()
        writer.write(GET.replace(b"/ ", b"/large ", 1))
        await until(lambda: any(connection.served for connection in places.all()))
        await until(lambda: len(places) == 0)


async def test_more_than_a_request_may_have_is_refused(served):
    port, _, _ = await served()
    many = b"".join(b"X-%d: %s\r\n" % (number, b"a" * 8000) for number in range(MOST_BYTES // 8000 + 1))
    async with client(port, b"GET / HTTP/1.1\r\nHost: x\r\n" + many + b"\r\n") as (reader, _):
        assert (await rest(reader)).startswith((b"HTTP/1.1 431 ", b"(cut)"))


async def test_more_than_that_while_it_is_answered_ends_the_connection(served):
    port, places, _ = await served()
    async with client(port, GET.replace(b"/ ", b"/slow ", 1)) as (reader, writer):
        await until(lambda: [connection.busy for connection in places.all()] == [True])
        with contextlib.suppress(ConnectionError):
            for _ in range(3):
                writer.write(b"x" * MOST_BYTES)
                await writer.drain()
        assert await rest(reader) in (b"", b"(cut)")


async def test_idle_connection_is_cut_for_a_new_client(served, monkeypatch):
    monkeypatch.setattr(connections, "HEADER_SECONDS", 30.0)
    port, places, _ = await served(most_waiting_of_one=8)
    with contextlib.ExitStack() as held:
        silent = [held.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(8)]
        await until(lambda: len(places) == 8)
        async with client(port, GET) as (reader, _):
            assert await reader.readuntil(b"hello")
            assert len(places) == 8
        silent[0].setblocking(False)
        await until(lambda: ended(silent[0]))
        assert not ended(silent[7])


def ended(sock):
    sock.setblocking(False)
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


async def test_newcomer_is_sent_away_with_503_if_every_place_is_busy(served):
    port, places, go = await served(most=2)
    slow = GET.replace(b"/ ", b"/slow ", 1)
    async with client(port, slow) as (first, _), client(port, slow) as (second, _):
        await until(lambda: [connection.busy for connection in places.all()] == [True, True])
        async with client(port) as (reader, _):
            answer = await rest(reader)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 1\r\n" in answer
        assert answer.endswith(b"Try again later.\n")
        go.set()
        for reader in (first, second):
            assert await reader.readuntil(b"at last")


async def guest(address, *, busy=False, served=False, since=0.0):
    made = Connection(asyncio.Protocol, address=address, vet=lambda _: True, on_end=lambda _: None)
    made.busy, made.served, made.since = busy, served, since
    return made


async def test_one_address_does_not_take_the_places_of_others():
    places = ConnectionLimiter(most_waiting_of_one=3)
    for number in range(20):
        assert places.take(await guest("greedy", since=number))
    assert len(places) == 3
    assert places.take(await guest("other"))
    assert sorted(connection.since for connection in places.all() if connection.address == "greedy") == [17, 18, 19]


async def test_addresses_of_one_ipv6_network_share_their_places():
    places = ConnectionLimiter(most_waiting_of_one=3, most_busy_of_one=3)
    for number in range(20):
        assert places.take(await guest(f"2001:db8::{number:x}"))
    assert len(places) == 3
    busy = [await guest(f"2001:db8::{number:x}", busy=True) for number in range(4)]
    for one in busy:
        assert places.take(one)
    assert not places.may_begin(busy[-1])


async def test_those_who_wait_are_bounded_and_those_who_are_answered_are_not_counted_among_them():
    places = ConnectionLimiter(most_waiting=4, most_waiting_of_one=2)
    answered = [await guest("prometheus", busy=True) for _ in range(100)]
    for one in answered:
        assert places.take(one)
    for number in range(20):
        assert places.take(await guest(str(number), since=number))
    assert len(places) == 104
    for one in answered:
        one.busy, one.served = False, True
    assert places.take(await guest("prometheus", since=50.0))
    assert len(places) <= 4


async def test_client_without_a_request_is_cut_first_and_busy_one_never():
    places = ConnectionLimiter(most=3)
    regular, talker, answered = await guest("a", served=True), await guest("b", since=5.0), await guest("c", busy=True)
    for one in (regular, talker, answered):
        places.take(one)
    assert places.take(newcomer := await guest("d", served=True, since=9.0))
    assert set(places.all()) == {regular, answered, newcomer}
    assert places.take(await guest("e", busy=True))
    assert set(places.all()) >= {answered, newcomer}
    places.give_back(answered)
    places.give_back(answered)
    assert len(places) == 2


async def test_address_that_has_shown_a_password_keeps_its_place_in_a_storm():
    places = ConnectionLimiter(most_waiting=4)
    prometheus = await guest("prometheus", served=True)
    prometheus.trusted = True
    assert places.take(prometheus)
    for number in range(20):
        assert places.take(await guest(str(number), served=True, since=number + 1.0))
    assert prometheus in places.all()
    places.give_back(prometheus)
    again = await guest("prometheus", since=0.0)
    assert places.take(again)
    for number in range(20):
        assert places.take(await guest(str(number), served=True, since=number + 1.0))
    assert again in places.all()


@pytest.mark.parametrize(("files", "clients"), [(None, 2048), (1_000_000, 2048), (1024, 256), (64, 16), (1, 1)])
def test_most_of_the_files_stay_with_the_probes(monkeypatch, files, clients):
    monkeypatch.setattr("exporter.runtime.process.file_limit", lambda: files)
    assert _most_clients() == clients


async def test_an_error_with_one_client_shuts_no_other_out(served, monkeypatch):
    port, places, _ = await served()
    take, errors = ConnectionLimiter.take, [MemoryError()]
    monkeypatch.setattr(ConnectionLimiter, "take", lambda *taken: take(*taken) if not errors else throw(errors.pop()))
    async with client(port) as (reader, _):
        assert await rest(reader) in (b"", b"(cut)")
    async with client(port, GET) as (reader, _):
        assert (await rest(reader)).endswith(b"hello")
    assert len(places) == 0


def throw(error):
    raise error
