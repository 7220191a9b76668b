"""The table of states in docs/key-rotation.md, from the reasons."""

from __future__ import annotations

from typing import Final

from docs.generators.pages import GeneratedPart, table
from exporter.knowledge.reasons import Reason

_STATES: Final = (Reason.KEY_EXPIRED, Reason.KEY_NOT_YET_VALID, Reason.KEY_DISABLED, Reason.KEY_SOFT_DELETED)


def states() -> str:
    """Return a row for each state of a key version: the reason of a probe, and its first action."""
    rows = ((f"`{reason}`", reason.row.text, reason.row.actions[0]) for reason in _STATES)
    return table(("reason", "meaning", "first action"), rows)


PART = GeneratedPart("states", states)
