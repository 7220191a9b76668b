"""When a credential expires: which sources can tell, how often they are asked, and the look-up in one of them.

The sources are the certificate file, Microsoft Graph and Key Vault. Lookups have their own few threads, handshakes and tokens, so that
none delays a probe. Within five minutes, lookups with the same identity share a token.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from cryptography.x509 import Certificate

from exporter.clients.certificates import thumbprint
from exporter.clients.entra import HOLDERS, GraphSession
from exporter.clients.http.network import Networks
from exporter.clients.key_vault import VaultSession, split_secret_url
from exporter.config.settings import Config, Credential, Module, Target
from exporter.config.usage import probing_credentials, with_lookup_credentials
from exporter.core.connector import split_connector_secret
from exporter.core.limits import JITTER
from exporter.core.secrets import mask
from exporter.core.values import HOST_IDENTITIES, Challenge, CredentialKind, Endpoint, Facts, Fault
from exporter.knowledge.expiry import (
    AppCredentials,
    LookupResult,
    Source,
    choose_certificate,
    choose_secret,
    choose_version,
    graph_of,
)
from exporter.probing.secrets import CredentialSecret, SecretCache
from exporter.probing.tokens import ReuseWindow, TokenCache
from exporter.runtime.loop import loop_time
from exporter.runtime.tasks import DaemonThreadPool, PoolExhausted

# Failed lookups: the same cause gives the same text, so that it is logged once. A text quotes only the codes of a response, masked.

# Advice by HTTP status.
GRAPH_ACTIONS: Final[Mapping[int, str]] = {
    401: "the token was not accepted",
    403: "the lookup credential needs the application permission Application.Read.All, with admin consent",
    404: "the tenant has no application and no service principal with that client id",
}
KEY_VAULT_ACTIONS: Final[Mapping[int, str]] = {
    401: "the token was not accepted",
    403: "the lookup credential needs the secret permission list (RBAC: secrets/readMetadata), or the vault's firewall blocks this host",
    404: "the vault has no such secret",
}


def failed(note: str) -> LookupResult:
    """Return the result of a failed lookup: the last known expiry is kept."""
    return LookupResult(answered=False, note=mask(note))


def failure_of(service: str, facts: Facts, actions: Mapping[int, str] | None = None) -> LookupResult:
    """Return the result of a lookup that failed at this exchange with `service`. The text of `service` is not masked."""
    if facts.fault is not Fault.HTTP_STATUS:
        return LookupResult(answered=False, note=f"{service}: {facts.fault.replace('_', ' ')}")
    aadsts = None if facts.aadsts is None else f"AADSTS{facts.aadsts}"
    codes = ", ".join(code for code in (facts.service_code, facts.inner_code, aadsts) if code)
    what = f"{service} answered HTTP {facts.status}" + (f" ({codes})" if codes else "")
    todo = (actions or {}).get(facts.status or 0)
    return failed(f"{what}: {todo}" if todo else what)


# The sources for each kind of credential. A declared date needs no lookup. The identities of a host and of a pod do not expire.
# The credential that the default chain finds is unknown.
_SOURCES: Final[Mapping[CredentialKind, tuple[Source, ...]]] = {
    CredentialKind.CLIENT_SECRET: (Source.GRAPH, Source.KEY_VAULT),
    CredentialKind.CONNECTOR_SECRET: (Source.GRAPH, Source.KEY_VAULT),
    CredentialKind.CLIENT_CERTIFICATE: (Source.CERTIFICATE, Source.GRAPH, Source.KEY_VAULT),
    CredentialKind.MANAGED_IDENTITY: (),
    CredentialKind.WORKLOAD_IDENTITY: (),
    CredentialKind.DEFAULT: (),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoredCredential:
    """One credential, its sources, and the first target that uses it. Lookups use the route of that target's module."""

    credential: Credential
    sources: tuple[Source, ...]
    lookup_credentials: Mapping[Source, Credential]
    target: str
    vault: str
    module: Module


def monitored_credentials(config: Config) -> dict[str, MonitoredCredential]:
    """Return every used credential by name, lookup credentials included."""
    found: dict[str, MonitoredCredential] = {}
    for target in config.targets.values():
        for name in sorted(with_lookup_credentials(config, probing_credentials(target)) - found.keys()):
            found[name] = monitored_credential(config, name, target)
    return found


def monitored_credential(config: Config, name: str, target: Target) -> MonitoredCredential:
    """Return one credential as that target uses it."""
    credential = config.credentials[name]
    names = {Source.GRAPH: credential.graph_credential}
    if credential.key_vault_secret is not None:
        names[Source.KEY_VAULT] = credential.key_vault_lookup_credential
    lookup_credentials = {source: config.credentials[one] for source, one in names.items() if one is not None}
    possible = _SOURCES[credential.kind]
    return MonitoredCredential(
        credential=credential,
        sources=tuple(source for source in possible if source is Source.CERTIFICATE or source in lookup_credentials),
        lookup_credentials=lookup_credentials,
        target=target.name,
        vault=target.vault,
        module=config.modules[target.module],
    )


