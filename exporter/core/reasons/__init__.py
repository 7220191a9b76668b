"""The reasons of a failed step: one row each, with everything that is known of it.

For: `Reason`, the public label, and its attribute `row`. Rows are in the modules of their area; a new row is a new reason.
Not for: what a client observed (`Fault`), or the code of a failure (see `classify`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import EnumType, StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from exporter.core.causes import Link
from exporter.core.reasons.exporter_side import EXPORTER
from exporter.core.reasons.key import KEY
from exporter.core.reasons.network import NETWORK
from exporter.core.reasons.proxy import PROXY
from exporter.core.reasons.response import ANSWER, CHALLENGE, STATUS
from exporter.core.reasons.row import ReasonRow, Refused
from exporter.core.reasons.sign_in import SIGN_IN
from exporter.core.reasons.tenant import TENANT
from exporter.core.reasons.vault import VAULT

# In the order of a round trip. Of several numbers of Entra ID, the one of the first row decides.
ROWS: Mapping[str, ReasonRow] = MappingProxyType(
    {row.name: row for row in (*NETWORK, *PROXY, *CHALLENGE, *SIGN_IN, *TENANT, *STATUS, *VAULT, *KEY, *ANSWER, *EXPORTER)}
)


class _MadeOfRows(EnumType):
    """The class of `Reason`. Its members are not written out, so that a row alone is a reason."""

    if TYPE_CHECKING:  # `tests/repo/project` checks that the names exist

        def __getattr__(cls, name: str) -> Reason: ...


class Reason(StrEnum, metaclass=_MadeOfRows):
    """The reason of a failed step: a closed list and a public label. The member's name is the label in capitals.

    Adding a reason is safe, renaming one breaks users.
    """

    vars().update({name.upper(): name for name in ROWS})

    @property
    def row(self) -> ReasonRow:
        """Everything that is known of it."""
        return ROWS[self.value]


def refusing(*what: Refused) -> frozenset[Reason]:
    """Return the reasons for which the service or the connector refuses one of these."""
    return frozenset(reason for reason in Reason if reason.row.refuses in what)


def spreading_to(link: Link) -> frozenset[Reason]:
    """Return the reasons that break this earlier link if many vaults have them."""
    return frozenset(reason for reason in Reason if link in reason.row.spreads_to)
