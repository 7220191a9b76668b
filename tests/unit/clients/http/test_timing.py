"""The bytes that end the wait phase of an exchange."""

import asyncio
import socket

import pytest

from exporter.clients.http.instrumented import TimedSocket, make_socket
from exporter.clients.http.timing import CURRENT, ConnectionState, ExchangeTimer
from exporter.core.model import Phase


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


async def test_session_ticket_does_not_end_the_wait(exchange):
    exchange.request_sent()  # 1
    exchange.connection.bytes_sent()  # 2
    exchange.connection.bytes_received()  # 3: the TLS layer returns no data
    exchange.connection.bytes_received()  # 4
    exchange.connection.data_read()
    assert answered(exchange) == {Phase.WAIT: 2.0, Phase.TRANSFER: 2.0}  # headers at 5, the end at 6


async def test_first_bytes_of_the_response_end_the_wait(exchange):
    exchange.request_sent()
    exchange.connection.bytes_sent()  # 2
    for _ in range(3):
        exchange.connection.bytes_received()  # 3, 4, 5
        exchange.connection.data_read()
    exchange.connection.bytes_sent()  # 6: the response has begun, so these bytes are no request
    assert answered(exchange)[Phase.WAIT] == 1.0


async def test_second_request_starts_a_new_wait(exchange):
    """A session through a proxy sends CONNECT before the first request."""
    exchange.request_sent()
    exchange.connection.bytes_received()
    exchange.connection.data_read()  # at 2
    exchange.request_sent()  # 3
    exchange.connection.bytes_sent()  # 4
    exchange.connection.bytes_received()  # 5
    exchange.connection.data_read()
    assert answered(exchange)[Phase.WAIT] == 1.0


async def test_wait_without_times_of_the_socket_ends_at_the_headers(exchange):
    exchange.request_sent()  # 1
    exchange.connection.data_read()
    assert answered(exchange)[Phase.WAIT] == 1.0  # headers at 2


async def test_connection_without_an_exchange_records_nothing():
    connection = ConnectionState()
    connection.bytes_sent()
    connection.bytes_received()
    connection.data_read()
    assert connection.timer is None


async def test_socket_belongs_to_the_exchange_that_makes_it(exchange):
    named = CURRENT.set(exchange)
    try:
        made = make_socket((socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 1)))
    finally:
        CURRENT.reset(named)
    with made:
        assert isinstance(made, TimedSocket)
        assert made.connection is exchange.connection
        assert (made.family, made.type, made.proto) == (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
