"""Figures with median, spread and bounds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

LIMIT = 0.85  # the share of one core above which the server is the limit
COLUMNS = ("part", "what", "unit", "median", "lowest", "highest", "runs", "commit", "aim", "server busy", "how")


@dataclass(frozen=True, slots=True)
class Figure:
    """A quantity with a value for each run. `commit` and `aim` are bounds in the same unit, or None.

    `busy` is the largest share of one core that the server used, None if it received no request. `at_least` makes the bounds lower bounds.
    """

    what: str
    runs: Sequence[float]
    unit: str
    how: str
    commit: float | None = None
    aim: float | None = None
    at_least: bool = False
    busy: float | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.runs)

    @property
    def met(self) -> bool:
        """Whether the figure keeps the bound `commit`."""
        return self._keeps(self.commit)

    def _keeps(self, bound: float | None) -> bool:
        return bound is None or (self.median >= bound if self.at_least else self.median <= bound)

    def row(self, part: str) -> tuple[str, ...]:
        """The cells of `COLUMNS`."""
        sign, bounds = "≥" if self.at_least else "≤", (self.commit, self.aim)
        kept = ["" if one is None else f"{sign} {one:g}: {'met' if self._keeps(one) else 'not met'}" for one in bounds]
        busy = "" if self.busy is None else f"{100 * self.busy:.0f} %" + ", the limit" * (self.busy >= LIMIT)
        values = (short(self.median), short(min(self.runs)), short(max(self.runs)), str(len(self.runs)))
        return part, self.what, self.unit, *values, *kept, busy, self.how

    def line(self) -> str:
        """A line for a person."""
        _, what, unit, median, low, high, _, commit, aim, busy, how = self.row("")
        bounds = "; ".join(text for text in (f"{low} to {high}", commit, aim, busy and f"server {busy}", how) if text)
        return f"{what}: {f'{median} {unit}'.strip()} ({bounds})"


def short(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value == 0 or not math.isfinite(value):
        return str(value).removesuffix(".0")
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def ratios(some: Sequence[float], others: Sequence[float]) -> list[float]:
    """The ratios of two lists, run by run."""
    return [one / other for one, other in zip(some, others, strict=True)]
