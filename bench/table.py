"""Figures with median and spread, and their Markdown table."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

HEADER = ("what", "median", "lowest to highest", "runs", "commit", "aim", "server busy", "how it was measured")
LIMIT = 0.85  # the share of one core above which the server is the limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A line of the table with a value for each run. `commit` and `aim` are bounds in the same unit, or None.

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

    def line(self) -> str:
        low, high = short(min(self.runs)), short(max(self.runs))
        cells = (
            self.what,
            f"{short(self.median)}{self.unit}",
            f"{low} to {high}",
            str(len(self.runs)),
            self._bound(self.commit),
            self._bound(self.aim),
            self._server(),
            self.how,
        )
        return f"| {' | '.join(cells)} |"

    def _bound(self, bound: float | None) -> str:
        if bound is None:
            return ""
        return f"{'≥' if self.at_least else '≤'} {bound:g}: {'met' if self._holds(bound) else '**not met**'}"

    def _holds(self, bound: float) -> bool:
        return self.median >= bound if self.at_least else self.median <= bound

    @property
    def met(self) -> bool:
        """Whether the figure keeps the bound `commit`."""
        return self.commit is None or self._holds(self.commit)

    @property
    def reached(self) -> bool:
        """Whether the figure keeps the bound `aim`."""
        return self.aim is None or self._holds(self.aim)

    def _server(self) -> str:
        if self.busy is None:
            return ""
        return f"{100 * self.busy:.0f} %" + (", **the limit**" if self.busy >= LIMIT else "")


def short(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value == 0 or not math.isfinite(value):
        return str(value).removesuffix(".0")
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def ratios(exporter_runs: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """The ratios of two lists, run by run."""
    return [one / other for one, other in zip(exporter_runs, theirs, strict=True)]


def percentile(found: Sequence[float], share: float) -> float:
    """The smallest value that is not exceeded by this share of the values."""
    return sorted(found)[max(0, math.ceil(share * len(found)) - 1)]


def table(figures: Sequence[Figure]) -> str:
    head = [f"| {' | '.join(HEADER)} |", "|" + " --- |" * len(HEADER)]
    return "\n".join([*head, *(figure.line() for figure in figures)]) + "\n"
