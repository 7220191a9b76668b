"""Writes the tables of docs/sizing.md from the figures in docs/performance.md.

`./dev bench` runs it after a whole run, `./dev docs` at any time.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from docs.generators.cardinality import MOST_SERIES
from docs.generators.pages import GeneratedPart
from exporter.metrics.spec import Level

DOCS = Path(__file__).parent.parent
FLEET, EVERY = 5000, 60.0  # targets of the measured fleet, seconds between two probes
MOST_CORES = 0.5  # of an exporter in normal operation
TARGETS = (100, 1000, 5000, 10_000, 20_000, 100_000)
HISTORY_MB = 64.0  # the bound of `--history.limit` in its default
WAITING_MB = 0.3  # a probe that waits for a silent vault, see docs/soak.md
_MB, _KB = 1 / 1024, 1 / 1024**2  # in GB


@dataclass(frozen=True, slots=True)
class Costs:
    """The measured costs, rounded as the page shows them."""

    probe_ms: float
    base_mb: float
    target_kb: float
    series_kb: float
    sample_us: float


@dataclass(frozen=True, slots=True)
class Series:
    """The measured series of a target at a level, with classic and with native histograms."""

    classic: int
    native: int


def _found(pattern: str, page: str) -> re.Match[str]:
    found = re.search(pattern, page, re.MULTILINE)
    if found is None:
        raise LookupError(f"docs/performance.md has no figure {pattern}")
    return found


def _two_digits(value: float) -> float:
    return float(f"{value:.2g}")


def costs(page: str) -> Costs:
    """Return the costs of docs/performance.md. Raise LookupError if one is missing."""
    patterns = (
        r"^\| 5,000 targets every 60 s: processor time a probe \| ([\d.]+) ms",
        r"^\| memory a target, 5,000 targets \|.*process with one target \(([\d.]+) MB\)",
        r"^\| memory a target, 5,000 targets \| ([\d.]+) KB",
        r"its resident memory \|.*\| ([\d.]+) KB a series",
        r"its processor time for a scrape \|.*\| ([\d.]+) µs a sample",
    )
    return Costs(*(_two_digits(float(_found(pattern, page)[1])) for pattern in patterns))


def series(page: str, level: Level) -> Series:
    """Return the series of a target at a level. Raise LookupError if they are missing."""
    row = _found(rf"^\| series of a target, level `{level}` \| ([\d.]+) .* (\d+) with native histograms \|$", page)
    return Series(round(float(row[1])), int(row[2]))


def unit_costs(page: str) -> str:
    cost, full = costs(page), series(page, Level.FULL)
    rows = (
        ("a probe, with its share of auxiliary probes", f"{cost.probe_ms:g} ms", "processor time of the exporter"),
        ("an exporter without targets", f"{cost.base_mb:g} MB", "memory"),
        ("a target", f"{cost.target_kb:g} KB", "memory"),
        ("the history of all targets together", f"{HISTORY_MB:g} MB at most", "memory"),
        ("a probe that waits for a silent vault", f"{WAITING_MB:g} MB", "memory, until its timeout"),
        ("a target", f"{full.classic} series (at most {MOST_SERIES[Level.FULL]})", "Prometheus"),
        ("a series", f"{cost.series_kb:g} KB", "memory of Prometheus"),
        ("a sample", f"{cost.sample_us:g} µs", "processor time of Prometheus"),
    )
    return _table(("what", "costs", "of"), rows)


def totals(page: str) -> str:
    """Return the table of totals, which is arithmetic with the unit costs."""
    cost, of_one = costs(page), series(page, Level.FULL).classic
    rows = []
    for targets in TARGETS:
        probes, all_series = targets / EVERY, targets * of_one
        cores = probes * cost.probe_ms / 1000
        exporters = math.ceil(cores / MOST_CORES)
        history = exporters * HISTORY_MB * min(1.0, targets / FLEET / exporters)
        memory = exporters * cost.base_mb * _MB + targets * cost.target_kb * _KB + history * _MB
        prometheus = all_series * cost.series_kb * _KB
        rate = f"{probes:,.0f}" if probes >= 100 else f"{probes:.1f}"
        rows.append(
            (
                f"{targets:,}", rate, f"{exporters}", _amount(cores), f"{memory:.1f} GB", f"{all_series:,}", f"{all_series / EVERY:,.0f}",
                f"{_amount(prometheus)} GB",
            )
        )  # fmt: skip
    head = (
        "targets", "probes a second", "exporters", "cores", "memory, all exporters", "series", "samples a second", "memory of Prometheus",
    )  # fmt: skip
    return _table(head, rows)


def _amount(value: float) -> str:
    return f"{value:.{2 if value < 1 else 1 if value < 10 else 0}f}"


_ENOUGH = {
    Level.MINIMAL: "alerts and recording rules",
    Level.DEFAULT: "also dashboards",
    Level.FULL: "every bucket, every phase",
}


def levels(page: str) -> str:
    """Return the series of each level."""
    rows = []
    for level, purpose in _ENOUGH.items():
        found, most = series(page, level), MOST_SERIES[level]
        native = most - found.classic + found.native
        of_many = f"{found.classic * FLEET:,} or {found.native * FLEET:,}"
        rows.append((f"`{level}`", f"{found.classic} (at most {most})", f"{found.native} (at most {native})", of_many, purpose))
    head = ("`--metrics.level`", "series of a target", "with native histograms", f"{FLEET:,} targets", "enough for")
    return _table(head, rows)


def _table(head: tuple[str, ...], rows: object) -> str:
    lines = [head, ("---",) * len(head), *rows]  # type: ignore[misc]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _from_performance(write: Callable[[str], str]) -> Callable[[], str]:
    return lambda: write((DOCS / "performance.md").read_text(encoding="utf-8"))


PARTS = tuple(
    GeneratedPart(name, _from_performance(write))
    for name, write in (("unit costs", unit_costs), ("totals", totals), ("series of the levels", levels))
)


def main(paths: list[str]) -> None:
    for part in PARTS:
        part.main(paths)


if __name__ == "__main__":
    main(sys.argv[1:])
