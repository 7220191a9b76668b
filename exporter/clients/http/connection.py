"""The connections of one probe to one host, and the exchanges over them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

import aiohttp

from exporter.clients.http.exchange import BodyTooLargeError, HttpExchange, SecretTimeoutError
from exporter.clients.http.exchange_timer import CURRENT, MOST_RECEIVED_BYTES, ConnectionState, ExchangeTimer, HandshakeLimiter
from exporter.clients.http.transport import HEADERS, RecordingTransport, send_once
from exporter.runtime.clock import loop_time
from exporter.runtime.exception_tree import drop_tracebacks
from exporter.runtime.logging import fields, frames_of, place_of
from exporter.runtime.shortage import Shortage, shortage_of
from exporter.runtime.thread_pool import PoolExhausted

_log = logging.getLogger(__name__)


class HostConnection:
    """The connections of one probe to one host.

    Create it in the event loop. The creator closes it.
    """

    def __init__(
        self,
        *,
        endpoint: str,
        connector: aiohttp.TCPConnector,
        proxy: str | None,
        proxy_headers: Callable[[], Awaitable[Mapping[str, str]]] | None,
        limiter: HandshakeLimiter | None,
    ) -> None:
        """Create the session. `proxy_headers` is called once, before the first request.

        It may raise any exception that `faults` classifies.
        """
        self._endpoint, self._proxy_headers, self._limiter, self._state = endpoint, proxy_headers, limiter, ConnectionState()
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            middlewares=(send_once,),
        )
        self.transport = RecordingTransport(self._session, proxy)

    async def exchange(self, call: Callable[[], Awaitable[object]], *, deadline: float) -> HttpExchange:
        """Run `call`, which sends through `transport`, until `deadline` (loop time).

        If the far side closed a reused connection before a byte of the response, `call` runs once more on a new connection.
        Raises CancelledError, and PoolExhausted if this process lacked a resource or waited for one until the deadline.
        """
        exchange = await self._attempt(call, deadline)
        if exchange.lost_connection:
            exchange = await self._attempt(call, deadline)
            exchange.resent = True
        return exchange

    async def _attempt(self, call: Callable[[], Awaitable[object]], deadline: float) -> HttpExchange:
        timer = ExchangeTimer(self._limiter, self._state)
        self._state.exchange_begins(timer)
        exchange = self.transport.exchange = HttpExchange(endpoint=self._endpoint, timer=timer)
        if deadline <= loop_time():  # the timeout would take effect only after a connection attempt
            exchange.timed_out = True
            return exchange
        named = CURRENT.set(timer)
        try:
            async with asyncio.timeout_at(deadline) as limit:
                if self._proxy_headers is not None and self.transport.proxy_headers is None:
                    self.transport.proxy_headers = await self._proxy_headers()
                exchange.result = await call()
        except PoolExhausted:
            raise
        except Exception as error:  # noqa: BLE001 - exceptions of the SDK become values here
            exchange.error, exchange.raised_at, exchange.timed_out = error, frames_of(error), limit.expired()
            drop_tracebacks(error)
            if self._state.is_flooded:  # aiohttp reports the body as truncated
                exchange.error = BodyTooLargeError(f"more than {MOST_RECEIVED_BYTES} bytes")
        finally:
            CURRENT.reset(named)
            timer.finish()
            self._state.timer = self.transport.exchange = None
        if exchange.error is None:
            return exchange
        lacking = Shortage.RESOLVER if exchange.timed_out and timer.is_pool_exhaustion else shortage_of(exchange.error)
        if lacking is Shortage.RESOLVER:
            raise PoolExhausted("time ran out before a thread or a handshake slot was free")
        if lacking is not None:
            raise PoolExhausted(f"the system grants no {lacking}", lacking)
        if exchange.timed_out and timer.reached is None:  # no network phase began
            exchange.error, exchange.timed_out = SecretTimeoutError(), False
        return exchange

    async def close(self) -> None:
        """Abort every open connection at once, also if the caller is cancelled.

        Raises nothing but CancelledError. After bytes that are not HTTP, aiohttp may close a TLS connection twice. A third
        call fails inside asyncio and leaves the remaining connections open. A connection that is abandoned just before its
        handshake also stays open. Shutting the sockets down ends all of them.
        """
        try:
            await self._session.close()
        except Exception as error:  # noqa: BLE001 - a failure here changes no response
            _log.debug("connections not closed in order", extra=fields(**place_of(error)))
        finally:
            self._state.shut_down()
