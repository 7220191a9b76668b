"""The faults in docs/private-endpoints.md, from the reasons and the scenarios."""

from __future__ import annotations

from typing import Final

from docs.generators.pages import GeneratedPart, table
from exporter.knowledge.code_row import DO_NOT_RESTART
from exporter.knowledge.codes import both_numbers
from exporter.knowledge.reasons import Reason
from exporter.simulator.scenarios import SCENARIOS

_FAULTS: Final = (
    Reason.FORBIDDEN_CONNECTION,
    Reason.FORBIDDEN_FIREWALL,
    Reason.FORBIDDEN_NSP,
    Reason.DNS_NOT_FOUND,
    Reason.CONNECT_TIMEOUT,
    Reason.TLS_UNTRUSTED,
    Reason.PROXY_AUTH,
    Reason.PROXY_INVALID,
)


def faults() -> str:
    """Return a row for each fault of the route: code, reason, and what to do first."""
    return table(("SQL Server shows", "reason", "what the reason means", "first actions"), map(_row, _FAULTS))


def _row(reason: Reason) -> tuple[str, ...]:
    code = next(one.classic for one in SCENARIOS if one.reason is reason)
    actions = " ".join(one for one in reason.row.actions[:2] if one != DO_NOT_RESTART)
    return f"[{both_numbers(code)}](codes.md#{code})", f"`{reason}`", reason.row.text, actions


PART = GeneratedPart("faults", faults)
