"""The tables of docs/sizing.md, from the figures in docs/maintainers/performance.csv."""

from __future__ import annotations

import bisect
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from bench.failing import LIMIT, WAYS
from docs.generators.cardinality import most_series, of_a_sql_server, of_each_database
from docs.generators.pages import GeneratedPart, table
from docs.generators.performance import FIGURES, figures
from exporter.metrics.spec import Level

FLEET, EVERY = 5000, 60.0  # targets of the measured fleet, seconds between two probes
MOST_CORES, MOST_MEMORY = 0.5, 0.75  # of an exporter's core in normal operation; of a machine's memory while everything fails
MACHINES = ((1, 0.5), (1, 1), (2, 1), (2, 4), (4, 8))  # cores, GB
INTERVALS = {"30 s": 30.0, "60 s": 60.0, "5 min": 300.0}
TIMEOUT, AUXILIARY = 10.0, 300.0  # seconds, the defaults of a probe's timeout and of the time between two auxiliary probes
TARGETS = (100, 1000, 5000, 10_000, 20_000, 100_000)
HISTORY_MB = 64.0  # the bound of `--history.limit` in its default
WAITING_MB = 0.3  # a probe that waits for a silent vault: an estimate, since no figure shows it alone
_KB = 1 / 1024**2  # in GB


@dataclass(frozen=True, slots=True)
class Costs:
    """The measured costs, rounded as the page shows them."""

    probe_ms: float
    base_mb: float
    target_kb: float
    series_kb: float
    sample_us: float

    def processor_ms(self, every: float) -> float:
        """Return the cost of a probe at this interval. An auxiliary probe is assumed to cost as much."""
        return self.probe_ms * (1 + min(1.0, every / AUXILIARY)) / (1 + EVERY / AUXILIARY)

    def memory_mb(self, targets: float, exporters: int) -> float:
        """Return the memory of exporters that share these targets."""
        history = HISTORY_MB * min(exporters, targets / FLEET)
        return exporters * self.base_mb + targets * self.target_kb / 1024 + history


def _number(what: str) -> float:
    """Return the median of a figure. Raise LookupError if it is missing."""
    try:
        return float(figures()[what]["median"].replace(",", ""))
    except KeyError:
        raise LookupError(f"{FIGURES.name} has no figure {what}") from None


def _two_digits(what: str) -> float:
    return float(f"{_number(what):.2g}")


def costs() -> Costs:
    """Return the measured costs. Raise LookupError if one is missing."""
    return Costs(
        probe_ms=_two_digits("5,000 targets every 60 s: processor time a probe"),
        base_mb=_two_digits("a process with one target: memory"),
        target_kb=_two_digits("memory a target, 5,000 targets"),
        series_kb=_two_digits("5,000 targets in one Prometheus: memory a series"),
        sample_us=_two_digits("5,000 targets in one Prometheus: processor time a sample"),
    )


def unit_costs() -> str:
    cost, sql_server = costs(), f"{of_a_sql_server(Level.FULL)} series, and {of_each_database(Level.FULL)} a database, at most"
    rows = (
        ("a probe, with its share of auxiliary probes", f"{cost.probe_ms:g} ms", "processor time of the exporter"),
        ("an exporter without targets", f"{cost.base_mb:g} MB", "memory"),
        ("a target", f"{cost.target_kb:g} KB", "memory"),
        ("the history of all targets together", f"{HISTORY_MB:g} MB at most", "memory"),
        ("a probe that waits for a silent vault", f"{WAITING_MB:g} MB, estimated", "memory, until its timeout"),
        ("a target", f"{most_series(Level.FULL)} series at most", "Prometheus"),
        ("a SQL Server that the exporter reads, without groups", sql_server, "Prometheus"),
        ("a series", f"{cost.series_kb:g} KB", "memory of Prometheus"),
        ("a sample", f"{cost.sample_us:g} µs", "processor time of Prometheus"),
    )
    return table(("what", "costs", "of"), rows)


