"""Values that every package uses, and the small rules on them.

Imports only the standard library and msgspec: no I/O (but its own KQL files, at import), no clock, no log, and no table of codes or reasons (they are in
`knowledge`). `values` first: step, facts, fault; then `names` and `secrets`. Here are the three helpers for tables and lists.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from typing import TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


def grouped(pairs: Iterable[tuple[_Key, _Value]]) -> dict[_Key, list[_Value]]:
    """Return the values of each key; keys and values keep their order."""
    found = defaultdict[_Key, list[_Value]](list)
    for key, value in pairs:
        found[key].append(value)
    return dict(found)


def first_true(*rows: tuple[object, _Value], default: _Value) -> _Value:
    """Return the value of the first row whose condition is true."""
    return next((value for applies, value in rows if applies), default)


def counted(number: int, noun: str) -> str:
    """`1 file` or `2 files`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
