"""Requests to one vault: those of a probe (challenge, get, wrap and unwrap), and lists of keys and of a secret's versions.

Each is exactly one exchange. Those of a probe use `KeyClient.send_request` with an explicit policy list: no retry, no redirect, no
challenge handling and no decoding. They do not use `CryptographyClient`, which would wrap locally.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, ClassVar, Final, NoReturn, Self, TypeVar, cast
from urllib.parse import quote, urlsplit
from uuid import uuid4

from azure.core import AsyncPipelineClient
from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.core.rest import HttpRequest
from azure.keyvault.keys.aio import KeyClient
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from exporter.clients.answers import (
    ListedKey,
    encode,
    read_challenge,
    read_deleted_key,
    read_key,
    read_key_list,
    read_secret_versions,
    read_value,
)
from exporter.clients.http.exchange import USER_AGENT, HttpExchange, RoutedTransport
from exporter.clients.http.facts import facts_from, facts_of_success, fault_of_body
from exporter.clients.http.network import Network, split_url
from exporter.core.names import is_parent_domain, is_trusted_authority
from exporter.core.secrets import mask
from exporter.core.values import Challenge, Facts, Fault, KeyFacts, Phase
from exporter.knowledge.answers import unexpected_text
from exporter.knowledge.expiry import SecretVersion

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


class HostSession:
    """A session with one host on its own connection, as an async context manager."""

    def __init__(self, network: Network, host: str) -> None:
        """Open a session. `host` includes the port unless it is 443."""
        self.host = host
        self.sent = 0  # requests that left this host
        self._connection = network.connection(*split_url(host))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    async def _exchange(self, send: Callable[[], Awaitable[Any]], *, deadline: float) -> HttpExchange:
        exchange = await self._connection.exchange(send, deadline=deadline)
        self.sent += exchange.resent + (exchange.timer.reached in (Phase.WAIT, Phase.TRANSFER))
        return exchange


class VaultSession(HostSession):
    """A session of one probe with one vault. Each method takes a `deadline` in loop time and returns facts and, without a fault, a value.

    Each method raises CancelledError, and PoolExhausted if the deadline passed while the request waited for a thread
    or a handshake slot.
    """

    def __init__(self, network: Network, vault: str, api_version: str) -> None:
        super().__init__(network, vault)
        self._network = network
        self._client = _client_for(api_version)

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
        url = f"https://{self.host}{path}?api-version={self._client.api_version}"
        request = cast("HttpRequest", VaultRequest(method, url, headers, body))
        return await self._exchange(
            lambda: self._client.send_request(request, stream=True, over=self._connection.transport), deadline=deadline
        )

    def _distrust(self, challenge: Challenge) -> Fault:
        """Return a fault if the challenge names an untrusted authority or resource.

        A secret goes only to Entra ID. A token goes only to a vault below the domain of its resource.
        """
        if not is_trusted_authority(challenge.authority, self._network.module.authority_host):
            return Fault.AUTHORITY_UNTRUSTED
        return Fault.NONE if is_parent_domain(challenge.resource, self.host) else Fault.RESOURCE_MISMATCH


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


# Encrypt locally with a public key, to test unwrap after a failed wrap, which stays failed.

_HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "RSA-OAEP": hashes.SHA1,  # the connector's algorithm; SHA-1 is no weakness in OAEP
    "RSA-OAEP-256": hashes.SHA256,
}


def encrypt_locally(key: KeyFacts, algorithm: str, data: bytes) -> bytes | None:
    """Encrypt `data` with the public key; None if key or algorithm is unsupported."""
    digest = _HASHES.get(algorithm)
    if digest is None or not key.supported:
        return None
    try:
        numbers = rsa.RSAPublicNumbers(int.from_bytes(key.exponent, "big"), int.from_bytes(key.modulus, "big"))
        oaep = padding.OAEP(mgf=padding.MGF1(digest()), algorithm=digest(), label=None)
        return numbers.public_key().encrypt(data, oaep)
    except (ValueError, UnsupportedAlgorithm):
        return None


# Authenticated GET requests to one host, one exchange each: no retry, redirect or decoding by the SDK, and a token is sent to no other host.

_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": USER_AGENT}


class ApiSession(HostSession):
    """A session for requests that send a token of the caller's."""

    request_id_header = "x-ms-client-request-id"

    def __init__(self, network: Network, host: str) -> None:
        super().__init__(network, host)
        self._client: AsyncPipelineClient[Any, Any] = AsyncPipelineClient(
            f"https://{host}", transport=self._connection.transport, policies=[BearerPolicy()]
        )

    async def get(
        self, path: str, token: str, read: Callable[[bytes], tuple[Fault, T | None]], *, deadline: float
    ) -> tuple[Facts, T | None]:
        """Send one GET request and return its facts and the value that `read` returns.

        `path` is quoted and includes the query. `deadline` is in loop time. Raises CancelledError, and PoolExhausted if the
        deadline passed while the request waited for a thread or a handshake slot.
        """
        headers = {**_HEADERS, self.request_id_header: str(uuid4())}
        request = HttpRequest("GET", f"https://{self.host}{path}", headers=headers)
        exchange = await self._exchange(lambda: self._client.send_request(request, stream=True, bearer=token), deadline=deadline)
        facts = facts_from(exchange)
        if facts.fault is not Fault.NONE or exchange.response is None:
            return facts, None
        fault, value = read(exchange.response.body)
        return (facts, value) if fault is Fault.NONE else (replace(facts, fault=fault), None)


