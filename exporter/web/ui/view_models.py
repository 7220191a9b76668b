"""One target as a page shows it: the report, its age, and how urgent it is.

For: what the table, the target's page and the summary agree on, worked out once.
Not for: markup, JSON, or requests.
"""

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

# Sorting so many targets takes about a millisecond; then the event loop gets its turn.
_AT_ONCE = 250
MOST_LABELS = 200


class Urgency(IntEnum):
    """In the order in which a person should look."""

    NOT_READY = 0
    FAILING = 1
    UNKNOWN = 2
    READY = 3


@dataclass(frozen=True, slots=True)
class TargetView:
    """`age` in seconds since the last probe began; `readiness` has aged with it. `now` is a Unix time."""

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
        """The first failed step of those without which databases do not open."""
        steps = () if self.report is None else self.report.steps
        return next((each for each in steps if each.step in NEEDED and each.outcome is Outcome.FAILED), None)

    @property
    def servers(self) -> list[str]:
        """The SQL Server instances that depend on it, each once."""
        return list(dict.fromkeys(each["sql_instance"] for each in self.target.instances if "sql_instance" in each))


def view(config: Config, target: Target, record: TargetRecord | None, *, now: float) -> TargetView:
    """`now` is a Unix time."""
    report = None if record is None else record.last
    readiness = readiness_at(target, report, now)
    age = None if report is None else max(0.0, now - report.started_at)
    return TargetView(target, config.modules[target.module], now, record, report, readiness, _urgency(readiness, report), age)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What a list shows: the views that are meant, in order, and beside them what is so of all targets."""

    shown: list[TargetView]
    counts: Mapping[Urgency, int]
    codes: Mapping[int, int]  # how many targets fail first with each code
    labels: list[str]  # NAME=VALUE, the first `MOST_LABELS` in order
    label_names: list[str]  # of targets and of the SQL Servers that depend on them, as many at most
    at_risk: list[str]  # SQL Servers whose vault side is not ready

    @property
    def total(self) -> int:
        return sum(self.counts.values())


async def fleet(
    views: Iterable[TargetView], meant: Callable[[TargetView], bool], order: Callable[[TargetView], tuple[Any, ...]]
) -> Fleet:
    """Gathers and sorts; gives way to others meanwhile."""
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
        if meant(each):
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
    """When the credentials end that this target needs, by name; the identities that look such dates up among them."""
    names = credentials_in_use(replace(service.config, targets={target.name: target}))
    return {name: service.credential_ends(name) for name in sorted(names) if service.config.credentials[name].may_end}


def _urgency(readiness: Readiness, report: ProbeReport | None) -> Urgency:
    if readiness.ready is False:
        return Urgency.NOT_READY
    if report is not None and not report.success:
        return Urgency.FAILING
    return Urgency.READY if readiness.ready else Urgency.UNKNOWN