def machines() -> str:
    """Return the table of how many vaults each machine has room for, and what limits their number."""
    cost, rows = costs(), []
    for cores, size in MACHINES:
        name = f"{cores} core{'s' * (cores > 1)}, {f'{size} GB' if size >= 1 else f'{1024 * size:.0f} MB'}"
        name += " (the chart's limit)" * (1024 * size == LIMIT)
        rows.append((name, f"{cores}", *(_most(cost, cores, 1024 * size, every) for every in INTERVALS.values())))
    head = ("machine", "exporters", *(f"vaults every {interval}" for interval in INTERVALS))
    return table(head, rows)


def _most(cost: Costs, cores: int, memory_mb: float, every: float) -> str:
    """Return the most vaults, rounded down, and what runs out first. In memory, each probe waits until its timeout."""
    by_processor = MOST_CORES * cores * every * 1000 / cost.processor_ms(every)
    waiting = WAITING_MB * TIMEOUT / every
    by_memory = _largest(lambda targets: cost.memory_mb(targets, cores) + targets * waiting <= MOST_MEMORY * memory_mb)
    most, what = min((by_processor, "processor"), (by_memory, "memory"))
    step = min(500, 10 ** max(0, math.floor(math.log10(most)) - 1))
    return f"{step * math.floor(most / step):,} ({what})"


def _largest(fits: Callable[[int], bool]) -> int:
    """Return the largest number of targets that fit."""
    return bisect.bisect_left(range(10**7), True, key=lambda targets: not fits(targets)) - 1


def totals() -> str:
    """Return the table of totals, which is arithmetic with the unit costs."""
    cost, of_one = costs(), most_series(Level.FULL)
    rows = []
    for targets in TARGETS:
        probes, all_series = targets / EVERY, targets * of_one
        cores = probes * cost.probe_ms / 1000
        exporters = math.ceil(cores / MOST_CORES)
        memory = cost.memory_mb(targets, exporters) / 1024
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
    return table(head, rows)


def _amount(value: float) -> str:
    return f"{value:.{2 if value < 1 else 1 if value < 10 else 0}f}"


_ENOUGH = {
    Level.MINIMAL: "alerts and recording rules",
    Level.DEFAULT: "also dashboards",
    Level.FULL: "every bucket, every phase",
}


def levels() -> str:
    """Return the most series of each level."""
    rows = []
    for level, purpose in _ENOUGH.items():
        classic, native = most_series(level), most_series(level, native=True)
        of_many = f"{classic * FLEET:,} or {native * FLEET:,}"
        rows.append((f"`{level}`", f"{classic}", f"{native}", of_many, purpose))
    head = ("`--metrics.level`", "series of a target, at most", "with native histograms", f"{FLEET:,} targets", "enough for")
    return table(head, rows)


def failing() -> str:
    """Return the memory of failing fleets: of the ways in which at least half of the probes failed, with every size."""
    names = {way: [f"{size} targets, {way}: resident memory" for size in ("1,000", "2,500")] for way in WAYS}
    rows = [
        (f"every probe fails by {way}", *(f"{_number(name):.0f} MB" for name in both))
        for way, both in names.items()
        if all(mostly_failed(figures().get(name, {}).get("how", "")) for name in both)
    ]
    return table(("peak memory", "1,000 targets", "2,500 targets"), rows)


def mostly_failed(how: str) -> bool:
    """Return whether at least half of the probes of a figure failed. The others were tainted or left out."""
    found = re.search(r"([\d,]+) probes failed, ([\d,]+) were tainted or left out", how)
    failed, others = (int(number.replace(",", "")) for number in found.groups()) if found else (0, 1)
    return failed >= others


PARTS = (
    GeneratedPart("machines", machines),
    GeneratedPart("unit costs", unit_costs),
    GeneratedPart("memory of failing fleets", failing),
    GeneratedPart("totals", totals),
    GeneratedPart("series of the levels", levels),
)
