"""One probe of a target with its auxiliary probes and expiry lookups.

Each token is fresh. The auxiliary probes and the lookups run at the same time, after the probe.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from exporter.clients.entra import quiet_sdk_loggers
from exporter.config.consequences.usage import credentials_in_use
from exporter.config.settings import Config, Target
from exporter.core.auxiliary import AuxiliaryResult
from exporter.core.credential_expiry import CredentialExpiry
from exporter.core.entra_answer import entra_answer, mark_wrong_dates
from exporter.core.model import ProbeReport
from exporter.expiry import ExpiryCallbacks, ExpiryLookup, ExpiryMonitor
from exporter.probing.auxiliary_plan import AuxiliaryProbe, auxiliary_probes
from exporter.probing.prober import Prober, ProberCallbacks
from exporter.runtime.loop_lag import LoopLag
from exporter.state.history import History
from exporter.state.records import TargetRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeOnceResult:
    """The results for a target.

    `expiries` are by credential; `chosen` is the credential of the flag `--credential`.
    """

    chosen: str | None
    report: ProbeReport
    record: TargetRecord
    expiries: Mapping[str, tuple[CredentialExpiry, ...]]


async def probe_once(config: Config, target: Target, credential: str | None) -> ProbeOnceResult | None:
    """Probe now; None if no probe could be made.

    Another `credential` makes the round trip instead of the target's, without auxiliary probes. Raises NetworkError if the
    trusted certificates of a module cannot be loaded.
    """
    quiet_sdk_loggers()
    probed = target if credential is None else replace(target, credential=credential)
    callbacks = ProberCallbacks(
        on_internal_error=_print_internal_error, on_shortage=lambda _shortage: None, on_token_request=lambda: None
    )
    prober = Prober(config, lag=LoopLag(), callbacks=callbacks)
    try:
        report = await prober.probe_on_demand(target, credential=config.credentials[probed.credential], fresh=True)
        if report is None:
            return None
        record = TargetRecord(probed, History(1))
        record.add_report(report)
        today = datetime.fromtimestamp(report.started_at, UTC).date()
        plans = auxiliary_probes(config, target, report.key, today) if credential is None else ()
        results, expiries = await asyncio.gather(
            _auxiliary_results(prober, plans), _expiries(config, probed, report.tenant, only=credential)
        )
    finally:
        await prober.aclose()
    answers = {probed.credential: entra_answer(report.steps, report.started_at)}
    for result in results:
        record.add_auxiliary(result)
        answers.setdefault(result.credential, entra_answer(result.steps, report.started_at))
    marked = {name: mark_wrong_dates(name, each, answers.get(name)) for name, each in expiries.items()}
    return ProbeOnceResult(chosen=credential, report=report, record=record, expiries=marked)


async def _auxiliary_results(prober: Prober, plans: tuple[AuxiliaryProbe, ...]) -> list[AuxiliaryResult]:
    results = await asyncio.gather(*(prober.auxiliary(plan, fresh=True) for plan in plans))
    return [result for result in results if result is not None]


async def _expiries(
    config: Config, target: Target, tenant: str | None, *, only: str | None
) -> dict[str, tuple[CredentialExpiry, ...]]:
    """Look up the expiry of the target's credentials, or of `only` one.

    Identities that never expire are left out.
    """
    names = {only} if only is not None else credentials_in_use(replace(config, targets={target.name: target}))
    expiring = sorted(name for name in names if config.credentials[name].may_expire)
    lookup = ExpiryLookup(config, requested=lambda _endpoint, _count: None, tenant_of=lambda _target: tenant)
    monitor = ExpiryMonitor(config, lookup, ExpiryCallbacks(on_internal_error=_print_internal_error))
    try:
        found = await asyncio.gather(*(monitor.look_up(name, target.name) for name in expiring))
    finally:
        await monitor.aclose()
    return dict(zip(expiring, found, strict=True))


def _print_internal_error(error: BaseException) -> None:
    print(f"ekm-exporter: internal error: {type(error).__name__}", file=sys.stderr)
