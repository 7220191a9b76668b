"""One target as a page shows it: report, age, readiness and state; and verdicts, ages and outcomes as text, with their colours."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace

from msgspec import Struct, field

from exporter.config.settings import Config, Module, Target
from exporter.config.usage import credentials_in_use
from exporter.core.durations import moment
from exporter.core.names import server_names
from exporter.core.values import Outcome, Readiness, Vantage
from exporter.knowledge.codes import both_numbers
from exporter.knowledge.expiry import CredentialExpiry, Source, wrong_dates
from exporter.knowledge.report import ProbeReport, StepResult
from exporter.knowledge.verdict import (
    NEEDED,
    NOT_TESTED,
    FailedProbe,
    State,
    Unsteady,
    deciding_failure,
    readiness_text,
    state_of,
)
from exporter.presentation.diagnosis import Diagnosis, diagnose
from exporter.presentation.expiries import BACKUP_AGE, Ending, EndingKind, next_ending
from exporter.sqlserver.gate.inputs import RestartReadiness
from exporter.sqlserver.proof import ServerProof
from exporter.state.record import STALE_INTERVALS, Ended, TargetRecord, ended_at, failed_probe, readiness_at, unsteady_at
from exporter.web.interfaces import ExporterService
from exporter.web.pages.html import Html, element

_COLOURS = {State.NOT_READY: "bad", State.FAILING: "unsure", State.UNKNOWN: "unsure", State.READY: "good"}
URGENCY = {state: place for place, state in enumerate(State)}  # a sort key
_AZURE = re.compile(r"\.(vault|managedhsm)[a-z-]*\.")  # hosts of vaults in every cloud
_SPANS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))


class TargetView(Struct, frozen=True, kw_only=True):
    """One target at `now`, a Unix time."""

    target: Target
    module: Module
    now: float
    record: TargetRecord | None
    report: ProbeReport | None
    readiness: Readiness
    state: State
    expiries: Sequence[CredentialExpiry] = ()  # of its credential
    unsteady: Unsteady | None = None
    ended: Ended | None = None  # its last failure, if that is over
    own: tuple[ServerProof, ...] = ()  # of its SQL Servers: all on its page, one of each cause in a list
    # Its SQL Servers with databases that are closed or may not write, in a list, while it is not ready.
    stuck: tuple[ServerProof, ...] = ()
    restart: Mapping[tuple[str, str], RestartReadiness] = field(default_factory=dict)  # by address and thumbprint

    @property
    def diagnosis(self) -> Diagnosis | None:
        return diagnose(self.target, self.record, self.now, self.own)

    @property
    def ending(self) -> Ending | None:
        """The next expiry of its credential or key."""
        return next_ending(self.target, self.record, self.expiries)

    @property
    def wrong(self) -> str:
        """Which dates of its credential Entra ID contradicts."""
        return wrong_dates(self.expiries)

    @property
    def failure(self) -> StepResult | None:
        return None if self.report is None else deciding_failure(self.report)

    @property
    def failed(self) -> FailedProbe:
        """The current failure, or the one that makes the target unsteady."""
        return failed_probe(self.report) if self.unsteady is None else self.unsteady.most

    @property
    def is_closed(self) -> bool:
        """Whether databases of its SQL Servers are closed while it is not ready."""
        return any(each.closed for each in self.stuck)

    @property
    def fails_itself(self) -> bool:
        """Whether a SQL Server of the target cannot get the key itself."""
        return any(each.state.is_bad and (self.report is not None or each.cause.is_seen_inside) for each in self.own)

    @property
    def since(self) -> float | None:
        """Unix time at which the current state began; None if unknown."""
        if self.record is not None and self.readiness.stolen is not None:
            return self.record.discarded_since
        if self.record is None or self.report is None:
            return None
        if self.readiness.why == "stale":
            return self.report.started_at + STALE_INTERVALS * self.target.interval
        return self.record.state_since if self.record.state is self.state else None

    @property
    def servers(self) -> dict[str, str]:
        """The SQL Servers that depend on the target; equal SQL Servers have one key."""
        return server_names(self.target.instances)


def view(
    config: Config, target: Target, record: TargetRecord | None, expiries: Sequence[CredentialExpiry] = (), *, now: float
) -> TargetView:
    """Build the view of a target at `now`, a Unix time. `expiries` are the expiries of its credential.

    Its record is a copy: probes go on while a page is made, and no part of the page knows more than the others.
    """
    record = copy(record)
    report, readiness = None if record is None else record.last, readiness_at(target, record, now)
    return TargetView(
        target=target,
        module=config.modules[target.module],
        now=now,
        record=record,
        report=report,
        readiness=readiness,
        state=state_of(readiness, success=None if report is None else report.success),
        expiries=expiries,
        unsteady=unsteady_at(record, now),
        ended=ended_at(record, now),
    )


def expiries_of(service: ExporterService, target: Target) -> dict[str, tuple[CredentialExpiry, ...]]:
    """Return the expiry of each credential of the target by name."""
    config = service.config
    names = sorted(credentials_in_use(replace(config, targets={target.name: target})))
    return {name: service.credential_expiries(name) for name in names if config.credentials[name].may_expire}


def badge(state: State, *, count: int | None = None) -> Html:
    words = state.replace("_", " ")
    return element("span", words if count is None else f"{count:,} {words}", class_=f"state {_COLOURS[state]}")


def unsteady_badge(count: int | None = None) -> Html:
    return element("span", "unsteady" if count is None else f"{count:,} unsteady", class_="state unsure")


def verdict(view: TargetView, vantage: Vantage) -> str:
    """Return the verdict and its deciding failed step, else the first failed one."""
    text = readiness_text(view.readiness, vantage)
    # While it is not ready, the first failed step that keeps databases from opening.
    blocking = (
        (each for each in view.report.steps if each.step in NEEDED and each.outcome is Outcome.FAILED) if view.report else ()
    )
    failure = view.failure if view.readiness.ready else next(iter(blocking), None)
    if view.readiness.ready is None or failure is None:
        return text
    number = "" if failure.code is None else f" with {both_numbers(failure.code)}"
    return f"{text}, {'although' if view.readiness.ready else 'because'} step {failure.step.value} failed{number}"


def not_tested(what: str) -> str:
    """Return what nothing tested, as a sentence; if nothing is left, that SQL Server itself tested it."""
    return f"Not tested from here: {what}." if what else f"SQL Server itself tested what no probe can: {NOT_TESTED}."


def brief_name(name: str) -> str:
    """Return a vault, a key or another name without the domain of Azure and without the key version.

    An example is `contoso-prod/Key0` for `contoso-prod.vault.azure.net/Key0/0123`.
    """
    host, _, key = name.partition("/")
    if not _AZURE.search(host):
        return name
    short = host.partition(".")[0]
    return f"{short}/{key.partition('/')[0]}" if key else short


def when(at: float | None, now: float, *, absent: str = "never") -> Html:
    """Return a past Unix time as an age, with the exact time in the tooltip."""
    return element("span", absent) if at is None else _time(at, f"{span(max(0.0, now - at))} ago")


def expires_in(ending: Ending, now: float) -> Html:
    """Return when something expires as a span, with the exact time in the tooltip; for a backup its age."""
    if ending.kind is EndingKind.BACKUP:
        made = ending.at - BACKUP_AGE
        return _time(made, f"{span(max(0.0, now - made))} old")
    left, shown = ending.at > now, span(abs(ending.at - now))
    past = f"refused for {shown}" if ending.source == Source.ENTRA else f"expired {shown} ago"
    return _time(ending.at, f"in {shown}" if left else past)


def exact_time(at: float) -> Html:
    """Return a Unix time in UTC. The live script adds the reader's local time after it."""
    exact = moment(at)
    return element("time", f"{exact[:10]} {exact[11:19]} UTC", datetime=exact, title=exact, class_="exact")


def _time(at: float, words: str) -> Html:
    exact = moment(at)
    return element("time", words, datetime=exact, title=exact)


def span(seconds: float) -> str:
    """Return a duration such as `12 min`."""
    for least, unit in _SPANS:
        if seconds >= least:
            return f"{int(seconds // least)} {unit}"
    return f"{int(seconds)} s"
