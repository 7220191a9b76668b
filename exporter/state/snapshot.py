"""The document of a target that the state directory keeps, and back.

The document holds the kept facts of the record: last success and verdict, facts about key and vault, the last failures. It names the
vault and the keys that they are about, because the configuration may change while the exporter is down. Counters are left out:
Prometheus expects them to start at 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, convert, json

from exporter.knowledge.codes import BY_CODE
from exporter.knowledge.verdict import WHY
from exporter.state.record import FACTS, Kept, TargetRecord, failed_among, same_scopes, subjects


class DamagedError(ValueError):
    """The document is not one that `snapshot` made."""


class _Document(Struct):
    subjects: tuple[str, str, str | None]
    facts: Kept


def snapshot(record: TargetRecord) -> dict[str, Any]:
    """A document of values that `msgspec` encodes as JSON."""
    return {
        "subjects": subjects(record.target),
        "facts": Kept(**{name: getattr(record, name) for name in Kept.__struct_fields__}),
    }


def restore(record: TargetRecord, document: Mapping[str, Any]) -> None:
    """Restore facts about the same vault and key into a record without a probe. Raises DamagedError, and then changes nothing."""
    try:
        found = convert(document, _Document)
        json.encode(found)  # a lone surrogate cannot be printed
    except (ValueError, RecursionError) as error:  # of msgspec too; its text may hold the value
        raise DamagedError(f"is damaged ({type(error).__name__})") from None
    _check(found.facts)
    same = same_scopes(found.subjects, record.target)
    for name in Kept.__struct_fields__:
        if FACTS[name] in same:
            setattr(record, name, getattr(found.facts, name))


def _check(facts: Kept) -> None:
    """Raise DamagedError for states of other failures, and for a code or verdict of another version that no page can explain."""
    failed = (*facts.recent_failures, *(each.failure for each in facts.changes))
    codes = {each.code for each in failed} | {each.code for each in facts.last_failures} - {None}
    is_shown = facts.verdict is None or (facts.verdict.why in WHY and facts.verdict.stolen is None)  # a discarded one is not kept
    if len(facts.recent_failures) != failed_among(facts.recent) or not codes <= BY_CODE.keys() or not is_shown:
        raise DamagedError("is damaged (states, codes or verdict)")
