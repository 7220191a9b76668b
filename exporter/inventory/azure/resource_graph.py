"""Query Azure Resource Graph with Microsoft's client, one exchange for each page.

The policies are the exporter's: no retry, no redirect, no second request for a token. The SDK's exceptions end here as facts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from exporter.clients.http.facts import facts_from
from exporter.clients.http.network import Network
from exporter.clients.key_vault import NO_CREDENTIAL, BearerPolicy
from exporter.core.faults import Fault
from exporter.core.model import Facts
from exporter.inventory.azure.vaults import PAGE, QUERY
from exporter.runtime.extras import ExtraMissingError

_LIMIT_HIT = "x-ms-tenant-subscription-limit-hit"
_NO_SUBSCRIPTION = "NoValidSubscriptionsInQueryRequest"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceGraphPage:
    """One page: `rows` as JSON, all rows of the query in `total`.

    `is_cut` is True if rows are missing and no token leads to them, `limit_hit` if not every subscription was searched.
    """

    rows: object = None
    total: int = 0
    skip_token: str | None = None
    is_cut: bool = False
    limit_hit: bool = False


class ResourceGraphSession:
    """A session with one management host, as an async context manager. Raises ExtraMissingError."""

    def __init__(self, network: Network, host: str) -> None:
        try:
            from azure.mgmt.resourcegraph.aio import ResourceGraphClient  # noqa: PLC0415 - an extra
            from azure.mgmt.resourcegraph.models import QueryRequest, QueryRequestOptions  # noqa: PLC0415 - an extra
        except ImportError:
            raise ExtraMissingError("azure") from None
        self._request, self._options = QueryRequest, QueryRequestOptions
        self._connection = network.connection(host, 443)
        self._client = ResourceGraphClient(
            NO_CREDENTIAL,
            f"https://{host}",
            credential_scopes=[f"https://{host}/.default"],
            transport=self._connection.transport,
            policies=[BearerPolicy()],
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    async def vaults(
        self, token: str, subscriptions: Sequence[str], skip_token: str | None, *, deadline: float
    ) -> tuple[Facts, ResourceGraphPage | None]:
        """Return one page of vaults; None if it cannot be read. An identity without a subscription gets an empty page.

        `deadline` is in loop time. Raises CancelledError and PoolExhausted as every exchange does.
        """
        options = self._options(top=PAGE, skip_token=skip_token, result_format="objectArray")
        request = self._request(query=QUERY, subscriptions=list(subscriptions) or None, options=options)
        exchange = await self._connection.exchange(lambda: self._client.resources(request, bearer=token), deadline=deadline)
        facts = replace(facts_from(exchange), inner_code=None)  # the implied codes are those of a vault
        if exchange.response is not None and facts.status == 400 and _NO_SUBSCRIPTION in _details(exchange.response.body):
            return facts, ResourceGraphPage()
        if facts.fault is not Fault.NONE or exchange.response is None:
            return facts, None
        page = _page(exchange.result, limit_hit=exchange.response.headers.get(_LIMIT_HIT, "").lower() == "true")
        return (facts, page) if page is not None else (replace(facts, fault=Fault.ANSWER_NOT_JSON), None)


def _page(answer: Any, *, limit_hit: bool) -> ResourceGraphPage | None:
    """Read Microsoft's QueryResponse; None for a body that is none."""
    rows, total, token = (getattr(answer, name, None) for name in ("data", "total_records", "skip_token"))
    if not isinstance(rows, list) or not isinstance(total, int):
        return None
    truncated = str(getattr(answer, "result_truncated", "")).lower() == "true"
    text = token if isinstance(token, str) and token else None
    return ResourceGraphPage(rows=rows, total=total, skip_token=text, is_cut=truncated and text is None, limit_hit=limit_hit)


def _details(body: bytes) -> set[str]:
    """Return the codes in the details of an error."""
    try:
        details = json.loads(body)["error"]["details"]
        return {one["code"] for one in details}
    except (ValueError, KeyError, TypeError, RecursionError):
        return set()
