"""The tables of docs/sizing.md, from the figures in docs/maintainers/performance.csv."""

from __future__ import annotations

import math
from dataclasses import dataclass

from docs.generators.cardinality import most_series, of_a_sql_server, of_each_database
from docs.generators.pages import GeneratedPart
from docs.generators.performance import FIGURES, figures
from exporter.metrics.spec import Level

FLEET, EVERY = 5000, 60.0  # targets of the measured fleet, seconds between two probes
MOST_CORES = 0.5  # of an exporter in normal operation
TARGETS = (100, 1000, 5000, 10_000, 20_000, 100_000)
HISTORY_MB = 64.0  # the bound of `--history.limit` in its default
WAITING_MB = 0.3  # a probe that waits for a silent vault, see the figures of the parts storm and failing
_MB, _KB = 1 / 1024, 1 / 1024**2  # in GB


@dataclass(frozen=True, slots=True)
class Costs:
    """The measured costs, rounded as the page shows them."""

    probe_ms: float
    base_mb: float
    target_kb: float
    series_kb: float
    sample_us: float


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
        ("a probe that waits for a silent vault", f"{WAITING_MB:g} MB", "memory, until its timeout"),
        ("a target", f"{most_series(Level.FULL)} series at most", "Prometheus"),
        ("a SQL Server that the exporter reads, without groups", sql_server, "Prometheus"),
        ("a series", f"{cost.series_kb:g} KB", "memory of Prometheus"),
        ("a sample", f"{cost.sample_us:g} µs", "processor time of Prometheus"),
    )
    return _table(("what", "costs", "of"), rows)


def totals() -> str:
    """Return the table of totals, which is arithmetic with the unit costs."""
    cost, of_one = costs(), most_series(Level.FULL)
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


def levels() -> str:
    """Return the most series of each level."""
    rows = []
    for level, purpose in _ENOUGH.items():
        classic, native = most_series(level), most_series(level, native=True)
        of_many = f"{classic * FLEET:,} or {native * FLEET:,}"
        rows.append((f"`{level}`", f"{classic}", f"{native}", of_many, purpose))
    head = ("`--metrics.level`", "series of a target, at most", "with native histograms", f"{FLEET:,} targets", "enough for")
    return _table(head, rows)


def failing() -> str:
    """Return the memory of failing fleets."""
    sizes, ways = ("1,000", "2,500"), ("silent name servers", "silence after TLS", "refusal")
    memory = {way: [f"{_number(f'{size} targets, {way}: resident memory'):.0f} MB" for size in sizes] for way in ways}
    return _table(
        ("memory", *(f"{size} targets" for size in sizes)),
        [(f"every probe fails by {way}", *cells) for way, cells in memory.items()],
    )


def _table(head: tuple[str, ...], rows: object) -> str:
    lines = [head, ("---",) * len(head), *rows]  # type: ignore[misc]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


PARTS = (
    GeneratedPart("unit costs", unit_costs),
    GeneratedPart("memory of failing fleets", failing),
    GeneratedPart("totals", totals),
    GeneratedPart("series of the levels", levels),
)
