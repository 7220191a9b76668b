"""Requests of one probe to one vault: challenge, get, wrap and unwrap.

Each is exactly one exchange. They use `KeyClient.send_request` with an explicit policy list: no retry, no redirect, no
challenge handling and no decoding. They do not use `CryptographyClient`, which would wrap locally.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import TracebackType
from typing import Any, ClassVar, NoReturn, Self, TypeVar, cast
from urllib.parse import quote
from uuid import uuid4

from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.core.rest import HttpRequest
from azure.keyvault.keys.aio import KeyClient

from exporter.clients.http.exchange import HttpExchange
from exporter.clients.http.facts import facts_from, facts_of_success, fault_of_body
from exporter.clients.http.network import Network, split_url
from exporter.clients.http.transport import RoutedTransport
from exporter.core.endpoints import is_parent_domain, is_trusted_authority
from exporter.core.faults import Fault
from exporter.core.masking import mask
from exporter.core.model import Challenge, Facts, KeyFacts, Phase
from exporter.core.parsing.challenge import read_challenge
from exporter.core.parsing.error_body import unexpected_text
from exporter.core.parsing.key_vault import encode, read_deleted_key, read_key, read_value

T = TypeVar("T")


class BearerPolicy(SansIOHTTPPolicy[HttpRequest, Any]):
    """Add the token of the request option `bearer`, if there is one."""

    def on_request(self, request: PipelineRequest[HttpRequest]) -> None:
        token = request.context.options.pop("bearer", None)
        if token is not None:
            request.http_request.headers["Authorization"] = f"Bearer {token}"


class NoCredential:
    """The credential object that a client of the SDK requires and these policies never use."""

    async def get_token(self, *_: str, **__: Any) -> NoReturn:
        raise RuntimeError("the SDK requested a token: it does not use the given policies")

    async def close(self) -> None:
        """Do nothing: nothing is open."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Do nothing: nothing is open."""


NO_CREDENTIAL = NoCredential()


