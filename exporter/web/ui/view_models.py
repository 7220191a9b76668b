"""One target as a page shows it: report, age, readiness and urgency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from exporter.config.consequences.usage import credentials_in_use
from exporter.config.settings import Config, Module, Target
from exporter.core.credential_expiry import CredentialExpiry
from exporter.core.entra_answer import wrong_dates
from exporter.core.model import Outcome, ProbeReport, Readiness, StepResult
from exporter.core.readiness import NEEDED, deciding_failure, state_of
from exporter.core.sql_servers import server_names
from exporter.core.steadiness import NO_FAILURE, FailedProbe, Unsteady
from exporter.presentation.expiries import Ending, next_ending
from exporter.presentation.probe_text import recommended_actions
from exporter.presentation.ticket_subject import subject_of
from exporter.state.beginnings import Ended, ended_at
from exporter.state.records import STALE_INTERVALS, TargetRecord, readiness_at, unsteady_at
from exporter.tde.server_proof import ServerProof
from exporter.web.interfaces import ExporterService


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
    ending: Ending | None = None  # the next expiry of its credential or key
    unsteady: Unsteady | None = None
    wrong: str = ""  # which dates of its credential Entra ID contradicts
    ended: Ended | None = None  # its last failure, if that is over
    own: tuple[ServerProof, ...] = ()  # of its SQL Servers: all on its page, one of each cause in a list
    closed: tuple[ServerProof, ...] = ()  # its SQL Servers with closed databases, in a list, while it is not ready

    @property
    def failure(self) -> StepResult | None:
        return None if self.report is None else deciding_failure(self.report)

    @property
    def failed(self) -> FailedProbe:
        """The current failure, or the one that makes the target unsteady."""
        if self.unsteady is not None:
            return self.unsteady.most
        failure = self.failure
        return NO_FAILURE if failure is None else FailedProbe(failure.step, failure.code, failure.reason)

    @property
    def fails_itself(self) -> bool:
        """Whether a SQL Server of the target cannot get the key itself."""
        own = (each for each in self.own if self.report is not None or each.cause.is_seen_inside)
        return any(server.state.is_bad for server in own)

    @property
    def blocking(self) -> StepResult | None:
        """The first failed step that keeps databases from opening."""
        steps = () if self.report is None else self.report.steps
        return next((each for each in steps if each.step in NEEDED and each.outcome is Outcome.FAILED), None)

    @property
    def since(self) -> float | None:
        """Unix time at which the current state began; None if unknown."""
        if self.record is not None and self.readiness.stolen is not None:
            return self.record.discarded_since
        if self.record is None or self.report is None:
            return None
        if self.readiness.why == "stale":
            return self.report.started_at + STALE_INTERVALS * self.target.interval
        same = self.record.state is not None and self.record.state.name == self.urgency.name
        return self.record.state_since if same else None

    @property
    def servers(self) -> dict[str, str]:
        """The SQL Servers that depend on the target; equal SQL Servers have one key."""
        return server_names(self.target.instances)

    @property
    def actions(self) -> tuple[str, ...]:
        """The actions for the current failure, or for the one that makes the target unsteady."""
        if self.report is None:
            return ()
        if self.unsteady is not None:
            failed = subject_of(self.target, self.record, self.now)  # its last failure has more names than the last report
            return () if failed is None else failed.actions
        return recommended_actions(self.target, self.report, self.record)


def view(
    config: Config, target: Target, record: TargetRecord | None, expiries: Sequence[CredentialExpiry] = (), *, now: float
) -> TargetView:
    """Build the view of a target at `now`, a Unix time.

    `expiries` are the expiries of its credential.
    """
    report = None if record is None else record.last
    readiness = readiness_at(target, record, now)
    age = None if report is None else max(0.0, now - report.started_at)
    urgency = Urgency[state_of(readiness, success=None if report is None else report.success).name]
    ending, unsteady, wrong = next_ending(target, record, expiries), unsteady_at(record, now), wrong_dates(expiries)
    module, ended = config.modules[target.module], ended_at(record, now)
    return TargetView(target, module, now, record, report, readiness, urgency, age, ending, unsteady, wrong, ended)


class ExpiryCache:
    """Expiries by credential, each read once for one page."""

    def __init__(self, service: ExporterService) -> None:
        self._service = service
        self._expiries: dict[str, tuple[CredentialExpiry, ...]] = {}

    def target_expiries(self, target: Target) -> tuple[CredentialExpiry, ...]:
        """Return the expiries of a target's credential, one per source."""
        return self.credential_expiries(target.credential)

    def credential_expiries(self, name: str) -> tuple[CredentialExpiry, ...]:
        """Return the expiries of a credential, one per source."""
        if name not in self._expiries:
            self._expiries[name] = self._service.credential_expiries(name)
        return self._expiries[name]


def expiries_of(service: ExporterService, target: Target) -> dict[str, tuple[CredentialExpiry, ...]]:
    """Return the expiry of each credential of the target by name."""
    names = credentials_in_use(replace(service.config, targets={target.name: target}))
    return {name: service.credential_expiries(name) for name in sorted(names) if service.config.credentials[name].may_expire}
