"""`Explanation`, the meaning of a text; the explanation of a code by itself needs no other table than that of the codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.core.codes import ConnectorError, find

if TYPE_CHECKING:  # the reasons take longer to import than all codes
    from exporter.core.reasons import Reason

LONGEST = 16_000  # characters of a pasted text that are read
_AROUND = " \t\r\n.,;:()[]'\""  # around a code in a sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The meaning of one text.

    `rows` are connector codes: the whole result, or the codes that belong to the other fields.
    """

    title: str = ""
    summary: str = ""
    causes: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()  # lines to copy
    rows: tuple[ConnectorError, ...] = ()
    effect: str = ""  # of a text without a code
    reason: Reason | None = None  # if the text stands for one

    @property
    def is_code(self) -> bool:
        """Whether the text is a connector code and nothing else needs to be shown."""
        return not self.title


def explain_codes(*rows: ConnectorError | None) -> Explanation | None:
    """Explain codes by themselves; None without any."""
    found = tuple(row for row in rows if row is not None)
    return Explanation(rows=found) if found else None


def explain_exactly(text: str) -> Explanation | None:
    """Explain a text that is nothing but a code or a symbol."""
    return explain_codes(*find(trim(text)))


def trim(text: str) -> str:
    """Return the text in one line, without what stands around it in a sentence."""
    return join_lines(text).strip(_AROUND)


def join_lines(text: str) -> str:
    """Return the text in one line: a console breaks sentences anywhere."""
    return " ".join(text[:LONGEST].split())