def subject(credential: Credential, source: Source) -> tuple[str, ...]:
    """Return the subject of an answer of that source. An answer applies to no other subject."""
    parts = {
        Source.DECLARED: (),
        Source.CERTIFICATE: (credential.certificate_file,),
        Source.GRAPH: (credential.tenant_id, credential.client_id, credential.secret, credential.certificate_file),
        Source.KEY_VAULT: (credential.key_vault_secret,),
    }
    return (str(credential.kind), *("" if part is None else str(part) for part in parts[source]))


SECRET_SECONDS: Final = 10.0  # between two checks whether a secret has changed
CONCURRENT_LOOKUPS: Final = 4
LOOKUP_SECONDS: Final = 30.0  # for one lookup, its token included
TOKEN_SECONDS: Final = 300.0  # for which lookups share one token
_FIRST, _SPACING, _SPREAD = 5.0, 0.25, 60.0


@dataclass(frozen=True, slots=True)
class LookupIntervals:
    """Seconds until the next lookup: after an answer, and after the first failure.

    `failed` doubles with each further failure, up to `answered`.
    """

    answered: float
    failed: float


INTERVALS: Final[Mapping[Source, LookupIntervals]] = {
    Source.CERTIFICATE: LookupIntervals(60.0, 60.0),  # a small local file
    Source.GRAPH: LookupIntervals(3600.0, 300.0),
    Source.KEY_VAULT: LookupIntervals(3600.0, 300.0),
}


def next_delay(source: Source, failures: int, draw: float) -> float:
    """Return the seconds to the next lookup after so many failures in a row. `draw` is uniform in [0, 1]."""
    intervals = INTERVALS[source]
    doubled = intervals.failed * 2.0 ** min(failures - 1, 16)
    return (min(doubled, intervals.answered) if failures else intervals.answered) * (1 - JITTER + 2 * JITTER * draw)


def first_delay(source: Source, credentials: int, draw: float) -> float:
    """Return the seconds from the start to the first lookup, for so many credentials.

    A file is read at once. A network lookup waits until the first probes have found the tenant and completed their handshakes.
    """
    if source is Source.CERTIFICATE:
        return 0.0
    return _FIRST + draw * min(_SPREAD, _SPACING * credentials)


_THREADS = 16  # a thread that resolves an unreachable name is busy until the system gives up
_HOST_FAULTS = frozenset({Fault.IDENTITY_UNAVAILABLE, Fault.IDENTITY_KEY_UNREADABLE})

Choose = Callable[[AppCredentials], LookupResult]


class _NoResultError(Exception):
    """Ends a lookup with this result."""

    def __init__(self, result: LookupResult) -> None:
        super().__init__(result.note)
        self.result = result


