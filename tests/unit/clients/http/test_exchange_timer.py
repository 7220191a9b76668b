"""The data that end the wait phase of an exchange."""

import asyncio
import contextlib
import socket
import ssl

import pytest

from exporter.clients.http.timing import CURRENT, ConnectionState, ExchangeTimer, TimedSocket, make_context, make_socket
from exporter.core.values import Phase
from tests.support.tls_server import VAULT


class Clock:
    """A fake loop time, which advances by a second with each call."""

    now = 0.0

    def time(self):
        self.now += 1
        return self.now


@pytest.fixture
async def exchange(monkeypatch):
    monkeypatch.setattr(asyncio.get_running_loop(), "time", Clock().time)
    connection = ConnectionState()
    connection.timer = ExchangeTimer(None, connection)
    return connection.timer


def answered(timer):
    timer.headers_received()
    timer.finish()
    return timer.phases()


async def test_first_data_of_the_response_ends_the_wait(exchange):
    exchange.request_sent()  # 1
    exchange.connection.bytes_sent()  # 2
    for _ in range(3):
        exchange.connection.data_read(1)  # 3: the first is marked
    exchange.connection.bytes_sent()  # the response has begun, so these bytes are no request
    assert answered(exchange) == {Phase.WAIT: 1.0, Phase.TRANSFER: 2.0}  # headers at 4, the end at 5


async def test_second_request_starts_a_new_wait(exchange):
    """A session through a proxy sends CONNECT before the first request."""
    exchange.request_sent()
    exchange.connection.data_read(1)  # at 2
    exchange.request_sent()  # 3
    exchange.connection.bytes_sent()  # 4
    exchange.connection.data_read(1)  # 5
    assert answered(exchange)[Phase.WAIT] == 1.0


async def test_wait_without_tls_ends_at_the_headers(exchange):
    exchange.request_sent()  # 1
    assert answered(exchange)[Phase.WAIT] == 1.0  # headers at 2


async def test_connect_without_tls_ends_at_the_first_request(exchange):
    await exchange.connect_begins()  # 1
    exchange.request_sent()  # 2
    exchange.request_sent()  # 3: a second request over the same connection
    assert answered(exchange) == {Phase.CONNECT: 1.0, Phase.WAIT: 1.0, Phase.TRANSFER: 1.0}


async def test_connection_without_an_exchange_records_nothing():
    connection = ConnectionState()
    connection.bytes_sent()
    connection.data_read(1)
    assert connection.timer is None


class Marks:
    """The timer and the connection of a TLS object; counts the marks of its data."""

    certificate = None

    def __init__(self):
        self.marks, self.connection = [], self

    def tls_begins(self):
        self.marks.append("begins")

    def tls_ends(self, certificate):
        self.certificate = certificate

    def data_read(self, _size):
        self.marks.append("read")


class Pipe:
    """A TLS client and a TLS server that exchange bytes in memory."""

    def __init__(self, client_context, server_context):
        to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = client_context.wrap_bio(to_client, to_server, server_hostname=VAULT)
        self.server = server_context.wrap_bio(to_server, to_client, server_side=True)

    def shake_hands(self):
        for side in (self.client, self.server, self.client, self.server):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()


@pytest.fixture
def pipe(authority):
    return Pipe(make_context(authority.file), authority.server(VAULT))


def test_handshake_and_session_ticket_are_no_data(pipe):
    marks = Marks()
    named = CURRENT.set(marks)
    try:
        pipe.shake_hands()
    finally:
        CURRENT.reset(named)
    with pytest.raises(ssl.SSLWantReadError):  # only the session tickets have arrived
        pipe.client.read()
    assert (marks.marks, marks.certificate.issuer) == (["begins"], "CN=Test CA")
    pipe.server.write(b"response")
    assert pipe.client.read() == b"response"
    assert marks.marks == ["begins", "read"]


async def test_socket_belongs_to_the_exchange_that_makes_it(exchange):
    named = CURRENT.set(exchange)
    try:
        made = make_socket((socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 1)))
    finally:
        CURRENT.reset(named)
    with made:
        assert isinstance(made, TimedSocket)
        assert made.connection is exchange.connection
        assert exchange.connection.sockets == [made]
        assert (made.family, made.type, made.proto) == (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
