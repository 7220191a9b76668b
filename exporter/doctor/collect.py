"""Finding out: every request, look-up and file that the checks need, made once, each until its own deadline.

For: the probe itself (as the exporter makes it, with a fresh token), and beside it greetings of both hosts, a listing, looks at
other key versions, revocation hosts and expiry dates.
Not for: judging any of it. A failure is a value in `Observed`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from exporter.clients import Networks, VaultSession, encrypt_locally, fetch_token
from exporter.clients.api_session import ReadingSession
from exporter.clients.endpoint_check import check_endpoint
from exporter.clients.http.network import split_url
from exporter.clients.http.resolver import Resolver, is_address
from exporter.config.model import Config, Credential, CredentialKind, Module, Target
from exporter.core.auxiliary import AuxiliaryKind, AuxiliaryResult, assess
from exporter.core.connector_secret import CLIENT_ID_DIGITS, connector_secret_findings, split_connector_secret
from exporter.core.credential_expiry import CredentialExpiry, graph_of
from exporter.core.faults import Fault
from exporter.core.model import Challenge, Facts, Outcome, ProbeReport, TokenResponse, TokenResult
from exporter.core.parsing.key_vault import read_object
from exporter.core.parsing.token_claims import read_claims
from exporter.doctor.certificates import read_certificate
from exporter.doctor.evidence import Endpoint, Evidence, Revocation, SecretEvidence
from exporter.doctor.revocation import host_of, problem_with
from exporter.expiry import ExpiryCallbacks, ExpiryLookup, ExpiryMonitor
from exporter.probing.auxiliary_plan import AuxiliaryProbe, auxiliary_probes
from exporter.probing.round_trip import ProbeDependencies as ProbePorts
from exporter.probing.round_trip import ProbeRequest, run_probe
from exporter.runtime.thread_pool import DaemonThreadPool
from exporter.tokens.cache import TokenCache
from exporter.tokens.reuse import TokenReusePolicy
from exporter.tokens.secret_cache import SecretCache

T = TypeVar("T")

_THREADS: Final = 24
_LOOKED_AT: Final = (AuxiliaryKind.RETAINED, AuxiliaryKind.NEWEST)
# Who signs in at no Entra host that could be greeted: the host's own identity service is asked.
_OF_ITS_HOST: Final = frozenset({CredentialKind.MANAGED_IDENTITY})

LookUp = Callable[[str, str], Awaitable[tuple[CredentialExpiry, ...]]]


@dataclass(slots=True)
class _Clock:
    """Unix time as the caller has it, and the loop's own time."""

    now: Callable[[], float]

    def time(self) -> float:
        return self.now()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


@dataclass(slots=True)
class _SignInTrace:
    """What passed by while a probe signed in. The token is used once more and then forgotten."""

    challenge: Challenge | None = None
    token: str | None = None