class ExpiryLookup:
    """Looks up expiry dates. Use it from one event loop.

    `requested` counts requests by endpoint; `tenant_of` returns the tenant of a target's vault. Raises NetworkError at once
    if a source needs the network and a module's authorities cannot be loaded.
    """

    def __init__(
        self, config: Config, *, requested: Callable[[Endpoint, int], None], tenant_of: Callable[[str], str | None]
    ) -> None:
        self._config, self._requested, self._tenant_of = config, requested, tenant_of
        self._pool = DaemonThreadPool(_THREADS, name="ekm-expiry")
        self._secrets = SecretCache(self._pool)
        window = ReuseWindow(TOKEN_SECONDS, LOOKUP_SECONDS)
        self._tokens = TokenCache(
            self._secrets, reuse_policy=lambda _credential, _module: window, on_request=lambda: requested("entra", 1)
        )
        # Loading the authorities takes milliseconds and memory: only if a source needs the network.
        if any({Source.GRAPH, Source.KEY_VAULT} & {*one.sources} for one in monitored_credentials(config).values()):
            _ = self._networks

    @cached_property
    def _networks(self) -> Networks:
        return Networks(self._config, pool=self._pool, limiter=asyncio.Semaphore(CONCURRENT_LOOKUPS))

    async def fingerprint(self, monitored: MonitoredCredential) -> tuple[str, ...]:
        """Return a value that changes with the credential's or a lookup's secret."""
        credentials = (monitored.credential, *monitored.lookup_credentials.values())
        try:
            return tuple([(await self._secrets.current(credential)).fingerprint for credential in credentials])
        except PoolExhausted:
            return ()

    async def look_up(self, monitored: MonitoredCredential, source: Source) -> LookupResult:
        """Look up one source. Raises only CancelledError and internal errors."""
        lookup = {Source.CERTIFICATE: self._certificate, Source.GRAPH: self._graph, Source.KEY_VAULT: self._key_vault}[source]
        try:
            return await lookup(monitored)
        except _NoResultError as no_result:
            return no_result.result
        except PoolExhausted as busy:
            return failed(str(busy))

    async def aclose(self) -> None:
        await self._tokens.aclose()
        self._pool.close()

    async def _certificate(self, monitored: MonitoredCredential) -> LookupResult:
        certificate = await self._certificate_of(monitored.credential)
        return LookupResult(answered=True, expires_at=certificate.not_valid_after_utc.timestamp())

    async def _graph(self, monitored: MonitoredCredential) -> LookupResult:
        client_id, choose = await self._choice(monitored.credential)
        identity, module = monitored.lookup_credentials[Source.GRAPH], monitored.module
        cloud = graph_of(monitored.vault, module.authority_host)
        tenant = identity.tenant_id or monitored.credential.tenant_id or self._tenant_of(monitored.target)
        if tenant is None and identity.kind not in HOST_IDENTITIES:
            return failed("the tenant is not known: set tenant_id, or wait until a probe has reached the vault")
        deadline = loop_time() + LOOKUP_SECONDS
        challenge = Challenge(authority=cloud.authority, tenant=tenant or "", resource=f"https://{cloud.graph}")
        token = await self._token(identity, module, challenge, deadline)
        async with GraphSession(self._networks.network_of(module), cloud.graph) as graph:
            try:
                return await _find_in(graph, token, client_id, choose, deadline)
            finally:
                self._requested("graph", graph.connection.sent)

    async def _choice(self, credential: Credential) -> tuple[str, Choose]:
        """Return the client id to look up, and a function that finds the credential."""
        if credential.kind is CredentialKind.CLIENT_CERTIFICATE:
            mark = thumbprint(await self._certificate_of(credential))
            return credential.client_id or "", lambda listed: choose_certificate(listed.certificates, mark, time.time())
        secret = (await self._secret(credential)).text or ""
        client_id = credential.client_id or ""
        if credential.kind is CredentialKind.CONNECTOR_SECRET:
            parts = split_connector_secret(secret)
            if parts is None:
                raise _NoResultError(failed("the credential string does not follow the connector's rules"))
            client_id, secret = parts.client_id, parts.secret
        return client_id, lambda listed: choose_secret(listed.secrets, secret, time.time())

    async def _key_vault(self, monitored: MonitoredCredential) -> LookupResult:
        host, name, version = split_secret_url(monitored.credential.key_vault_secret or "")
        identity, module = monitored.lookup_credentials[Source.KEY_VAULT], monitored.module
        deadline = loop_time() + LOOKUP_SECONDS
        async with VaultSession(self._networks.network_of(module), host, module.api_version) as vault:
            try:
                facts, challenge = await vault.challenge(deadline=deadline)
                if challenge is None:
                    return failure_of(f"the vault {host}", facts)
                token = await self._token(identity, module, challenge, deadline)
                facts, versions = await vault.list_secret_versions(token, name, deadline=deadline)
            finally:
                self._requested("vault", vault.connection.sent)
        return (
            failure_of(f"the vault {host}", facts, KEY_VAULT_ACTIONS) if versions is None else choose_version(versions, version)
        )

    async def _certificate_of(self, credential: Credential) -> Certificate:
        """Return the certificate of the file; it needs no key that can sign."""
        loaded = (await self._secret(credential)).certificate
        if loaded is None or loaded.certificate is None:
            fault = Fault.SECRET_UNREADABLE if loaded is None else loaded.fault
            raise _NoResultError(failed(f"the certificate file: {fault.replace('_', ' ')}"))
        return loaded.certificate

    async def _secret(self, credential: Credential) -> CredentialSecret:
        secret = await self._secrets.current(credential)
        if secret.failure:
            raise _NoResultError(failed(f"the secret cannot be read: {secret.failure}"))
        return secret

    async def _token(self, identity: Credential, module: Module, challenge: Challenge, deadline: float) -> str:
        result = await self._tokens.token(
            identity, self._networks.network_of(module), challenge, started=loop_time(), deadline=deadline
        )
        if result.token is None or result.facts.fault is not Fault.NONE:
            unavailable = result.facts.fault in _HOST_FAULTS and result.facts.endpoint is not None
            service = f"identity endpoint {result.facts.endpoint}" if unavailable else "Entra"
            raise _NoResultError(failure_of(f"no token for {identity.name}: {service}", result.facts))
        return result.token


async def _find_in(graph: GraphSession, token: str, client_id: str, choose: Choose, deadline: float) -> LookupResult:
    """Look up the application, then its service principal."""
    result: LookupResult | None = None
    for holder in HOLDERS:
        facts, listed = await graph.list_credentials(token, holder, client_id, deadline=deadline)
        if listed is None and facts.status != 404:
            return failure_of("Microsoft Graph", facts, GRAPH_ACTIONS)
        found = failure_of("Microsoft Graph", facts, GRAPH_ACTIONS) if listed is None else choose(listed)
        if not found.note:
            return found
        result = found if result is None or found.answered else result
    return result or failed("no request was sent to Microsoft Graph")
