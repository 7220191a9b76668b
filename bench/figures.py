"""Figures with median, spread and bounds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

LIMIT = 0.85  # the share of one core above which the server is the limit
COLUMNS = ("part", "what", "unit", "median", "lowest", "highest", "runs", "commit", "aim", "server busy", "how", "before")


@dataclass(frozen=True, slots=True, kw_only=True)
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
        return self.commit is None or self._holds(self.commit)

    def _holds(self, bound: float) -> bool:
        return self.median >= bound if self.at_least else self.median <= bound

    def _bound(self, bound: float | None) -> str:
        if bound is None:
            return ""
        return f"{'≥' if self.at_least else '≤'} {bound:g}: {'met' if self._holds(bound) else 'not met'}"

    def _server(self) -> str:
        if self.busy is None:
            return ""
        return f"{100 * self.busy:.0f} %" + (", the limit" if self.busy >= LIMIT else "")

    def row(self, part: str, before: Figure | None = None) -> tuple[str, ...]:
        """The cells of `COLUMNS`. `before` is the same figure of another commit."""
        values = (short(self.median), short(min(self.runs)), short(max(self.runs)), str(len(self.runs)))
        bounds, earlier = (self._bound(self.commit), self._bound(self.aim)), short(before.median) if before else ""
        return part, self.what, self.unit, *values, *bounds, self._server(), self.how, earlier

    def line(self) -> str:
        """A line for a person."""
        _, what, unit, median, low, high, _, commit, aim, busy, how, _ = self.row("")
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


def percentile(found: Sequence[float], share: float) -> float:
    """The smallest value that is not exceeded by this share of the values."""
    return sorted(found)[max(0, math.ceil(share * len(found)) - 1)]
