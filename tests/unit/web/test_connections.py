"""Limits of time, bytes, connections and unfinished responses for each client, and the clients that lose their place first."""

import asyncio
import contextlib
import socket
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest
from aiohttp import ClientSession, TCPConnector, web

from exporter.web import connections, listener
from exporter.web.app import create_app
from exporter.web.connections import (
    KNOWN_SECONDS,
    MOST_BYTES,
    MOST_KNOWN,
    STALLED_SECONDS,
    Connection,
    ConnectionLimiter,
    KnownAddresses,
    UnfinishedResponses,
    connection_of,
    source_of,
)
from exporter.web.listener import ListenAddress, WebServer, most_clients
from exporter.web.options import web_options
from tests.support.web_server import Service, get, until

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
async def served(monkeypatch):
    """Start a server with short time limits; return its port, its limiter and an event that `/slow` waits for."""
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
            limiter = ConnectionLimiter(**limits)
            server = await stack.enter_async_context(WebServer(app, [ListenAddress("127.0.0.1", 0)], limiter=limiter))
            return server.listening[0].port, limiter, go

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
    """Read until the server closes or resets the connection."""
    async with asyncio.timeout(30):
        try:
            return await reader.read()
        except ConnectionError:
            return b"(cut)"


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n"])
async def test_client_without_a_whole_request_is_disconnected(served, sent):
    port, limiter, _ = await served()
    async with client(port, sent) as (reader, _):
        assert await rest(reader) in (b"", b"(cut)")
        await until(lambda: len(limiter) == 0)


async def test_header_sent_byte_by_byte_gets_no_extra_time(served):
    port, _, _ = await served()
    async with client(port, b"GET / HTTP/1.1\r\n") as (reader, writer):
        cut = asyncio.create_task(rest(reader))
        async with asyncio.timeout(60):
            while not cut.done():
                writer.write(b"X")
                await asyncio.wait([cut], timeout=0.02)
        assert await cut in (b"", b"(cut)")


async def test_time_limit_is_longer_between_requests_than_within_one(served, monkeypatch):
    monkeypatch.setattr(connections, "IDLE_SECONDS", 30.0)
    port, _, _ = await served()
    async with client(port, GET) as (reader, writer):
        assert await reader.readuntil(b"hello")
        await asyncio.sleep(0.3)
        writer.write(GET)
        assert await reader.readuntil(b"hello")
        writer.write(b"GET / HT")
        assert await rest(reader) in (b"", b"(cut)")


async def test_idle_connection_is_closed(served):
    port, limiter, _ = await served()
    async with client(port, GET) as (reader, _):
        assert await reader.readuntil(b"hello")
        assert await rest(reader) in (b"", b"(cut)")
        await until(lambda: len(limiter) == 0)


async def test_request_in_progress_is_not_disconnected(served):
    port, _, go = await served()
    async with client(port, GET.replace(b"/ ", b"/slow ", 1)) as (reader, _):
        await asyncio.sleep(0.5)
        go.set()
        assert b"200 OK" in await reader.readuntil(b"at last")


async def test_client_that_reads_nothing_is_disconnected(served):
    port, limiter, _ = await served()
    async with client(port) as (_, writer):
        writer.transport.pause_reading()
        writer.write(GET.replace(b"/ ", b"/large ", 1))
        await until(lambda: any(connection.served for connection in limiter.all()))
        await until(lambda: len(limiter) == 0)


