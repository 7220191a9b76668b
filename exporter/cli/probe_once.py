"""One probe with everything beside it, made now and once: what `ekm-exporter probe` tells.

For: a probe with a fresh token, then all looks and all look-ups of expiry dates at the same time.
Not for: flags, exit codes and printing (see `probe`), doing it again (see `exporter.app.service`).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from exporter.clients import quiet_sdk_loggers
from exporter.config.build import credentials_in_use
from exporter.config.model import Config, Target
from exporter.core.auxiliary import AuxiliaryResult
from exporter.core.credential_expiry import CredentialExpiry
from exporter.core.model import ProbeReport
from exporter.expiry import ExpiryCallbacks, ExpiryLookup, ExpiryMonitor
from exporter.probing.auxiliary_plan import AuxiliaryProbe, auxiliary_probes
from exporter.probing.prober import Prober, ProberCallbacks
from exporter.runtime.loop_lag import LoopLag
from exporter.state.history import History
from exporter.state.records import TargetRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeOnceResult:
    """What was seen of a target; `ends` by the name of the credential. `chosen` is the credential that somebody asked for."""

    chosen: str | None
    report: ProbeReport
    record: TargetRecord
    ends: Mapping[str, tuple[CredentialExpiry, ...]]


async def probe_once(config: Config, target: Target, credential: str | None) -> ProbeOnceResult | None:
    """Probes now. With the name of another `credential`, that one makes the round trip and nothing beside it is looked at.

    None where the probe could not be made. Raises NetworkError where a module's authorities cannot be loaded.
    """
    quiet_sdk_loggers()
    asked = target if credential is None else replace(target, credential=credential)
    callbacks = ProberCallbacks(bug=_say_bug, starved=lambda _shortage: None, token_requested=lambda: None)
    prober = Prober(config, lag=LoopLag(), callbacks=callbacks)
    try:
        report = await prober.probe_on_demand(target, credential=config.credentials[asked.credential], fresh=True)
        if report is None:
            return None
        record = TargetRecord(asked, History(1))
        record.add_report(report)
        today = datetime.fromtimestamp(report.started_at, UTC).date()
        wanted = auxiliary_probes(config, target, report.key, today) if credential is None else ()
        looks, ends = await asyncio.gather(_looks(prober, wanted), _ends(config, asked, report.tenant, alone=credential))
    finally:
        await prober.aclose()
    for look in looks:
        record.add_auxiliary(look)
    return ProbeOnceResult(chosen=credential, report=report, record=record, ends=ends)


async def _looks(prober: Prober, wanted: tuple[AuxiliaryProbe, ...]) -> list[AuxiliaryResult]:
    made = await asyncio.gather(*(prober.auxiliary(plan, fresh=True) for plan in wanted))
    return [look for look in made if look is not None]


async def _ends(
    config: Config, target: Target, tenant: str | None, *, alone: str | None
) -> dict[str, tuple[CredentialExpiry, ...]]:
    """Of all credentials that the target needs, or of one `alone`; an identity of which nothing ends is left out."""
    names = {alone} if alone is not None else credentials_in_use(replace(config, targets={target.name: target}))
    ending = sorted(name for name in names if config.credentials[name].may_end)
    asker = ExpiryLookup(config, requested=lambda _endpoint, _count: None, tenant_of=lambda _target: tenant)
    desk = ExpiryMonitor(config, asker, ExpiryCallbacks(bug=_say_bug))
    try:
        told = await asyncio.gather(*(desk.look_up(name, target.name) for name in ending))
    finally:
        await desk.aclose()
    return dict(zip(ending, told, strict=True))


def _say_bug(error: BaseException) -> None:
    print(f"ekm-exporter: internal error: {type(error).__name__}", file=sys.stderr)