class EvidenceCollector:
    """One target, looked at from all sides. To be used once, from one event loop; `aclose` ends it.

    Raises NetworkError where a module's authorities cannot be loaded. `look_up` knows the ends of a credential by its name and
    that of a target; where it is None they are asked for anew.
    """

    def __init__(
        self,
        config: Config,
        target: Target,
        *,
        clock: Callable[[], float],
        look_up: LookUp | None,
        on_bug: Callable[[Exception], None],
    ) -> None:
        self._config, self._target, self._on_bug = config, target, on_bug
        self._module = config.modules[target.module]
        self._credential = config.credentials[target.credential]
        self._clock, self._look_up = _Clock(clock), look_up or self._ask_sources
        self._pool = DaemonThreadPool(_THREADS, name="ekm-doctor")
        self._networks = Networks(config, pool=self._pool)
        self._network = self._networks.of(self._module)
        self._keeper = SecretCache(self._pool)
        self._desk = TokenCache(self._fetch, self._keeper, cycle=TokenReusePolicy(config))

    async def aclose(self) -> None:
        await self._desk.aclose()
        self._pool.close()

    async def observe(self) -> Evidence:
        """Everything, in at most some three of the target's timeouts. Raises PoolExhausted for a shortage of our own."""
        target, heard = self._target, _SignInTrace()
        probe = _started(self._probe(self._order(target, self._credential), heard))
        vault = _started(self._visit(target.vault, "/healthstatus"))
        secret = _started(self._secret())
        await _all(probe, vault, secret)
        entra = _started(self._entra(heard.challenge))
        listing = _started(self._list(heard.token))
        looks = _started(self._looks(probe.result()))
        ends = _started(self._look_up(self._credential.name, target.name))
        await _all(entra, listing, looks, ends)
        claims = read_claims(heard.token) if heard.token is not None else None
        return Evidence(
            target=target,
            credential=self._credential,
            module=self._module,
            now=self._clock.time(),
            vault=vault.result(),
            entra=entra.result(),
            report=probe.result(),
            secret=secret.result(),
            challenge=heard.challenge,
            granted=heard.token is not None,
            claims=claims,
            listing=listing.result(),
            looks=looks.result(),
            ends=ends.result(),
            revocation=await self._revocation(vault.result(), entra.result()),
        )

    def _order(self, target: Target, credential: Credential) -> ProbeRequest:
        vantage = self._config.settings.vantage
        return ProbeRequest(target=target, module=self._module, credential=credential, vantage=vantage, timeout=target.timeout)

    def _deadline(self) -> float:
        return self._clock.monotonic() + self._target.timeout

    async def _probe(self, order: ProbeRequest, heard: _SignInTrace | None = None) -> ProbeReport:
        started = self._clock.monotonic()
        heard = heard or _SignInTrace()

        async def tokens(challenge: Challenge, *, deadline: float) -> TokenResult:
            heard.challenge = challenge
            grant = await self._desk.token(order.credential, order.module, challenge, started=started, deadline=deadline)
            heard.token = grant.token if grant.facts.fault is Fault.NONE else None
            return grant

        async with VaultSession(self._networks.of(order.module), order.target.vault, order.module.api_version) as vault:
            ports = ProbePorts(vault=vault, tokens=tokens, clock=self._clock, encrypt=encrypt_locally, on_bug=self._on_bug)
            return await run_probe(order, ports)

    async def _fetch(
        self, module: Module, credential: Credential, secret: str | None, challenge: Challenge, *, deadline: float
    ) -> TokenResponse:
        return await fetch_token(self._networks.of(module), credential, secret, challenge, deadline=deadline)

    async def _entra(self, challenge: Challenge | None) -> Endpoint | None:
        if self._credential.kind in _OF_ITS_HOST:
            return None
        known = graph_of(self._target.vault, self._module.authority_host).authority
        authority = self._module.authority_host or (known if challenge is None else challenge.authority)
        tenant = self._credential.tenant_id or (None if challenge is None else challenge.tenant) or "common"
        return await self._visit(authority.removeprefix("https://"), f"/{tenant}/v2.0/.well-known/openid-configuration")

    async def _visit(self, host: str, path: str) -> Endpoint:
        name, port = split_url(host)
        resolver, proxy = Resolver(self._pool, self._module.connect_to), self._network.proxy_for(name, port)
        greeting, addresses = await asyncio.gather(
            check_endpoint(self._network, host, path, deadline=self._deadline()),
            _addresses(resolver, name, port, deadline=self._deadline()),
        )
        sent = greeting.facts.server_time
        return Endpoint(
            host=host,
            facts=greeting.facts,
            proxy=None if proxy is None else proxy.url,
            redirected=self._module.connect_to.get(f"{name}:{port}"),
            addresses=addresses if proxy is None else (),
            certificate=None if greeting.certificate is None else read_certificate(greeting.certificate),
            skew=None if sent is None else self._clock.time() - sent,
        )

    async def _secret(self) -> SecretEvidence:
        credential = self._credential
        secret = await self._keeper.current(credential)
        if secret.failure:
            return SecretEvidence(failure=secret.failure)
        if credential.kind is CredentialKind.CONNECTOR_SECRET:
            parts = split_connector_secret(secret.text or "")
            return SecretEvidence(
                findings=connector_secret_findings(secret.text or ""), client_id=None if parts is None else parts.client_id
            )
        if credential.kind is not CredentialKind.CLIENT_SECRET:
            return SecretEvidence(client_id=credential.client_id)
        # What SQL Server is given is made of the two.
        digits = (credential.client_id or "").replace("-", "")[:CLIENT_ID_DIGITS]
        return SecretEvidence(findings=connector_secret_findings(digits + (secret.text or "")), client_id=credential.client_id)

    async def _list(self, token: str | None) -> Facts | None:
        if token is None:
            return None
        path = f"/keys?api-version={self._module.api_version}&maxresults=1"
        async with ReadingSession(self._network, self._target.vault) as reading:
            facts, _ = await reading.get(path, token, _read_listing, deadline=self._deadline())
        return facts

    async def _looks(self, report: ProbeReport) -> tuple[AuxiliaryResult, ...]:
        """One after the other; none at a vault that did not even answer the probe."""
        today = datetime.fromtimestamp(report.started_at, UTC).date()
        answered = report.steps[0].outcome is Outcome.OK
        wanted = [plan for plan in auxiliary_probes(self._config, self._target, report.key, today) if plan.what in _LOOKED_AT]
        return tuple([await self._look(plan) for plan in wanted if answered or plan.order.target.vault != self._target.vault])

    async def _look(self, plan: AuxiliaryProbe) -> AuxiliaryResult:
        report = await self._probe(plan.order)
        return AuxiliaryResult(
            what=plan.what,
            name=plan.name,
            vault=plan.order.target.vault,
            credential=plan.order.target.credential,
            at=report.started_at,
            usable=assess(plan.what, report.steps),
            steps=report.steps,
            key=report.key,
        )

    async def _ask_sources(self, credential: str, target: str) -> tuple[CredentialExpiry, ...]:
        asker = ExpiryLookup(self._config, requested=lambda _endpoint, _count: None, tenant_of=lambda _target: None)
        desk = ExpiryMonitor(self._config, asker, ExpiryCallbacks(bug=self._on_bug))
        try:
            return await desk.look_up(credential, target)
        finally:
            await desk.aclose()

    async def _revocation(self, *endpoints: Endpoint | None) -> tuple[Revocation, ...]:
        """Only of certificates that were trusted: nobody else may send us to hosts of their choice."""
        if not self._module.crl_check:
            return ()
        shown = [one.certificate for one in endpoints if one is not None and one.certificate is not None and _trusted(one.facts)]
        urls = {host_of(url): url for certificate in shown for url in certificate.revocation}
        problems = await asyncio.gather(*(problem_with(self._network, url, deadline=self._deadline()) for url in urls.values()))
        return tuple(Revocation(host=host, problem=problem) for host, problem in zip(urls, problems, strict=True))


def _started(work: Awaitable[T]) -> asyncio.Future[T]:
    return asyncio.ensure_future(work)


async def _all(*tasks: asyncio.Future[Any]) -> None:
    """Waits for all; where one raises, the others are ended before that goes on."""
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _trusted(facts: Facts) -> bool:
    return facts.certificate is not None


def _read_listing(body: bytes) -> tuple[Fault, bool | None]:
    return (Fault.ANSWER_NOT_JSON, None) if read_object(body) is None else (Fault.NONE, True)


async def _addresses(resolver: Resolver, host: str, port: int, *, deadline: float) -> tuple[str, ...]:
    """The addresses of a host; none where it is one itself, or where the look-up fails, which the greeting tells better."""
    if is_address(host):
        return (host,)
    try:
        async with asyncio.timeout_at(deadline):
            return tuple(dict.fromkeys(found["host"] for found in await resolver.resolve(host, port)))
    except (OSError, TimeoutError):
        return ()
