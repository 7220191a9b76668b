"""One probe of one vault.

Its request, its session and its token, for the prober and the preflight checks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from exporter.clients import Network, VaultSession, encrypt_locally, fetch_token
from exporter.config.model import Credential, Module
from exporter.core.auxiliary import AuxiliaryResult, assess
from exporter.core.model import Challenge, ProbeReport, TokenResponse
from exporter.core.redaction import redacted
from exporter.probing.auxiliary_plan import AuxiliaryProbe
from exporter.probing.round_trip import ProbeDependencies, ProbeRequest, Tokens, run_probe
from exporter.runtime.clock import loop_time
from exporter.tokens.cache import Fetch


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


def token_fetch(network_of: Callable[[Module], Network], on_request: Callable[[], None] = lambda: None) -> Fetch:
    """Return the function with which a token cache sends its requests."""

    async def fetch(
        module: Module, credential: Credential, secret: str | None, challenge: Challenge, *, deadline: float
    ) -> TokenResponse:
        on_request()
        return await fetch_token(network_of(module), credential, secret, challenge, deadline=deadline)

    return fetch


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
