"""Authenticated GET requests to one host, one exchange each, for expiry lookups.

There is no retry, no redirect and no decoding by the SDK. A token for this host is sent to no other host.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import uuid4

from azure.core import AsyncPipelineClient
from azure.core.rest import HttpRequest

from exporter.clients.http.exchange import USER_AGENT
from exporter.clients.http.facts import facts_from
from exporter.clients.http.network import Network, split_url
from exporter.clients.key_vault import BearerPolicy
from exporter.core.faults import Fault
from exporter.core.model import Facts, Phase

T = TypeVar("T")

_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": USER_AGENT}


class ApiSession:
    """A session with one host on its own connection, as an async context manager."""

    request_id_header = "x-ms-client-request-id"

    def __init__(self, network: Network, host: str) -> None:
        """Open a session. `host` includes the port unless it is 443."""
        self.host = host
        self.sent = 0  # requests that left this host
        self._connection = network.connection(*split_url(host))
        self._client: AsyncPipelineClient[Any, Any] = AsyncPipelineClient(
            f"https://{host}", transport=self._connection.transport, policies=[BearerPolicy()]
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._connection.close()

    async def get(
        self, path: str, token: str, read: Callable[[bytes], tuple[Fault, T | None]], *, deadline: float
    ) -> tuple[Facts, T | None]:
        """Send one GET request and return its facts and the value that `read` returns.

        `path` is quoted and includes the query. `deadline` is in loop time. Raises CancelledError, and PoolExhausted if the
        deadline passed while the request waited for a thread or a handshake slot.
        """
        headers = {**_HEADERS, self.request_id_header: str(uuid4())}
        request = HttpRequest("GET", f"https://{self.host}{path}", headers=headers)
        exchange = await self._connection.exchange(
            lambda: self._client.send_request(request, stream=True, bearer=token), deadline=deadline
        )
        self.sent += exchange.resent + (exchange.timer.reached in (Phase.WAIT, Phase.TRANSFER))
        facts = facts_from(exchange)
        if facts.fault is not Fault.NONE or exchange.response is None:
            return facts, None
        fault, value = read(exchange.response.body)
        return (facts, value) if fault is Fault.NONE else (replace(facts, fault=fault), None)
