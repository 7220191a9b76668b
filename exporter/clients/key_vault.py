"""Requests to one host, each exactly one exchange: those of a probe to a vault (challenge, get, wrap and unwrap), and lists of a vault.

Those of a probe use `KeyClient.send_request` with an explicit policy list: no retry, no redirect, no challenge handling and no decoding.
They do not use `CryptographyClient`, which would wrap locally. A token is sent to no other host.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeVar, cast
from urllib.parse import quote, urlsplit
from uuid import uuid4

from azure.core import AsyncPipelineClient
from azure.keyvault.keys.aio import KeyClient
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from msgspec.structs import replace

from exporter.clients.answers import (
    ListedKey,
    Page,
    encode,
    read_challenge,
    read_deleted_key,
    read_key,
    read_key_list,
    read_secret_versions,
    read_value,
)
from exporter.clients.http.exchange import TRANSPORT, Exchange
from exporter.clients.http.facts import facts_from, fault_of_body
from exporter.clients.http.network import Network, split_url
from exporter.clients.http.timing import TimedSSLObject
from exporter.core.names import is_parent_domain, is_trusted_authority
from exporter.core.secrets import mask
from exporter.core.values import Challenge, Facts, Fault, KeyFacts, Step
from exporter.knowledge.answers import unexpected_text
from exporter.knowledge.expiry import SecretVersion

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.core.rest import HttpRequest

T = TypeVar("T")

NO_CREDENTIAL = cast("AsyncTokenCredential", object())  # the clients of the SDK require one, and these policies never use it


@dataclass(slots=True, eq=False)
class Request:
    """A request: the part of `HttpRequest` that the SDK and the transport use.

    The class of the SDK searches older names of attributes at every access: 4 % of a probe.
    """

    method: str
    url: str
    headers: dict[str, str] = field(repr=False)
    content: bytes | None = field(default=None, repr=False)
    multipart_mixed_info: ClassVar[None] = None

    def prepare_multipart_body(self) -> int:
        """Return the number of parts: none."""
        return 0

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Return the request itself: it serves one call, so the SDK may complete its URL."""
        return self


# The clients serve all hosts: creating one takes as long as half a request. They have no state, and each request has an absolute URL.
_ANY_HOST = "https://unused.invalid"


@lru_cache(maxsize=64)
def _vault_client(api_version: str) -> KeyClient:
    return KeyClient(_ANY_HOST, NO_CREDENTIAL, transport=TRANSPORT, api_version=quote(api_version, safe=""), policies=[])


class HostSession:
    """A session with one host on its own connection, as an async context manager.

    Deadlines are in loop time. Each method that makes an exchange raises CancelledError, and PoolExhausted if the deadline passed
    while the request waited for a thread or a handshake slot.
    """

    request_id_header = "x-ms-client-request-id"
    _client: AsyncPipelineClient[Any, Any] | KeyClient = AsyncPipelineClient(_ANY_HOST, transport=TRANSPORT, policies=[])

    def __init__(self, network: Network, host: str) -> None:
        """Open a session. `host` includes the port unless it is 443."""
        self.host = host
        self.connection = network.connection(*split_url(host))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.connection.close()

    async def request(
        self,
        path: str,
        token: str,
        read: Callable[[bytes], tuple[Fault, T | None]],
        body: bytes | None = None,
        *,
        deadline: float,
    ) -> tuple[Facts, T | None]:
        """Send one request and return its facts and the value that `read` returns. `path` is quoted and includes the query."""
        exchange = await self.send(path, token, body, deadline=deadline)
        facts, response = facts_from(exchange), exchange.response
        if facts.fault is not Fault.NONE or response is None:
            return facts, None
        fault, value = read(response.content)
        if fault is Fault.NONE:
            return facts, value
        return replace(facts, fault=fault, detail=mask(unexpected_text(fault, response.content))), None

    async def send(self, path: str, token: str | None = None, body: bytes | None = None, *, deadline: float) -> Exchange:
        """Send a GET, or a POST of JSON if there is a body."""
        headers = {self.request_id_header: str(uuid4())}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        method = "GET" if body is None else "POST"
        request = cast("HttpRequest", Request(method, f"https://{self.host}{path}", headers, body))
        return await self.connection.exchange(lambda: self._client.send_request(request, stream=True), deadline=deadline)


