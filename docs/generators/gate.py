"""The table of conditions in docs/patch-night.md, from the table of the gate."""

from __future__ import annotations

import re
from typing import Final

from docs.generators.pages import GeneratedPart
from exporter.tde.gate.conditions import CONDITIONS, Condition, ConditionText

_FIELDS: Final = re.compile(r"(?:\{\w+\}\s?)+")


def conditions() -> str:
    """Return a row for each condition: what the answer is if nothing worse is found, and the reason."""
    lines = ["| `condition` in the JSON | answer | reason |", "| --- | --- | --- |"]
    return "\n".join([*lines, *map(_row, Condition)])


def _row(condition: Condition) -> str:
    row = CONDITIONS[condition]
    return f"| `{condition}` | {'not ready' if row.known else 'not known'} | {_reason(row)} |"


def _reason(row: ConditionText) -> str:
    """Return the text with a mark for each name and number that it gets."""
    return row.meaning or _FIELDS.sub(lambda found: "… " if found[0].endswith(" ") else "…", row.text).removesuffix(". …")


PART = GeneratedPart("conditions", conditions)
