"""One probe of one vault, for the prober and the preflight checks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from exporter.clients.http.network import Network
from exporter.clients.key_vault import VaultSession
from exporter.clients.local_encrypt import encrypt_locally
from exporter.core.auxiliary import AuxiliaryResult, assess
from exporter.core.model import ProbeReport
from exporter.core.redaction import redacted
from exporter.probing.auxiliary_plan import AuxiliaryProbe
from exporter.probing.round_trip import ProbeDependencies, ProbeRequest, Tokens, run_probe
from exporter.runtime.clock import loop_time


@dataclass(frozen=True, slots=True)
class LoopClock:
    """Unix time, the time of the running event loop (the unit of deadlines), and how long the loop was late in a span of that."""

    time: Callable[[], float] = time.time
    monotonic: Callable[[], float] = loop_time
    late_between: Callable[[float, float], float] = lambda _start, _end: 0.0


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


def auxiliary_result(probe: AuxiliaryProbe, report: ProbeReport) -> AuxiliaryResult:
    """Return what the report of an auxiliary probe shows."""
    target = probe.request.target
    return AuxiliaryResult(
        kind=probe.kind,
        name=probe.name,
        vault=target.vault,
        credential=target.credential,
        at=report.started_at,
        usable=None if probe.is_of_another_host else assess(probe.kind, report.steps, report.key, at=report.started_at),
        steps=report.steps,
        key=report.key,
    )