class VaultSession(HostSession):
    """A session with one vault. Each method returns facts and, without a fault, a value."""

    def __init__(self, network: Network, vault: str, api_version: str) -> None:
        super().__init__(network, vault)
        self._module = network.module
        self._client = _vault_client(api_version)
        self._query = f"api-version={quote(api_version, safe='')}"

    async def challenge(self, *, deadline: float) -> tuple[Facts, Challenge | None]:
        """Send a request without a token, as the connector does, and read the challenge."""
        exchange = await self.send(f"/keys?{self._query}", deadline=deadline)
        response = exchange.response
        if response is None or response.status_code != 401:
            facts = facts_from(exchange)
            return replace(facts, fault=Fault.NO_CHALLENGE) if facts.fault is Fault.NONE else facts, None
        broken = fault_of_body(exchange, response)
        if broken not in (Fault.NONE, Fault.BODY_TRUNCATED):  # a truncated body is acceptable here, a late one is not
            unexplained = exchange.raised_at if broken is Fault.INTERNAL else None
            return replace(facts_from(exchange), fault=broken, raised_at=unexplained), None
        fault, challenge = read_challenge(response.headers.get("WWW-Authenticate"))
        if challenge is None:
            return replace(facts_from(exchange), fault=fault), None
        # A secret goes only to Entra ID. A token goes only to a vault below the domain of its resource.
        if not is_trusted_authority(challenge.authority, self._module.authority_host):
            fault = Fault.AUTHORITY_UNTRUSTED
        elif not is_parent_domain(challenge.resource, self.host):
            fault = Fault.RESOURCE_MISMATCH
        else:
            return facts_from(exchange, expected=401), challenge
        detail = mask(f"the 401 names {challenge.authority} and {challenge.resource}")
        return replace(facts_from(exchange), fault=fault, detail=detail), None

    async def get_key(self, token: str, name: str, version: str | None, *, deadline: float) -> tuple[Facts, KeyFacts | None]:
        """Return the key version; the newest if `version` is None."""
        path = "/".join(quote(part, safe="") for part in (name, version) if part)
        return await self.request(f"/keys/{path}?{self._query}", token, read_key, deadline=deadline)

    async def operate(
        self, step: Step, token: str, key: KeyFacts, algorithm: str, data: bytes, *, deadline: float
    ) -> tuple[Facts, bytes | None]:
        """Let the vault encrypt (`wrap_key`) or decrypt (`unwrap_key`) `data` with this key version."""
        body = json.dumps({"alg": algorithm, "value": encode(data)}).encode("ascii")
        # The name and version of a `kid` need no quoting.
        path = f"/keys/{key.name}/{key.version}/{'wrapkey' if step is Step.WRAP_KEY else 'unwrapkey'}?{self._query}"
        facts, value = await self.request(path, token, read_value, body, deadline=deadline)
        if step is not Step.WRAP_KEY or value is None or len(value) == (key.size_bits + 7) // 8:
            return facts, value
        # Unwrap would fail with such bytes, and unwrap decides the verdict.
        detail = f"{len(value)} bytes, encrypted with a key of {key.size_bits} bits"
        return replace(facts, fault=Fault.VALUE_UNUSABLE, detail=detail), None

    async def deleted_key(self, token: str, name: str, *, deadline: float) -> tuple[Facts, float | None]:
        """Return the Unix time at which the deleted key of that name is purged."""
        path = f"/deletedkeys/{quote(name, safe='')}?{self._query}"
        return await self.request(path, token, read_deleted_key, deadline=deadline)

    # Lists: they need the permission `list`, and have no key material and no value of a secret. No request goes to `/secrets/NAME`
    # or to one version: those return the secret itself, and the exporter does not need the permission for it.

    async def list_keys(
        self, token: str, versions_of: str | None = None, *, deadline: float
    ) -> tuple[Facts, tuple[ListedKey, ...] | None]:
        """Return the names of all keys, or all versions of one; None if a page cannot be read."""
        path = "/keys" if versions_of is None else f"/keys/{quote(versions_of, safe='')}/versions"
        return await self.entries(path, token, read_key_list, deadline=deadline, most_pages=_MOST_PAGES_OF_KEYS)

    async def list_secret_versions(
        self, token: str, name: str, *, deadline: float
    ) -> tuple[Facts, tuple[SecretVersion, ...] | None]:
        """Return every version of a secret, without values; None if a page cannot be read or there are too many."""
        path = f"/secrets/{quote(name, safe='')}/versions"
        return await self.entries(path, token, read_secret_versions, deadline=deadline, most_pages=MOST_PAGES_OF_SECRETS)

    async def entries(
        self, path: str, token: str, read: Callable[[bytes], tuple[Fault, Page[T] | None]], *, deadline: float, most_pages: int
    ) -> tuple[Facts, tuple[T, ...] | None]:
        """Return the entries of all pages: a link to the next page stays on the same host and path.

        They are None if a page cannot be read or there are more entries than `most_pages` pages have.
        """
        query: str | None = self._query
        found: tuple[T, ...] = ()
        for _ in range(most_pages):
            facts, page = await self.request(f"{path}?{query}", token, read, deadline=deadline)
            if page is None:
                return facts, None
            found = (*found, *page.entries)
            if len(found) > _ENTRIES * most_pages:
                break
            if page.link is None:
                return facts, found
            query = self._query_of(page.link, path)
            if query is None:
                return replace(facts, fault=Fault.REDIRECT, detail="the next page of the list has another host or path"), None
        return replace(facts, fault=Fault.BODY_TOO_LARGE, detail=f"more than {most_pages} pages of {_ENTRIES}"), None

    def _query_of(self, link: str, path: str) -> str | None:
        """Return the query of the link to the next page; None if it leaves this list."""
        try:
            parts = urlsplit(link)
            here = parts.scheme == "https" and split_url(parts.netloc) == split_url(self.host)
        except ValueError:
            return None
        same_list = here and parts.path.lower() == path.lower() and _QUERY.fullmatch(parts.query) is not None
        return parts.query if same_list else None