# Lists of a vault, page by page: a link to the next page stays on the same host and path.

MOST_PAGES: Final = 10
_PAGE: Final = 25  # entries, the most that a vault sends
_QUERY = re.compile("[!-~]+")  # printable ASCII without a blank

# Reads the entries of one page, and the unchecked link to the next page.
ReadPage = Callable[[bytes], tuple[Fault, tuple[T, ...], str | None]]


class PagedSession(ApiSession):
    """A session that reads lists of one vault, as an async context manager."""

    def __init__(self, network: Network, vault: str, api_version: str) -> None:
        super().__init__(network, vault)
        self.query = f"api-version={quote(api_version, safe='')}"

    async def entries(
        self, path: str, token: str, read: ReadPage[T], *, deadline: float, most_pages: int = MOST_PAGES
    ) -> tuple[Facts, tuple[T, ...] | None]:
        """Return the entries of all pages.

        They are None if a page cannot be read or there are more entries than `most_pages` pages have.
        """
        query = self.query
        found: tuple[T, ...] = ()
        for _ in range(most_pages):
            facts, page = await self.get(f"{path}?{query}", token, _whole(read), deadline=deadline)
            if page is None:
                return facts, None
            entries, link = page
            found = (*found, *entries)
            if len(found) > _PAGE * most_pages:
                break
            if link is None:
                return facts, found
            following = self._query_of(link, path)
            if following is None:
                return replace(facts, fault=Fault.REDIRECT, detail="the next page of the list has another host or path"), None
            query = following
        return replace(facts, fault=Fault.BODY_TOO_LARGE, detail=f"more than {most_pages} pages of {_PAGE}"), None

    def _query_of(self, link: str, path: str) -> str | None:
        """Return the query of the link to the next page; None if it leaves this list."""
        try:
            parts = urlsplit(link)
            here = parts.scheme == "https" and split_url(parts.netloc) == split_url(self.host)
        except ValueError:
            return None
        same_list = here and parts.path.lower() == path.lower() and _QUERY.fullmatch(parts.query) is not None
        return parts.query if same_list else None


def _whole(read: ReadPage[T]) -> Callable[[bytes], tuple[Fault, tuple[tuple[T, ...], str | None] | None]]:
    def page(body: bytes) -> tuple[Fault, tuple[tuple[T, ...], str | None] | None]:
        fault, entries, link = read(body)
        return (fault, (entries, link)) if fault is Fault.NONE else (fault, None)

    return page


# Keys of a vault: listing needs the permission `list`, reading one version needs `get`.

_MOST_PAGES: Final = 400  # of 25 entries


class KeyListSession(PagedSession):
    """A session that lists keys of one vault, as an async context manager. `deadline` is in loop time."""

    async def list_keys(self, token: str, *, deadline: float) -> tuple[Facts, tuple[ListedKey, ...] | None]:
        """Return the names of all keys; None if a page cannot be read."""
        return await self.entries("/keys", token, read_key_list, deadline=deadline, most_pages=_MOST_PAGES)

    async def list_versions(self, token: str, name: str, *, deadline: float) -> tuple[Facts, tuple[ListedKey, ...] | None]:
        """Return all versions of a key, without key material; None if a page cannot be read."""
        path = f"/keys/{quote(name, safe='')}/versions"
        return await self.entries(path, token, read_key_list, deadline=deadline, most_pages=_MOST_PAGES)

    async def get_key(self, token: str, name: str, version: str | None, *, deadline: float) -> tuple[Facts, KeyFacts | None]:
        """Return a key version with its public key; the newest if `version` is None."""
        path = "/".join(quote(part, safe="") for part in (name, version) if part)
        return await self.get(f"/keys/{path}?{self.query}", token, read_key, deadline=deadline)


# Dates of a secret: `/secrets/NAME/versions` returns attributes without values. No request goes to `/secrets/NAME` or to one version:
# those return the secret itself, and the exporter does not need the permission for it.


@dataclass(frozen=True, slots=True)
class SecretName:
    """A configured secret. `vault` is the host, with a port unless it is 443."""

    vault: str
    name: str
    version: str | None


def split_secret_url(url: str) -> SecretName:
    """Split a valid https://VAULT/secrets/NAME[/VERSION] into its parts."""
    parts = urlsplit(url)
    _, _, name, *version = parts.path.split("/")
    return SecretName(parts.netloc.lower().removesuffix(":443"), name, version[0] if version else None)


class SecretVersionsSession(PagedSession):
    """A session that lists secret versions of one vault, as an async context manager."""

    async def list_versions(self, token: str, name: str, *, deadline: float) -> tuple[Facts, tuple[SecretVersion, ...] | None]:
        """Return every version of the secret.

        The versions are None if a page cannot be read or there are more than `MOST_PAGES` pages.
        """
        return await self.entries(f"/secrets/{quote(name, safe='')}/versions", token, read_secret_versions, deadline=deadline)
