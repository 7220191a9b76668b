"""An incident: a failed target with the team that repairs it, and how far the incident goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from exporter.config.consequences.names import names_of
from exporter.config.settings import Target
from exporter.core.auxiliary import CREDENTIAL_REFUSED
from exporter.core.codes import BY_CODE
from exporter.core.codes.actions import actions
from exporter.core.codes.cause_text import owner_of_failure
from exporter.core.codes.model import Owner
from exporter.core.codes.names import Names
from exporter.core.codes.owners import OWNERS
from exporter.core.model import ProbeReport, StepResult
from exporter.core.readiness import deciding_failure
from exporter.core.sql_servers import server_names
from exporter.core.tickets.team import Team, team_of
from exporter.state.records import TargetRecord


@dataclass(frozen=True, kw_only=True)
class Incident:
    """A failed target. `other` is a failure of an earlier probe, without facts, instead of the deciding one.

    `addresses` are those of the failed host, if they were looked up.
    """

    target: Target
    report: ProbeReport
    record: TargetRecord | None = None
    other: StepResult | None = None
    addresses: Sequence[str] = ()

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

    @property
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
            return "No step failed."
        if self._has_successor:
            return f"The staged credential {self.target.next_credential} is usable: {OWNERS[Owner.DBA]} can use it."
        return f"No other team repairs this, but {OWNERS[owner_of_failure(failure, BY_CODE[failure.code].owner)]}."

    @property
    def _has_successor(self) -> bool:
        return self.failure is not None and self.failure.reason in CREDENTIAL_REFUSED and self.names.staged_usable

    @property
    def vault_name(self) -> str:
        return self.target.vault.partition(".")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How far an incident goes. `since` is a Unix time, None if the beginning is not known; `note` is about its course.

    `others` has one incident of each further vault, or the first of them; `vaults` is the number of all.
    """

    since: float | None = None
    servers: Sequence[str] = ()
    others: Sequence[Incident] = ()
    vaults: int = 1
    note: str = ""


def extent_of(incident: Incident) -> Extent:
    """Return the extent of one target's incident."""
    since = None if incident.record is None else incident.record.state_since
    return Extent(since=since, servers=list(server_names(incident.target.instances).values()))