async def test_too_large_request_is_refused(served):
    port, _, _ = await served()
    many = b"".join(b"X-%d: %s\r\n" % (number, b"a" * 8000) for number in range(MOST_BYTES // 8000 + 1))
    async with client(port, b"GET / HTTP/1.1\r\nHost: x\r\n" + many + b"\r\n") as (reader, _):
        assert (await rest(reader)).startswith((b"HTTP/1.1 431 ", b"(cut)"))


async def test_too_many_bytes_during_a_request_close_the_connection(served):
    port, limiter, _ = await served()
    async with client(port, GET.replace(b"/ ", b"/slow ", 1)) as (reader, writer):
        await until(lambda: [connection.busy for connection in limiter.all()] == [True])
        with contextlib.suppress(ConnectionError):
            for _ in range(3):
                writer.write(b"x" * MOST_BYTES)
                await writer.drain()
        assert await rest(reader) in (b"", b"(cut)")


async def test_idle_connection_is_closed_for_a_new_client(served, monkeypatch):
    monkeypatch.setattr(connections, "HEADER_SECONDS", 30.0)
    port, limiter, _ = await served(most_waiting_of_one=8)
    with contextlib.ExitStack() as held:
        silent = [held.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(8)]
        await until(lambda: len(limiter) == 8)
        async with client(port, GET) as (reader, _):
            assert await reader.readuntil(b"hello")
            assert len(limiter) == 8
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


async def test_new_client_gets_503_if_every_connection_is_busy(served):
    port, limiter, go = await served(most=2)
    slow = GET.replace(b"/ ", b"/slow ", 1)
    async with client(port, slow) as (first, _), client(port, slow) as (second, _):
        await until(lambda: [connection.busy for connection in limiter.all()] == [True, True])
        async with client(port) as (reader, _):
            answer = await rest(reader)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 1\r\n" in answer
        assert answer.endswith(b"Try again later.\n")
        go.set()
        for reader in (first, second):
            assert await reader.readuntil(b"at last")


async def a_connection(address, *, busy=False, served=False, since=0.0, known=None):
    limiter = ConnectionLimiter()
    limiter.known = known or limiter.known
    made = Connection(asyncio.Protocol, address=address, vet=lambda _: True, limiter=limiter)
    made.busy, made.served, made.since = busy, served, since
    return made


async def test_one_address_leaves_connections_to_others():
    limiter = ConnectionLimiter(most_waiting_of_one=3)
    for number in range(20):
        assert limiter.take(await a_connection("greedy", since=number))
    assert len(limiter) == 3
    assert limiter.take(await a_connection("other"))
    assert sorted(connection.since for connection in limiter.all() if connection.address == "greedy") == [17, 18, 19]


async def test_addresses_of_one_ipv6_network_share_their_limit():
    limiter = ConnectionLimiter(most_waiting_of_one=3, most_busy_of_one=3)
    for number in range(20):
        assert limiter.take(await a_connection(f"2001:db8::{number:x}"))
    assert len(limiter) == 3
    busy = [await a_connection(f"2001:db8::{number:x}", busy=True) for number in range(4)]
    for one in busy:
        assert limiter.take(one)
    assert not limiter.may_begin(busy[-1])


async def test_limit_of_waiting_clients_excludes_busy_ones():
    limiter = ConnectionLimiter(most_waiting=4, most_waiting_of_one=2)
    answered = [await a_connection("prometheus", busy=True) for _ in range(100)]
    for one in answered:
        assert limiter.take(one)
    for number in range(20):
        assert limiter.take(await a_connection(str(number), since=number))
    assert len(limiter) == 104
    for one in answered:
        one.busy, one.served = False, True
    assert limiter.take(await a_connection("prometheus", since=50.0))
    assert len(limiter) <= 4


async def test_client_without_a_request_is_closed_first_and_busy_never():
    limiter = ConnectionLimiter(most=3)
    regular, talker, answered = (
        await a_connection("a", served=True),
        await a_connection("b", since=5.0),
        await a_connection("c", busy=True),
    )
    for one in (regular, talker, answered):
        limiter.take(one)
    assert limiter.take(newcomer := await a_connection("d", served=True, since=9.0))
    assert set(limiter.all()) == {regular, answered, newcomer}
    assert limiter.take(await a_connection("e", busy=True))
    assert set(limiter.all()) >= {answered, newcomer}
    limiter.give_back(answered)
    limiter.give_back(answered)
    assert len(limiter) == 2


async def test_authenticated_address_keeps_its_connection():
    limiter = ConnectionLimiter(most_waiting=4)
    prometheus = await a_connection("prometheus", served=True)
    prometheus.trusted = True
    limiter.known.add("prometheus")
    assert limiter.take(prometheus)
    for number in range(20):
        assert limiter.take(await a_connection(str(number), served=True, since=number + 1.0))
    assert prometheus in limiter.all()
    limiter.give_back(prometheus)
    again = await a_connection("prometheus", since=0.0)
    assert limiter.take(again)
    for number in range(20):
        assert limiter.take(await a_connection(str(number), served=True, since=number + 1.0))
    assert again in limiter.all()


async def test_known_address_replaces_a_stranger_if_every_connection_is_busy():
    limiter = ConnectionLimiter(most=8)
    limiter.known.add("prometheus")
    strangers = [await a_connection(address, busy=True, known=limiter.known) for address in "aabbbbcc"]
    for one in strangers:
        assert limiter.take(one)
    assert not limiter.take(await a_connection("d", busy=True, known=limiter.known))
    assert limiter.take(await a_connection("prometheus", busy=True, known=limiter.known))
    assert not limiter.take(await a_connection("prometheus", busy=True, known=limiter.known)), "more than its share"
    assert set(strangers) - set(limiter.all()) == {strangers[5]}, "the newest of the greediest"
    assert len(limiter) == 8


async def test_known_address_above_its_share_yields_to_another():
    limiter = ConnectionLimiter(most=2)
    for address in ("greedy", "prometheus"):
        limiter.known.add(address)
    assert limiter.take(await a_connection("greedy", busy=True, known=limiter.known))
    assert limiter.take(await a_connection("greedy", busy=True, known=limiter.known))
    assert limiter.take(await a_connection("prometheus", busy=True, known=limiter.known))
    assert sorted(one.address for one in limiter.all()) == ["greedy", "prometheus"]
    assert not limiter.take(await a_connection("stranger", busy=True, known=limiter.known))


@pytest.mark.parametrize(("files", "clients"), [(None, 2048), (1_000_000, 2048), (1024, 256), (64, 16), (1, 1)])
def test_most_open_files_are_reserved_for_probes(files, clients):
    assert most_clients(files) == clients


async def test_clients_of_a_flood_are_accepted_several_at_a_time(served):
    port, limiter, _ = await served(most_waiting_of_one=99)
    with contextlib.ExitStack() as held:
        for _ in range(64):
            held.enter_context(socket.create_connection(("127.0.0.1", port)))
        turns = 0
        while len(limiter) < 64:
            turns += 1
            await asyncio.sleep(0)
    assert turns < 32


async def test_clients_of_a_flood_beyond_the_limit_are_closed(served, monkeypatch):
    monkeypatch.setattr(connections, "HEADER_SECONDS", 30.0)
    port, limiter, _ = await served(most_waiting_of_one=4)
    with contextlib.ExitStack() as held:
        clients = [held.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(64)]
        await until(lambda: sum(map(ended, clients)) == 60)
        assert len(limiter) == 4


async def test_error_with_one_client_affects_no_other(served, monkeypatch):
    port, limiter, _ = await served()
    take, errors = ConnectionLimiter.take, [MemoryError()]
    monkeypatch.setattr(ConnectionLimiter, "take", lambda *taken: take(*taken) if not errors else throw(errors.pop()))
    async with client(port) as (reader, _):
        assert await rest(reader) in (b"", b"(cut)")
    async with client(port, GET) as (reader, _):
        assert (await rest(reader)).endswith(b"hello")
    assert len(limiter) == 0


def throw(error):
    raise error


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "192.0.2.1", False),
    ],
)
def test_addresses_of_one_ipv6_network_are_one_source(one, other, same):
    assert (source_of(one) == source_of(other)) is same


