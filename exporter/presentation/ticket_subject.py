"""The subject of a ticket: a failed target with the team that repairs it, and how far the failure goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Final, NamedTuple

from exporter.config.consequences.names import names_of
from exporter.config.settings import Target
from exporter.core.auxiliary import CREDENTIAL_REFUSED
from exporter.core.codes import BY_CODE
from exporter.core.codes.actions import actions
from exporter.core.codes.cause_text import owner_of_failure
from exporter.core.codes.model import Owner
from exporter.core.codes.names import Names
from exporter.core.codes.owners import OWNERS
from exporter.core.model import Facts, Outcome, ProbeReport, StepResult
from exporter.core.readiness import deciding_failure
from exporter.core.sql_servers import server_names
from exporter.core.steadiness import FailedProbe, Unsteady
from exporter.core.tickets.team import Team, team_of
from exporter.state.beginnings import beginning_of
from exporter.state.records import RECENT, TargetRecord, unsteady_at
from exporter.tde.server_proof import ServerProof

NO_FAILURE: Final = "No step failed in this probe. If it fails in waves, the status page of the running exporter has the ticket."


class LoggedFailure(NamedTuple):
    """The code of a failure in the error log of a SQL Server, since `first_at`, a Unix time."""

    first_at: float
    server: str
    code: str


@dataclass(frozen=True, kw_only=True)
class TicketSubject:
    """A failed target with the failed probe. `addresses` are those of the failed host, if they were looked up.

    `unsteady` if the target is ready now. `other` is then its failure if the probe itself is no longer stored.
    `proofs` are those of its SQL Servers that are read.
    """

    target: Target
    report: ProbeReport
    record: TargetRecord | None = None
    unsteady: Unsteady | None = None
    other: StepResult | None = None
    addresses: Sequence[str] = ()
    proofs: Sequence[ServerProof] = ()

    @cached_property
    def failure(self) -> StepResult | None:
        """The failure with a code; None if there is none."""
        failure = self.other or deciding_failure(self.report)
        return None if failure is None or failure.code is None else failure

    @cached_property
    def names(self) -> Names:
        auxiliary = () if self.record is None else self.record.auxiliary.values()
        return names_of(self.target, self.report.steps, self.failure, auxiliary=auxiliary)

    @cached_property
    def actions(self) -> tuple[str, ...]:
        """The actions of the failure, without those about closed databases."""
        failure = self.failure
        if failure is None or failure.code is None:
            return ()
        return actions(failure.code, failure.reason, ready=True, names=self.names, step=failure.step)

    @cached_property
    def team(self) -> Team | None:
        """The team that repairs it; None if no other team does, or if a DBA can use the staged credential."""
        failure = self.failure
        if failure is None or failure.code is None or self._has_successor:
            return None
        return team_of(failure, BY_CODE[failure.code].owner)

    @property
    def why_no_team(self) -> str:
        """Why no other team repairs it, as a sentence."""
        failure = self.failure
        if failure is None or failure.code is None:
            return NO_FAILURE
        if self._has_successor:
            return f"The staged credential {self.target.next_credential} is usable: {OWNERS[Owner.DBA]} can use it."
        return f"No other team repairs this, but {OWNERS[owner_of_failure(failure, BY_CODE[failure.code].owner)]}."

    def logged(self, began: float) -> LoggedFailure | None:
        """Return the first SQL Server that logged the code, or its counterpart, since the failure began; None if none did."""
        if self.failure is None or self.failure.code is None:
            return None
        row, since = BY_CODE[self.failure.code], began - self.target.interval  # a probe sees the failure later
        found = (
            LoggedFailure(each.first_at, proof.server, each.code)
            for proof in self.proofs
            for each in proof.codes
            if each.code in (str(row.code), str(row.counterpart)) and each.last_at >= since
        )
        return min(found, default=None)

    @property
    def _has_successor(self) -> bool:
        return self.failure is not None and self.failure.reason in CREDENTIAL_REFUSED and self.names.staged_usable

    @property
    def vault_name(self) -> str:
        return self.target.vault.partition(".")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How far a failure goes: the other vaults, keys or applications, and since when.

    `others` has a subject of each, or the first of them; `total` is the number of all with the first. `began` and `last` are Unix
    times of the first and of the last beginning, None if unknown. With `is_first_seen`, the first may be older. `urgency` shows since when
    backups fail, and how long the logs have room.
    """

    began: float | None = None
    last: float | None = None
    is_first_seen: bool = False
    servers: Sequence[str] = ()
    others: Sequence[TicketSubject] = ()
    vaults: int = 1
    total: int = 1
    urgency: str = ""

    def subjects(self, first: TicketSubject) -> list[TicketSubject]:
        """Return the first subject and the others that its team repairs too."""
        return [first, *(each for each in self.others if each.team is first.team)]


def subject_of(target: Target, record: TargetRecord | None, now: float) -> TicketSubject | None:
    """Return the subject of the last probe, or of the last failed one if the target is unsteady at `now`; None if no probe finished."""
    if record is None or record.last is None:
        return None
    unsteady = unsteady_at(record, now)
    if unsteady is None:
        return TicketSubject(target=target, report=record.last, record=record)
    return _unsteady_subject(target, record, record.last, unsteady)


def _unsteady_subject(target: Target, record: TargetRecord, last: ProbeReport, unsteady: Unsteady) -> TicketSubject:
    """Return the last probe with the most frequent failure, or what is left of it after a restart."""
    subject = TicketSubject(target=target, report=last, record=record, unsteady=unsteady)
    for entry in islice(record.history.failures(), RECENT):
        report = entry.report
        failure = deciding_failure(report)
        if failure is not None and FailedProbe(failure.step, failure.code, failure.reason) == unsteady.most:
            return replace(subject, report=report)
    step, code, reason = unsteady.most
    if step is None:
        return subject
    wanted = (step.value, code, None if reason is None else reason.value)
    summary = next((each for each in reversed(record.last_failures) if (each.step, each.code, each.reason) == wanted), None)
    facts = None if summary is None else Facts(status=summary.http_status, request_id=summary.request_id)
    failed = StepResult(step=step, outcome=Outcome.FAILED, code=code, reason=reason, facts=facts)
    return replace(subject, report=last if summary is None else replace(last, started_at=summary.at), other=failed)


def extent_of(subject: TicketSubject) -> Extent:
    """Return the extent of one target's failure."""
    servers = list(server_names(subject.target.instances).values())
    if subject.record is None or subject.record.last is None:
        return Extent(began=subject.report.started_at, is_first_seen=True, servers=servers)
    began, is_first_seen = beginning_of(subject.record, subject.record.last.started_at, unsteady=subject.unsteady is not None)
    return Extent(began=began, is_first_seen=is_first_seen, servers=servers)
