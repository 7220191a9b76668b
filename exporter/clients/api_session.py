"""Reading with a token from a service that is no probed vault: GET requests to one host, each exactly one exchange.

For: what the look-ups of expiry dates have in common. No retry, no redirect, no decoding by the SDK; a token that was given for
this host goes to no other.
Not for: probes (see `key_vault`), which URLs there are (see `graph` and `key_vault_secrets`), tokens themselves.
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
from exporter.clients.http.faults import facts_from
from exporter.clients.http.network import Network, split_url
from exporter.clients.key_vault import BearerPolicy
from exporter.core.faults import Fault
from exporter.core.model import Facts, Phase

T = TypeVar("T")

_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": USER_AGENT}


class ApiSession:
    """A conversation with one host on one connection made for it. Use as an async context manager."""

    request_id_header = "x-ms-client-request-id"

    def __init__(self, network: Network, host: str) -> None:
        """`host` with its port where that is not 443."""
        self.host = host
        self.sent = 0  # requests that left this host
        self._link = network.link(*split_url(host))
        self._client: AsyncPipelineClient[Any, Any] = AsyncPipelineClient(
            f"https://{host}", transport=self._link.transport, policies=[BearerPolicy()]
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._link.close()

    async def get(
        self, path: str, token: str, read: Callable[[bytes], tuple[Fault, T | None]], *, deadline: float
    ) -> tuple[Facts, T | None]:
        """What `read` makes of the answer. `path` is quoted and has its query; `deadline` is in the loop's time.

        Raises nothing but CancelledError, and PoolExhausted where the time went by waiting for a thread or a place of our own.
        """
        headers = {**_HEADERS, self.request_id_header: str(uuid4())}
        request = HttpRequest("GET", f"https://{self.host}{path}", headers=headers)
        exchange = await self._link.exchange(
            lambda: self._client.send_request(request, stream=True, bearer=token), deadline=deadline
        )
        self.sent += exchange.timer.reached in (Phase.WAIT, Phase.TRANSFER)
        facts = facts_from(exchange)
        if facts.fault is not Fault.NONE or exchange.answer is None:
            return facts, None
        fault, value = read(exchange.answer.body)
        return (facts, value) if fault is Fault.NONE else (replace(facts, fault=fault), None)