@pytest.fixture
def clock(monkeypatch):
    """The time that the module sees; change `now`."""

    class Clock:
        now = 0.0

    monkeypatch.setattr(connections, "loop_time", lambda: Clock.now)
    return Clock


def test_address_is_known_until_its_last_scrape_is_old(clock):
    known = KnownAddresses()
    known.add("prometheus")
    clock.now = KNOWN_SECONDS
    known.add("prometheus")
    clock.now += KNOWN_SECONDS
    assert "prometheus" in known
    clock.now += 1
    assert "prometheus" not in known
    assert "stranger" not in known


def test_flood_displaces_no_known_address(clock):
    known = KnownAddresses()
    known.add("prometheus")
    for number in range(1000):
        known.add(str(number))
    assert "prometheus" in known
    assert "999" not in known
    clock.now = KNOWN_SECONDS + 1
    known.add("later")
    assert "later" in known
    assert len(known._last) == 1


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(("most", "share"), [(2048, 64), (40, 1), (1, 1)])
def test_known_address_has_a_share_and_a_stranger_none(most, share):
    known = KnownAddresses()
    known.add("prometheus")
    assert (known.share_of("prometheus", most), known.share_of("stranger", most)) == (share, 0)
    assert MOST_KNOWN * share <= max(most, MOST_KNOWN)


