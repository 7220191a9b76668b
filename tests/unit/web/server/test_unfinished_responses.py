"""The limit on unfinished responses: clients that are accepted, replaced or refused."""

import socket
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest
from aiohttp import ClientSession, TCPConnector

from exporter.web import listener
from exporter.web.app import create_app
from exporter.web.connections import STALLED_SECONDS, ConnectionLimiter, UnfinishedResponses
from exporter.web.listener import ListenAddress, WebServer
from exporter.web.options import web_options
from tests.support.web_server import Service, get, until

GET = b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


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
async def served(service, *, limiter=None, **flags):
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
            client.sendall(GET % path)
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
    async with served(service, limiter=limiter) as server, stalled_clients(server, b"/metrics"):
        await until(lambda: any(each.stalled_seconds > 0 for each in limiter.all()))
        assert service.sent <= 1024 * 1024


@pytest.mark.parametrize(
    "path", ["/metrics", "/", "/targets", "/api/v1/targets", "/api/v1/sql-servers", "/sd/targets", "/sd/shards", "/config"]
)
async def test_response_beyond_the_limit_is_503_with_a_sentence(path):
    service, limiter = Endless(), ConnectionLimiter()
    async with served(service, limiter=limiter, max_requests=1) as server, stalled_clients(server, b"/metrics"):
        await until(lambda: any(each.stalled_seconds > 0 for each in limiter.all()))
        status, headers, text = await request(server, path, "127.0.0.4")
        assert (status, headers["Retry-After"], headers["Connection"]) == (503, "1", "close")
        assert text == "1 responses are unfinished, the limit of --web.max-requests. Try again later.\n"
        for always in ("/-/healthy", "/-/ready", "/probe?target=contoso-key0"):
            assert (await request(server, always, "127.0.0.4"))[0] == 200


async def test_flood_of_strangers_leaves_a_place_to_the_scraper():
    service, limiter = Service(), ConnectionLimiter(most=8)
    service.go.clear()
    async with served(service, limiter=limiter) as server, AsyncExitStack() as flood:
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
    async with served(service, limiter=limiter, max_requests=2) as server, stalled_clients(server, b"/metrics", count=2):
        await until(lambda: sum(each.stalled_seconds > 0 for each in limiter.all()) == 2)
        assert (await request(server, "/api/v1/targets", "127.0.0.4"))[0] == 200


@pytest.mark.parametrize(("limits", "count"), [({"most_busy_of_one": 3}, 3), ({"most": 4}, 2)], ids=["of one", "half of all"])
async def test_busy_address_gets_503_and_another_address_200(limits, count):
    service, limiter = Service(), ConnectionLimiter(**limits)
    service.go.clear()
    async with served(service, limiter=limiter) as server, stalled_clients(server, b"/probe?target=contoso-key0", count=count):
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
    async with served(service, limiter=limiter) as server, stalled_clients(server, b"/probe?target=contoso-key0"):
        await until(lambda: any(each.stalled_seconds > 0 for each in limiter.all()))
        assert [each.busy for each in limiter.all()] == [True]