@dataclass(slots=True, eq=False)
class VaultRequest:
    """A request to a vault: the part of `HttpRequest` that the SDK and the transport use.

    The class of the SDK searches older names of attributes at every access: 4 % of a probe.
    """

    method: str
    url: str
    headers: dict[str, str] = field(repr=False)
    content: bytes | None = field(repr=False)
    multipart_mixed_info: ClassVar[None] = None

    def prepare_multipart_body(self) -> int:
        """Return the number of parts: none."""
        return 0

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Return the request itself: it serves one call, so the SDK may complete its URL."""
        return self


@lru_cache(maxsize=64)
def _client_for(api_version: str) -> KeyClient:
    """Return the client of all vaults: creating one takes as long as half a request.

    It has no state. Each request has an absolute URL and names its transport, so the client's own URL is never used.
    """
    version = quote(api_version, safe="")
    return KeyClient("https://unused.invalid", NO_CREDENTIAL, transport=RoutedTransport(), api_version=version, policies=[])


class VaultSession:
    """A session of one probe with one vault, as an async context manager.

    It uses one connection of its own. Each method takes a `deadline` in loop time and returns facts and, without a fault, a
    value. Each method raises CancelledError, and PoolExhausted if the deadline passed while the request waited for a thread
    or a handshake slot.
    """

    def __init__(self, network: Network, vault: str, api_version: str) -> None:
        self._network = network
        self._host = vault
        self._connection = network.connection(*split_url(vault))
        self.sent = 0  # requests that left this host
        self._client = _client_for(api_version)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._connection.close()

    async def challenge(self, *, deadline: float) -> tuple[Facts, Challenge | None]:
        """Send a request without a token, as the connector does, and read the challenge."""
        exchange = await self._send("GET", "/keys", None, deadline=deadline)
        answer = exchange.response
        if answer is not None and answer.status == 401 and answer.complete:
            _, challenge = read_challenge(answer.headers.get("WWW-Authenticate"))
            if challenge is not None and self._distrust(challenge) is Fault.NONE:
                return facts_of_success(exchange, answer), challenge
        return self._unusable_challenge(exchange)

    def _unusable_challenge(self, exchange: HttpExchange) -> tuple[Facts, Challenge | None]:
        """Return the facts of any other response; a truncated 401 may still have a challenge."""
        facts = facts_from(exchange)
        if facts.fault is Fault.NONE:
            return replace(facts, fault=Fault.NO_CHALLENGE), None
        if exchange.response is None or facts.status != 401:
            return facts, None
        broken = fault_of_body(exchange, exchange.response)
        if broken not in (Fault.NONE, Fault.BODY_TRUNCATED):  # a truncated body is acceptable here, a late one is not
            return replace(facts, fault=broken, raised_at=exchange.raised_at if broken is Fault.INTERNAL else None), None
        fault, challenge = read_challenge(exchange.response.headers.get("WWW-Authenticate"))
        detail = facts.detail
        if challenge is not None:
            fault, detail = self._distrust(challenge), mask(f"the 401 names {challenge.authority} and {challenge.resource}")
        facts = replace(facts, fault=fault, detail="" if fault is Fault.NONE else detail)
        return facts, challenge if fault is Fault.NONE else None

    async def get_key(self, token: str, name: str, version: str | None, *, deadline: float) -> tuple[Facts, KeyFacts | None]:
        """Return the key version; the newest if `version` is None."""
        path = "/".join(quote(part, safe="") for part in (name, version) if part)
        exchange = await self._send("GET", f"/keys/{path}", token, deadline=deadline)
        return _with_value(exchange, read_key)

    async def wrap_key(
        self, token: str, key: KeyFacts, algorithm: str, data: bytes, *, deadline: float
    ) -> tuple[Facts, bytes | None]:
        """Let the vault encrypt `data` with this key version."""
        facts, wrapped = await self._operate("wrapkey", token, key, _body(algorithm, data), deadline=deadline)
        if wrapped is None or len(wrapped) == (key.size_bits + 7) // 8:
            return facts, wrapped
        # Unwrap would fail with such bytes, and unwrap decides the verdict.
        detail = f"{len(wrapped)} bytes, encrypted with a key of {key.size_bits} bits"
        return replace(facts, fault=Fault.VALUE_UNUSABLE, detail=detail), None

    async def unwrap_key(
        self, token: str, key: KeyFacts, algorithm: str, data: bytes, *, deadline: float
    ) -> tuple[Facts, bytes | None]:
        """Let the vault decrypt `data` with this key version."""
        return await self._operate("unwrapkey", token, key, _body(algorithm, data), deadline=deadline)

    async def deleted_key(self, token: str, name: str, *, deadline: float) -> tuple[Facts, float | None]:
        """Return the Unix time at which the deleted key of that name is purged."""
        exchange = await self._send("GET", f"/deletedkeys/{quote(name, safe='')}", token, deadline=deadline)
        return _with_value(exchange, read_deleted_key)

    async def _operate(
        self, operation: str, token: str, key: KeyFacts, body: bytes, *, deadline: float
    ) -> tuple[Facts, bytes | None]:
        # The name and version of a `kid` need no quoting.
        exchange = await self._send("POST", f"/keys/{key.name}/{key.version}/{operation}", token, body, deadline=deadline)
        return _with_value(exchange, read_value)

    async def _send(
        self, method: str, path: str, token: str | None, body: bytes | None = None, *, deadline: float
    ) -> HttpExchange:
        headers = {"x-ms-client-request-id": str(uuid4())}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        url = f"https://{self._host}{path}?api-version={self._client.api_version}"
        request = cast("HttpRequest", VaultRequest(method, url, headers, body))
        exchange = await self._connection.exchange(
            lambda: self._client.send_request(request, stream=True, over=self._connection.transport), deadline=deadline
        )
        self.sent += exchange.resent + (exchange.timer.reached in (Phase.WAIT, Phase.TRANSFER))
        return exchange

    def _distrust(self, challenge: Challenge) -> Fault:
        """Return a fault if the challenge names an untrusted authority or resource.

        A secret goes only to Entra ID. A token goes only to a vault below the domain of its resource.
        """
        if not is_trusted_authority(challenge.authority, self._network.module.authority_host):
            return Fault.AUTHORITY_UNTRUSTED
        return Fault.NONE if is_parent_domain(challenge.resource, self._host) else Fault.RESOURCE_MISMATCH


def _body(algorithm: str, data: bytes) -> bytes:
    return json.dumps({"alg": algorithm, "value": encode(data)}).encode("ascii")


def _with_value(exchange: HttpExchange, read: Callable[[bytes], tuple[Fault, T | None]]) -> tuple[Facts, T | None]:
    facts = facts_from(exchange)
    if facts.fault is not Fault.NONE or exchange.response is None:
        return facts, None
    fault, value = read(exchange.response.body)
    if fault is Fault.NONE:
        return facts, value
    return replace(facts, fault=fault, detail=mask(unexpected_text(fault, exchange.response.body))), None
