"""The answer, the flags, the conditions and the JSON of docs/patch-night.md, and what *ready* rests on, from the gate itself.

The sample is made as the tests make theirs: a factory of its own would be a copy that no test holds against the scripts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Final

from docs.generators.flags import flags
from docs.generators.pages import GeneratedPart, table
from exporter.sqlserver.gate.conditions import CONDITIONS, ConditionText
from exporter.sqlserver.gate.inputs import Answer
from exporter.sqlserver.gate.readiness import EVIDENCE
from exporter.sqlserver.gate.render import as_json, as_text
from tests.support.gate_factories import answer
from tests.support.sql_readings import a_reading, proof_rows, with_growing_logs

_DAY: Final = "2026-11-26T"
_FIELDS: Final = re.compile(r"(?:\{\w+\}\s?)+")


@cache
def _failing() -> Answer:
    """Return the answer about a SQL Server whose backups fail, although the vault side is ready."""
    errors = [{"code": "3303", "lines": 2, "first_utc": f"{_DAY}19:10:00", "last_utc": f"{_DAY}19:50:00"}]
    logs = [proof_rows("sales")["logs"][0] | {"limit_kb": 1_048_576, "used_kb": 1_040_384}]
    return answer(inventory=[], readings=[with_growing_logs(a_reading(sections={"errors": errors, "logs": logs}))])


def sample() -> str:
    """Return what the gate prints."""
    return f"```text\n{as_text(_failing())}```"


def evidence() -> str:
    """Return the rows on which *ready* rests: the table of the gate, the pages and the series."""
    rows = ((f"`{row}`", text.needs, text.source, text.missing) for row, text in EVIDENCE.items())
    return table(("row", "*ready* needs", "it comes from", "without it"), rows)


def brief_evidence() -> str:
    """Return the rows with what each needs alone, for a page that leads to the gate."""
    return table(("row", "*ready* needs"), ((f"`{row}`", text.needs) for row, text in EVIDENCE.items()))


def conditions() -> str:
    """Return a row for each condition: what the answer is if nothing worse is found, and the reason."""
    rows = ((f"`{name}`", "not ready" if row.known else "not known", _reason(row)) for name, row in CONDITIONS.items())
    return table(("`condition` in the JSON", "answer", "reason"), rows)


def _reason(row: ConditionText) -> str:
    """Return the text with a mark for each name and number that it gets."""
    return row.meaning or _FIELDS.sub(lambda found: "… " if found[0].endswith(" ") else "…", row.text).removesuffix(". …")


def fields() -> str:
    """Return a row for each list of the JSON with the fields of its entries."""
    found = {name: _entry(value) for name, value in as_json(_failing()).items()}
    return table(("list", "fields of each entry"), ((f"`{name}`", entry) for name, entry in found.items() if entry))


def _entry(value: object) -> str:
    first = next(iter(value), None) if isinstance(value, Iterable) and not isinstance(value, str) else None
    return ", ".join(f"`{name}`" for name in first) if isinstance(first, dict) else ""


EVIDENCE_PART = GeneratedPart("evidence", evidence)
BRIEF_EVIDENCE_PART = GeneratedPart("evidence", brief_evidence)
PARTS = (
    GeneratedPart("answer", sample),
    EVIDENCE_PART,
    GeneratedPart("flags", lambda: flags("gate")),
    GeneratedPart("conditions", conditions),
    GeneratedPart("fields", fields),
)
