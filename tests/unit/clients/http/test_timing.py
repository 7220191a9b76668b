"""Which bytes end the wait of an exchange. Not for: the wire itself (see `test_vault_session`)."""

import asyncio
import socket

import pytest

from exporter.clients.http.instrumented import TimedSocket, make_socket
from exporter.clients.http.timing import CURRENT, ConnectionState, ExchangeTimer
from exporter.core.model import Phase


class Clock:
    """The event loop's time, as a test says; it goes on by a second with every question."""

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


async def test_the_bytes_of_a_ticket_are_no_answer(exchange):
    exchange.request_sent()  # 1
    exchange.connection.bytes_sent()  # 2
    exchange.connection.bytes_received()  # 3: nothing was read from them
    exchange.connection.bytes_received()  # 4
    exchange.connection.data_read()
    assert answered(exchange) == {Phase.WAIT: 2.0, Phase.TRANSFER: 2.0}  # headers at 5, the end at 6


async def test_only_the_first_bytes_of_an_answer_end_the_wait(exchange):
    exchange.request_sent()
    exchange.connection.bytes_sent()  # 2
    for _ in range(3):
        exchange.connection.bytes_received()  # 3, 4, 5
        exchange.connection.data_read()
    exchange.connection.bytes_sent()  # 6: what is said after the answer began is no request
    assert answered(exchange)[Phase.WAIT] == 1.0


async def test_a_second_request_forgets_what_was_answered_to_the_first(exchange):
    """As where a proxy is asked for the way before the vault is."""
    exchange.request_sent()
    exchange.connection.bytes_received()
    exchange.connection.data_read()  # at 2
    exchange.request_sent()  # 3
    exchange.connection.bytes_sent()  # 4
    exchange.connection.bytes_received()  # 5
    exchange.connection.data_read()
    assert answered(exchange)[Phase.WAIT] == 1.0


async def test_without_notes_of_the_socket_the_later_marks_are_used(exchange):
    exchange.request_sent()  # 1
    exchange.connection.data_read()
    assert answered(exchange)[Phase.WAIT] == 1.0  # headers at 2


async def test_a_line_without_an_exchange_keeps_nothing():
    connection = ConnectionState()
    connection.bytes_sent()
    connection.bytes_received()
    connection.data_read()
    assert connection.timer is None


async def test_sockets_belong_to_the_exchange_that_makes_them(exchange):
    named = CURRENT.set(exchange)
    try:
        made = make_socket((socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 1)))
    finally:
        CURRENT.reset(named)
    with made:
        assert isinstance(made, TimedSocket)
        assert made.connection is exchange.connection
        assert (made.family, made.type, made.proto) == (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