GET_PATH = b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@dataclass(eq=False)
class Client:
    """The part of a connection that the limit reads."""

    address: str
    stalled_seconds: float = 0.0
    was_cut: bool = False
    kept: int = 0

    def share(self, _most):
        return self.kept

    def cut(self):
        self.was_cut = True


def filled(*clients):
    unfinished = UnfinishedResponses(len(clients))
    assert all(unfinished.take(client) for client in clients)
    return unfinished


def test_new_client_is_refused_while_every_client_reads():
    clients = [Client("a"), Client("b")]
    unfinished = filled(*clients)
    assert not unfinished.take(Client("c"))
    unfinished.give_back(clients[0])
    unfinished.give_back(clients[0])
    assert unfinished.take(Client("c"))
    assert len(unfinished) == 2


LONG = STALLED_SECONDS


@pytest.mark.parametrize(
    ("clients", "new", "cut"),
    [
        ([Client("a", LONG + 1), Client("b", LONG + 2), Client("c", LONG - 1)], Client("d"), 1),
        ([Client("a", 0.1), Client("a", 0.2), Client("a"), Client("other", LONG + 1)], Client("new"), 1),
        ([Client("a", LONG - 0.1) for _ in range(3)], Client("a"), None),
        ([Client("a", kept=1), Client("b", kept=1)], Client("c", kept=1), None),
    ],
    ids=["the longest stalled", "the longest stalled of the greediest", "none of the same address", "no known address"],
)
def test_new_client_replaces(clients, new, cut):
    assert filled(*clients).take(new) is (cut is not None)
    assert [client.was_cut for client in clients] == [number == cut for number in range(len(clients))]


def test_address_with_most_responses_yields_its_newest():
    clients = [Client("greedy"), Client("other"), Client("greedy")]
    unfinished = filled(*clients)
    assert unfinished.take(Client("new"))
    assert [client.was_cut for client in clients] == [False, False, True]
    assert not unfinished.take(Client("newer"))


def test_known_address_replaces_a_stranger_at_once():
    clients = [Client("a"), Client("b", 0.1), Client("known", kept=1), Client("c")]
    unfinished = filled(*clients)
    assert not unfinished.take(Client("stranger"))
    assert unfinished.take(Client("scraper", kept=1))
    assert [client.was_cut for client in clients] == [False, True, False, False]
    assert not unfinished.take(Client("scraper", kept=1)), "more than its share"


def test_limit_zero_is_no_limit():
    unfinished = UnfinishedResponses(0)
    assert all(unfinished.take(Client("a")) for _ in range(100))


class Endless(Service):
    """A service whose `/metrics` never ends; `sent` counts the rendered bytes."""

    def __init__(self):
        super().__init__()
        self.sent = 0
        self.recorder.scrape = lambda **_: self._scrape()

    async def _scrape(self):
        while True:
            self.sent += listener.SLICE_BYTES
            yield b"x" * listener.SLICE_BYTES


@asynccontextmanager
async def answering(service, *, limiter=None, **flags):
    app = create_app(service, web_options(**flags))
    async with WebServer(app, [ListenAddress("127.0.0.1", 0)], limiter=limiter) as server:
        yield server


@asynccontextmanager
async def stalled_clients(server, path, *, address="127.0.0.3", count=1):
    """Open clients that send a request and never read."""
    held = []
    try:
        for _ in range(count):
            client = socket.socket()
            held.append(client)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.bind((address, 0))
            client.connect(("127.0.0.1", server.listening[0].port))
            client.sendall(GET_PATH % path)
        yield held
    finally:
        for client in held:
            client.close()


