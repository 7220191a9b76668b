"""The teams that get a ticket, and which one gets that of a failure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from exporter.core.codes.cause_text import owner_of_failure
from exporter.core.codes.model import Owner
from exporter.core.codes.owners import OWNERS
from exporter.core.model import StepResult
from exporter.core.reasons import Reason


class Team(StrEnum):
    """A team with systems that a DBA does not own."""

    NETWORK = "network"
    IDENTITY = "identity"
    VAULT = "vault"
    MICROSOFT = "microsoft"


TEAMS: Mapping[Owner, Team] = MappingProxyType(
    {Owner.NETWORK: Team.NETWORK, Owner.IDENTITY: Team.IDENTITY, Owner.VAULT: Team.VAULT}
)
TITLES: Mapping[Team, str] = MappingProxyType(
    {team: OWNERS[owner] for owner, team in TEAMS.items()} | {Team.MICROSOFT: "Microsoft's support"}
)
# Azure itself fails.
_AZURE_REASONS = (Reason.SERVER_ERROR, Reason.ENTRA_UNAVAILABLE, Reason.TOKEN_UNVERIFIABLE, Reason.BYTES_DIFFER)


def team_of(failure: StepResult, owner: Owner) -> Team | None:
    """Return the team for a failure, with the owner of its code; None if the DBA or the exporter's operator repairs it."""
    team = TEAMS.get(owner_of_failure(failure, owner))
    return Team.MICROSOFT if team is not None and failure.reason in _AZURE_REASONS else team


def who_repairs(failure: StepResult, owner: Owner) -> str:
    """Return who repairs a failure, with the owner of its code: the team that gets its ticket, else the DBA or the operator."""
    team = team_of(failure, owner)
    return OWNERS[owner_of_failure(failure, owner)] if team is None else TITLES[team]
