"""Asking the sources: certificate files, Microsoft Graph, Key Vault. One look-up is one finding.

Threads, handshakes and tokens are its own, few, and apart from the probes', so that no look-up delays one. Within five minutes
look-ups with the same identity share a token.
Not for: when to ask (see `monitor`), what an answer means (see `core.credential_expiry`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from exporter.clients import Network, Networks, VaultSession, fetch_token
from exporter.clients.certificate_file import PublicPart, read_public_part
from exporter.clients.graph import GraphSession, Holder
from exporter.clients.key_vault_secrets import SecretDates, split_secret_url
from exporter.config.files import CERTIFICATE_LIMIT, FileUnreadableError, read_whole
from exporter.config.model import Config, Credential, CredentialKind, Module
from exporter.core.connector_secret import split_connector_secret
from exporter.core.credential_expiry import (
    AppCredentials,
    LookupResult,
    Source,
    choose_certificate,
    choose_secret,
    choose_version,
    graph_of,
)
from exporter.core.faults import Fault
from exporter.core.model import Challenge, TokenResponse
from exporter.expiry.messages import GRAPH_ADVICE, KEY_VAULT_ADVICE, failed, failure_of
from exporter.expiry.sources import (
    AT_ONCE,
    LOOK_SECONDS,
    OVER_THE_NETWORK,
    TOKEN_SECONDS,
    MonitoredCredential,
    monitored_credentials,
)
from exporter.runtime.shortage import shortage_of
from exporter.runtime.thread_pool import DaemonThreadPool, PoolExhausted
from exporter.tokens.cache import TokenCache
from exporter.tokens.reuse import ReuseWindow
from exporter.tokens.secret_cache import Secret, SecretCache

_THREADS = 16  # a dead name keeps its thread for as long as the system likes
_NOT_FOUND = 404
_OF_ITS_HOST = frozenset({CredentialKind.MANAGED_IDENTITY, CredentialKind.DEFAULT})  # asked without naming a tenant

Choose = Callable[[AppCredentials], LookupResult]


class _NothingError(Exception):
    """The look-up ends here."""

    def __init__(self, finding: LookupResult) -> None:
        super().__init__(finding.note)
        self.finding = finding


class ExpiryLookup:
    """To be used from one event loop. `requested` hears of requests by endpoint; `tenant_of` knows the tenant of a target's vault.

    Raises NetworkError at once where a module's authorities cannot be loaded and somebody is to be asked over the network.
    """

    def __init__(self, config: Config, *, requested: Callable[[str, int], None], tenant_of: Callable[[str], str | None]) -> None:
        self._config, self._requested, self._tenant_of = config, requested, tenant_of
        self._pool = DaemonThreadPool(_THREADS, name="ekm-expiry")
        self._keeper = SecretCache(self._pool)
        cycle = ReuseWindow(TOKEN_SECONDS, LOOK_SECONDS)
        self._tokens = TokenCache(self._fetch, self._keeper, cycle=lambda _credential, _module: cycle)
        # Loading the authorities costs milliseconds and memory: only where somebody will be asked.
        asked = any(not OVER_THE_NETWORK.isdisjoint(one.sources) for one in monitored_credentials(config).values())
        self._networks = self._load() if asked else None
        self._parts: dict[str, tuple[str, PublicPart]] = {}

    async def fingerprint(self, watch: MonitoredCredential) -> tuple[str, ...]:
        """Differs when the secret has changed, or that of an identity that asks."""
        asked = (watch.credential, *watch.lookup_credentials.values())
        try:
            return tuple([(await self._keeper.current(credential)).fingerprint for credential in asked])
        except PoolExhausted:
            return ()

    async def look(self, watch: MonitoredCredential, source: Source) -> LookupResult:
        """Asks one source. Raises nothing but CancelledError, and what would be a bug."""
        ask = {Source.CERTIFICATE: self._certificate, Source.GRAPH: self._graph, Source.KEY_VAULT: self._key_vault}[source]
        try:
            return await ask(watch)
        except _NothingError as nothing:
            return nothing.finding
        except PoolExhausted as busy:
            return failed(str(busy))

    async def aclose(self) -> None:
        await self._tokens.aclose()
        self._pool.close()

    async def _certificate(self, watch: MonitoredCredential) -> LookupResult:
        part = await self._public_part(watch.credential)
        return LookupResult(answered=True, expires_at=part.not_after)

    async def _graph(self, watch: MonitoredCredential) -> LookupResult:
        client_id, choose = await self._ours(watch.credential)
        asker, module = watch.lookup_credentials[Source.GRAPH], watch.module
        cloud = graph_of(watch.vault, module.authority_host)
        tenant = asker.tenant_id or watch.credential.tenant_id or self._tenant_of(watch.target)
        if tenant is None and asker.kind not in _OF_ITS_HOST:
            return failed("the tenant is not known: write tenant_id, or wait until a probe has reached the vault")
        deadline = _now() + LOOK_SECONDS
        challenge = Challenge(authority=cloud.authority, tenant=tenant or "", resource=f"https://{cloud.graph}")
        token = await self._token(asker, module, challenge, deadline)
        async with GraphSession(self._network(module), cloud.graph) as graph:
            try:
                return await _listed_by(graph, token, client_id, choose, deadline)
            finally:
                self._requested("graph", graph.sent)

    async def _ours(self, credential: Credential) -> tuple[str, Choose]:
        """The client id to ask for, and how ours is told among what is listed."""
        if credential.kind is CredentialKind.CLIENT_CERTIFICATE:
            part = await self._public_part(credential)
            return credential.client_id or "", lambda listed: choose_certificate(
                listed.certificates, part.thumbprint, time.time()
            )
        secret = (await self._secret(credential)).text or ""
        client_id = credential.client_id or ""
        if credential.kind is CredentialKind.CONNECTOR_SECRET:
            parts = split_connector_secret(secret)
            if parts is None:
                raise _NothingError(failed("the credential string does not follow the connector's rules"))
            client_id, secret = parts.client_id, parts.secret
        return client_id, lambda listed: choose_secret(listed.secrets, secret, time.time())

    async def _key_vault(self, watch: MonitoredCredential) -> LookupResult:
        wanted = split_secret_url(watch.credential.key_vault_secret or "")
        asker, module = watch.lookup_credentials[Source.KEY_VAULT], watch.module
        network, deadline = self._network(module), _now() + LOOK_SECONDS
        async with VaultSession(network, wanted.vault, module.api_version) as vault:
            facts, challenge = await vault.challenge(deadline=deadline)
            self._requested("vault", vault.sent)
        if challenge is None:
            return failure_of(f"the vault {wanted.vault}", facts)
        token = await self._token(asker, module, challenge, deadline)
        async with SecretDates(network, wanted.vault, module.api_version) as dates:
            facts, versions = await dates.versions(token, wanted.name, deadline=deadline)
            self._requested("vault", dates.sent)
        if versions is None:
            return failure_of(f"the vault {wanted.vault}", facts, KEY_VAULT_ADVICE)
        return choose_version(versions, wanted.version)

    async def _public_part(self, credential: Credential) -> PublicPart:
        """Of the certificate as it stands in the file now; taken apart only when the file has changed."""
        secret = await self._secret(credential)
        fingerprint, part = self._parts.get(credential.name, ("", None))
        if part is None or fingerprint != secret.fingerprint:
            fault, part = await self._pool.run(_read_certificate, credential, secret.text)
            if part is None:
                raise _NothingError(failed(f"the certificate file: {fault.replace('_', ' ')}"))
            self._parts[credential.name] = secret.fingerprint, part
        return part

    async def _secret(self, credential: Credential) -> Secret:
        secret = await self._keeper.current(credential)
        if secret.failure:
            raise _NothingError(failed(f"the secret cannot be read: {secret.failure}"))
        return secret

    async def _token(self, asker: Credential, module: Module, challenge: Challenge, deadline: float) -> str:
        grant = await self._tokens.token(asker, module, challenge, started=_now(), deadline=deadline)
        if grant.token is None or grant.facts.fault is not Fault.NONE:
            raise _NothingError(failure_of(f"no token for {asker.name}: Entra", grant.facts))
        return grant.token

    async def _fetch(
        self, module: Module, credential: Credential, secret: str | None, challenge: Challenge, *, deadline: float
    ) -> TokenResponse:
        self._requested("entra", 1)
        return await fetch_token(self._network(module), credential, secret, challenge, deadline=deadline)

    def _network(self, module: Module) -> Network:
        if self._networks is None:
            self._networks = self._load()
        return self._networks.of(module)

    def _load(self) -> Networks:
        return Networks(self._config, pool=self._pool, gate=asyncio.Semaphore(AT_ONCE))


async def _listed_by(graph: GraphSession, token: str, client_id: str, choose: Choose, deadline: float) -> LookupResult:
    """The application is asked first; its service principal where the application is not known, or does not list ours."""
    finding: LookupResult | None = None
    for holder in Holder:
        facts, listed = await graph.listed(token, holder, client_id, deadline=deadline)
        if listed is None and facts.status != _NOT_FOUND:
            return failure_of("Microsoft Graph", facts, GRAPH_ADVICE)
        found = failure_of("Microsoft Graph", facts, GRAPH_ADVICE) if listed is None else choose(listed)
        if not found.note:
            return found
        finding = found if finding is None or found.answered else finding
    return finding or failed("Microsoft Graph was not asked")


def _read_certificate(credential: Credential, password: str | None) -> tuple[Fault, PublicPart | None]:
    """Blocks."""
    assert credential.certificate_file is not None  # noqa: S101 - the configuration demands one of this kind
    try:
        data = read_whole(credential.certificate_file, limit=CERTIFICATE_LIMIT)
    except FileUnreadableError as error:
        if shortage_of(error) is not None:
            raise
        return Fault.SECRET_UNREADABLE, None
    return read_public_part(data, password)


def _now() -> float:
    return asyncio.get_running_loop().time()
