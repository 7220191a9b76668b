"""The failure that a target shows, with the probe that had it: its names, its advice, and who repairs it.

Pages, tickets and texts have them from here, so one failure has the same words everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Final

from msgspec import structs

from exporter.config.settings import Target
from exporter.config.usage import names_of
from exporter.core.values import Facts, Outcome
from exporter.knowledge.advice import Advice, advise, owner_of_failure
from exporter.knowledge.code_row import OWNERS, Owner
from exporter.knowledge.codes import BY_CODE
from exporter.knowledge.names import Names
from exporter.knowledge.report import ProbeReport, StepResult
from exporter.knowledge.tickets import Team, team_of, who_repairs
from exporter.knowledge.verdict import CREDENTIAL_REFUSED, Unsteady, deciding_failure
from exporter.sqlserver.proof import ServerProof
from exporter.state.record import RECENT, TargetRecord, failed_probe, unsteady_at

NO_FAILURE: Final = "No step failed in this probe. If it fails in waves, the status page of the running exporter has the ticket."


@dataclass(frozen=True)
class Diagnosis:
    """A target with a probe. `addresses` are those of the failed host, if they were looked up.

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

    def named(self, target: str) -> Diagnosis:
        """Return the diagnosis with one target's name: a command that differs in it alone is to run once."""
        return replace(self, target=replace(self.target, name=target))

    def advice(self, *, several: bool = False) -> Advice | None:
        """Return the advice for the failure; None without one. `several`: its cause has several vaults, keys or applications."""
        ready = self.unsteady is not None or self.report.readiness.ready
        return None if self.failure is None else advise(self.failure, self.names, ready=ready, several=several)

    @cached_property
    def team(self) -> Team | None:
        """The team that repairs it; None if no other team does, or if a DBA can use the staged credential."""
        if self.failure is None or self._owner is None or self._has_successor:
            return None
        return team_of(self.failure, self._owner)

    @property
    def who(self) -> str:
        """Who repairs it; of a refused credential with a usable successor, the DBA. Empty without a failure."""
        if self.failure is None or self._owner is None:
            return ""
        return OWNERS[Owner.DBA] if self._has_successor else who_repairs(self.failure, self._owner)

    @property
    def why_no_team(self) -> str:
        """Why no other team repairs it, as a sentence."""
        if self.failure is None or self._owner is None:
            return NO_FAILURE
        if self._has_successor:
            return f"The staged credential {self.target.next_credential} is usable: {OWNERS[Owner.DBA]} can use it."
        return f"No other team repairs this, but {OWNERS[owner_of_failure(self.failure, self._owner)]}."

    @property
    def _owner(self) -> Owner | None:
        """The owner of the code of the failure."""
        return None if self.failure is None or self.failure.code is None else BY_CODE[self.failure.code].owner

    @property
    def _has_successor(self) -> bool:
        return self.failure is not None and self.failure.reason in CREDENTIAL_REFUSED and self.names.staged_usable

    @property
    def vault_name(self) -> str:
        return self.target.vault.partition(".")[0]


def diagnose(target: Target, record: TargetRecord | None, now: float, proofs: Sequence[ServerProof] = ()) -> Diagnosis | None:
    """Return the diagnosis of the last probe, or of the last failed one if the target is unsteady at `now`; None if no probe finished.

    Of an unsteady target, it is the last probe with the most frequent failure, or what is left of it after a restart.
    """
    if record is None or (last := record.last) is None:
        return None
    unsteady = unsteady_at(record, now)
    found = Diagnosis(target, last, record, unsteady, proofs=proofs)
    if unsteady is None:
        return found
    step, code, reason = unsteady.most
    if step is None:
        return found
    for entry in islice(record.history.failures(), RECENT):
        report = entry.report
        if failed_probe(report) == unsteady.most:
            return replace(found, report=report)
    wanted = (step.value, code, None if reason is None else reason.value)
    summary = next((each for each in reversed(record.last_failures) if (each.step, each.code, each.reason) == wanted), None)
    facts = None if summary is None else Facts(status=summary.http_status, request_id=summary.request_id)
    failed = StepResult(step=step, outcome=Outcome.FAILED, code=code, reason=reason, facts=facts)
    return replace(found, report=last if summary is None else structs.replace(last, started_at=summary.at), other=failed)
