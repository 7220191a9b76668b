"""One target as a page shows it: report, age, readiness and urgency."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

from exporter.config.build import credentials_in_use
from exporter.config.model import Config, Module, Target
from exporter.core.credential_expiry import CredentialExpiry
from exporter.core.model import Outcome, ProbeReport, Readiness, StepResult
from exporter.core.readiness import NEEDED
from exporter.state.records import TargetRecord, readiness_at
from exporter.web.interfaces import Service

# This number of targets takes about a millisecond; then other tasks run.
_AT_ONCE = 250
MOST_LABELS = 200


class Urgency(IntEnum):
    """States in the order of their urgency."""

    NOT_READY = 0
    FAILING = 1
    UNKNOWN = 2
    READY = 3


@dataclass(frozen=True, slots=True)
class TargetView:
    """One target at `now`, a Unix time.

    `age` is in seconds since the last probe began.
    """

    target: Target
    module: Module
    now: float
    record: TargetRecord | None
    report: ProbeReport | None
    readiness: Readiness
    urgency: Urgency
    age: float | None

    @property
    def failure(self) -> StepResult | None:
        return None if self.report is None else self.report.first_failure

    @property
    def blocking(self) -> StepResult | None:
        """The first failed step that keeps databases from opening."""
        steps = () if self.report is None else self.report.steps
        return next((each for each in steps if each.step in NEEDED and each.outcome is Outcome.FAILED), None)

    @property
    def servers(self) -> list[str]:
        """The SQL Server instances that depend on the target, without duplicates."""
        return list(dict.fromkeys(each["sql_instance"] for each in self.target.instances if "sql_instance" in each))


def view(config: Config, target: Target, record: TargetRecord | None, *, now: float) -> TargetView:
    """Build the view of a target at `now`, a Unix time."""
    report = None if record is None else record.last
    readiness = readiness_at(target, report, now)
    age = None if report is None else max(0.0, now - report.started_at)
    return TargetView(target, config.modules[target.module], now, record, report, readiness, _urgency(readiness, report), age)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The matching views in order, and counts over all targets."""

    shown: list[TargetView]
    counts: Mapping[Urgency, int]
    codes: Mapping[int, int]  # targets by the code of their first failure
    labels: list[str]  # NAME=VALUE, the first `MOST_LABELS` in order
    label_names: list[str]  # of targets and their SQL Servers, at most `MOST_LABELS`
    at_risk: list[str]  # SQL Servers whose vault side is not ready

    @property
    def total(self) -> int:
        return sum(self.counts.values())


async def fleet(
    views: Iterable[TargetView], matches: Callable[[TargetView], bool], order: Callable[[TargetView], tuple[Any, ...]]
) -> Fleet:
    """Filter and sort the views, and let other tasks run in between."""
    counts, codes = Counter[Urgency](), Counter[int]()
    labels, names, at_risk, chosen = set[str](), set[str](), set[str](), list[tuple[tuple[Any, ...], TargetView]]()
    for number, each in enumerate(views, 1):
        counts[each.urgency] += 1
        if each.failure is not None and each.failure.code is not None:
            codes[each.failure.code] += 1
        labels.update(f"{name}={value}" for name, value in each.target.labels.items())
        names.update(each.target.labels, *each.target.instances)
        if each.urgency is Urgency.NOT_READY:
            at_risk.update(each.servers)
        if matches(each):
            chosen.append((order(each), each))
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
    chosen.sort(key=lambda pair: pair[0])
    return Fleet(
        shown=[each for _, each in chosen],
        counts=counts,
        codes=codes,
        labels=sorted(labels)[:MOST_LABELS],
        label_names=sorted(names)[:MOST_LABELS],
        at_risk=sorted(at_risk),
    )


def ends_of(service: Service, target: Target) -> dict[str, tuple[CredentialExpiry, ...]]:
    """Return the expiry of each credential of the target by name."""
    names = credentials_in_use(replace(service.config, targets={target.name: target}))
    return {name: service.credential_ends(name) for name in sorted(names) if service.config.credentials[name].may_expire}


def _urgency(readiness: Readiness, report: ProbeReport | None) -> Urgency:
    if readiness.ready is False:
        return Urgency.NOT_READY
    if report is not None and not report.success:
        return Urgency.FAILING
    return Urgency.READY if readiness.ready else Urgency.UNKNOWN
