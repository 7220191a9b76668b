"""The reasons of a failed step: one row each, with everything that is known of it.

For: `Reason`, the public label, and its attribute `row`. Rows are in the modules of their area; a new row is a new reason.
Not for: what a client observed (`Fault`), or the code of a failure (see `classify`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import EnumType, StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from exporter.core.values import Facts
from exporter.knowledge.reason_row import EntraOrder, Link, Markers, ReasonRow, Refused, VaultOrder
from exporter.knowledge.reasons_network import ANSWER, CHALLENGE, NETWORK, PROXY, STATUS
from exporter.knowledge.reasons_sign_in import EXPORTER, SIGN_IN, TENANT
from exporter.knowledge.reasons_vault import KEY, VAULT

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


# The reasons that the body of an error gives: the markers of all rows, in their order. A body never gives a code. The first match wins, so numbers with one meaning come before sentences, and sentences before
# numbers with several meanings. The AADSTS numbers are those of Microsoft's list, and of public reports.

Implied = tuple[tuple[str, re.Pattern[str]], ...]


@dataclass(frozen=True, slots=True)
class ReasonRule:
    """A marker in an error body that gives a more specific reason, but never a code."""

    markers: tuple[str, ...]
    reason: Reason
    statuses: tuple[int, ...] = ()  # empty: any


def _ordered(service: type[EntraOrder | VaultOrder]) -> list[tuple[Markers, Reason]]:
    found = [(markers, reason) for reason in Reason for markers in reason.row.markers if isinstance(markers.order, service)]
    return sorted(found, key=lambda each: each[0].order)


def _rules(service: type[EntraOrder | VaultOrder]) -> tuple[ReasonRule, ...]:
    return tuple(ReasonRule(markers.words, reason, markers.statuses) for markers, reason in _ordered(service))


def _implied(service: type[EntraOrder | VaultOrder]) -> Implied:
    rows = (markers for markers, _ in _ordered(service) if markers.sentence)
    return tuple((markers.inner_code, re.compile(markers.sentence, re.IGNORECASE)) for markers in rows)


ENTRA_REASONS, VAULT_REASONS = _rules(EntraOrder), _rules(VaultOrder)
# The code that a sentence implies: some numbers of Entra ID have several meanings, and a Managed HSM and older vaults send no
# specific code.
IMPLIED_BY_ENTRA, IMPLIED_BY_VAULT = _implied(EntraOrder), _implied(VaultOrder)


def markers_of(facts: Facts) -> frozenset[str]:
    """Return the markers of an error body, in lower case, as the rows have them."""
    words = (
        facts.service_code,
        facts.inner_code,
        f"akv{facts.akv}" if facts.akv is not None else None,
        f"key:{facts.key_state}" if facts.key_state is not None else None,
        "body:page" if facts.has_page else None,
        *(() if facts.aadsts is None else _markers_of_number(facts.aadsts)),
    )
    return frozenset(word.lower() for word in words if word is not None)


def _markers_of_number(number: int) -> tuple[str, ...]:
    """Return the markers of an AADSTS number: itself, its thousand, and that it is one."""
    return f"aadsts{number}", f"aadsts:{number // 1000}", "aadsts:any"


def reason_of_number(aadsts: int) -> Reason | None:
    """Return the reason of an AADSTS number; None if only its sentence names the cause."""
    reason = ENTRA_REASONS[rank(aadsts)].reason
    return None if reason is Reason.SIGN_IN_REFUSED else reason


def rank(aadsts: int) -> int:
    """Return the place of the first row with this number: the lowest of several numbers decides the reason."""
    words = _markers_of_number(aadsts)
    return next(place for place, rule in enumerate(ENTRA_REASONS) if any(word in rule.markers for word in words))