async def request(server, path, address):
    connector = TCPConnector(local_addr=(address, 0))
    async with ClientSession(server.urls[0], connector=connector) as session:
        return await get(session, path)


async def test_response_is_rendered_only_as_far_as_its_client_reads():
    service, limiter = Endless(), ConnectionLimiter()
    async with answering(service, limiter=limiter) as server, stalled_clients(server, b"/metrics"):
        await until(lambda: any(each.stalled_seconds > 0 for each in limiter.all()))
        assert service.sent <= 1024 * 1024


@pytest.mark.parametrize(
    "path", ["/metrics", "/", "/targets", "/api/v1/targets", "/api/v1/sql-servers", "/sd/targets", "/sd/shards", "/config"]
)
async def test_response_beyond_the_limit_is_503_with_a_sentence(path):
    service, limiter = Endless(), ConnectionLimiter()
    async with answering(service, limiter=limiter, max_requests=1) as server, stalled_clients(server, b"/metrics"):
        await until(lambda: any(each.stalled_seconds > 0 for each in limiter.all()))
        status, headers, text = await request(server, path, "127.0.0.4")
        assert (status, headers["Retry-After"], headers["Connection"]) == (503, "1", "close")
        assert text == "1 responses are unfinished, the limit of --web.max-requests. Try again later.\n"
        for always in ("/-/healthy", "/-/ready", "/probe?target=contoso-key0"):
            assert (await request(server, always, "127.0.0.4"))[0] == 200


async def test_flood_of_strangers_leaves_a_place_to_the_scraper():
    service, limiter = Service(), ConnectionLimiter(most=8)
    service.go.clear()
    async with answering(service, limiter=limiter) as server, AsyncExitStack() as flood:
        assert (await request(server, "/metrics", "127.0.0.2"))[0] == 200
        for number in range(3, 7):
            await flood.enter_async_context(
                stalled_clients(server, b"/probe?target=contoso-key0", address=f"127.0.0.{number}", count=2)
            )
        await until(lambda: sum(each.busy for each in limiter.all()) == 8)
        assert (await request(server, "/metrics", "127.0.0.8"))[0] == 503
        assert (await request(server, "/metrics", "127.0.0.2"))[0] == 200
        service.go.set()


async def test_another_address_replaces_a_stalled_client():
    service, limiter = Endless(), ConnectionLimiter()
    async with answering(service, limiter=limiter, max_requests=2) as server, stalled_clients(server, b"/metrics", count=2):
        await until(lambda: sum(each.stalled_seconds > 0 for each in limiter.all()) == 2)
        assert (await request(server, "/api/v1/targets", "127.0.0.4"))[0] == 200


@pytest.mark.parametrize(("limits", "count"), [({"most_busy_of_one": 3}, 3), ({"most": 4}, 2)], ids=["of one", "half of all"])
async def test_busy_address_gets_503_and_another_address_200(limits, count):
    service, limiter = Service(), ConnectionLimiter(**limits)
    service.go.clear()
    async with answering(service, limiter=limiter) as server, stalled_clients(server, b"/probe?target=contoso-key0", count=count):
        await until(lambda: sum(each.busy for each in limiter.all()) == count)
        status, headers, text = await request(server, "/-/healthy", "127.0.0.3")
        assert (status, headers["Retry-After"]) == (503, "1")
        assert text == "Too many requests from this address are in progress. Try again later.\n"
        assert (await request(server, "/-/healthy", "127.0.0.4"))[0] == 200
        service.go.set()


async def test_unread_response_keeps_its_connection_busy():
    service, limiter = Service(), ConnectionLimiter()
    text = b"x" * 2_000_000
    service.recorder.render_probe = lambda *_, **__: text
    async with answering(service, limiter=limiter) as server, stalled_clients(server, b"/probe?target=contoso-key0"):
        await until(lambda: any(each.stalled_seconds > 0 for each in limiter.all()))
        assert [each.busy for each in limiter.all()] == [True]