MOST_PAGES_OF_SECRETS: Final = 10
_MOST_PAGES_OF_KEYS: Final = 400
_ENTRIES: Final = 25  # of a page, the most that a vault sends
_QUERY = re.compile("[!-z|~]+")  # printable ASCII without a blank; the SDK would take braces for a template


def split_secret_url(url: str) -> tuple[str, str, str | None]:
    """Split a valid https://VAULT/secrets/NAME[/VERSION] into its parts; the vault with a port unless it is 443."""
    parts = urlsplit(url)
    _, _, name, *version = parts.path.split("/")
    return parts.netloc.lower().removesuffix(":443"), name, version[0] if version else None


# The check of the network path to a host: one GET without a token.
# If the certificate is not trusted, a second connection without verification reads it, so that a report can name its issuer.
# No secret is sent over that connection.

_UNVERIFIED = frozenset({Fault.TLS_UNTRUSTED, Fault.TLS_EXPIRED, Fault.TLS_NOT_YET_VALID, Fault.TLS_WRONG_NAME})


async def check_endpoint(network: Network, host: str, path: str, *, deadline: float) -> tuple[Facts, bytes | None]:
    """Send a GET to `host` on new connections until `deadline`. Return the facts, and the server's certificate as DER, None if unknown.

    Raises as the methods of a session do.
    """
    exchange = await _get(network, host, path, deadline)
    facts, proxy = facts_from(exchange), network.proxy_for(*split_url(host))
    # An unverified connection to a TLS proxy would expose the proxy's password.
    exposed = proxy is not None and proxy.username is not None and proxy.url.startswith("https:")
    if facts.fault in _UNVERIFIED and not exposed:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode, context.sslobject_class = False, ssl.CERT_NONE, TimedSSLObject
        context.set_alpn_protocols(["http/1.1"])
        exchange = await _get(Network(network.module, context, pool=network.pool, limiter=None), host, path, deadline)
    return facts, exchange.leaf


async def _get(network: Network, host: str, path: str, deadline: float) -> Exchange:
    async with HostSession(network, host) as session:
        return await session.send(path, deadline=deadline)


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
