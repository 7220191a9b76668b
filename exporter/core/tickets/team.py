"""The teams that get a ticket, and which one gets that of a failure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from exporter.core.codes.cause_text import owner_of_failure
from exporter.core.codes.model import Owner
from exporter.core.model import StepResult
from exporter.core.reasons import Reason


class Team(StrEnum):
    """A team with systems that a DBA does not own."""

    NETWORK = "network"
    IDENTITY = "identity"
    VAULT = "vault"
    MICROSOFT = "microsoft"


TITLES: Mapping[Team, str] = MappingProxyType(
    {
        Team.NETWORK: "the network team",
        Team.IDENTITY: "the identity team (Entra ID)",
        Team.VAULT: "the vault team (Azure Key Vault)",
        Team.MICROSOFT: "Microsoft's support",
    }
)
TEAMS: Mapping[Owner, Team] = MappingProxyType(
    {Owner.NETWORK: Team.NETWORK, Owner.IDENTITY: Team.IDENTITY, Owner.VAULT: Team.VAULT}
)
# Azure itself fails.
_AZURE_REASONS = (Reason.SERVER_ERROR, Reason.ENTRA_UNAVAILABLE, Reason.TOKEN_UNVERIFIABLE, Reason.BYTES_DIFFER)


def team_of(failure: StepResult, owner: Owner) -> Team | None:
    """Return the team for a failure, with the owner of its code; None if the DBA or the exporter's operator repairs it."""
    team = TEAMS.get(owner_of_failure(failure, owner))
    return Team.MICROSOFT if team is not None and failure.reason in _AZURE_REASONS else team
