"""One probe of one vault.

Its request, its session and its token, for the prober and the preflight checks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass

from exporter.clients import Network, VaultSession, encrypt_locally, fetch_token
from exporter.clients.entra import pending_facts
from exporter.config.settings import Credential, Module
from exporter.core.auxiliary import AuxiliaryResult, assess
from exporter.core.model import Challenge, Facts, ProbeReport, TokenResponse
from exporter.core.redaction import redacted
from exporter.probing.auxiliary_plan import AuxiliaryProbe
from exporter.probing.round_trip import ProbeDependencies, ProbeRequest, Tokens, run_probe
from exporter.runtime.clock import loop_time
from exporter.tokens.cache import TokenCache
from exporter.tokens.reuse import ReuseWindow
from exporter.tokens.secret_cache import SecretCache


@dataclass(frozen=True, slots=True)
class LoopClock:
    """Unix time, and the time of the running event loop, the unit of deadlines."""

    now: Callable[[], float] = time.time

    def time(self) -> float:
        return self.now()

    def monotonic(self) -> float:
        return loop_time()


async def probe_vault(
    request: ProbeRequest,
    network: Network,
    tokens: Tokens,
    clock: LoopClock,
    on_internal_error: Callable[[Exception], None],
    *,
    on_requests: Callable[[int], None] = lambda _count: None,
) -> ProbeReport:
    """Make one probe in a session of its own. The report holds no known secret: steps are classified before.

    `on_requests` receives the number of requests to the vault.

    Raises as `run_probe` does.
    """
    async with VaultSession(network, request.target.vault, request.module.api_version) as vault:
        dependencies = ProbeDependencies(
            vault=vault, tokens=tokens, clock=clock, encrypt=encrypt_locally, on_internal_error=on_internal_error
        )
        try:
            return redacted(await run_probe(request, dependencies))
        finally:
            on_requests(vault.sent)


def token_cache(
    network_of: Callable[[Module], Network],
    secrets: SecretCache,
    window: Callable[[Credential, Module], ReuseWindow],
    *,
    on_request: Callable[[], None] = lambda: None,
) -> TokenCache:
    """Return a token cache that sends its requests over these networks; `on_request` is called before each."""

    async def fetch(
        module: Module, credential: Credential, secret: str | None, challenge: Challenge, *, deadline: float
    ) -> TokenResponse:
        on_request()
        return await fetch_token(network_of(module), credential, secret, challenge, deadline=deadline)

    def pending(context: Context, module: Module, challenge: Challenge) -> Facts:
        return pending_facts(context, network_of(module), challenge.authority)

    return TokenCache(fetch, secrets, window=window, pending_facts=pending)


def auxiliary_result(probe: AuxiliaryProbe, report: ProbeReport) -> AuxiliaryResult:
    """Return what the report of an auxiliary probe shows."""
    target = probe.request.target
    return AuxiliaryResult(
        what=probe.what,
        name=probe.name,
        vault=target.vault,
        credential=target.credential,
        at=report.started_at,
        usable=None if probe.is_of_another_host else assess(probe.what, report.steps),
        steps=report.steps,
        key=report.key,
    )
