"""Series of a target at each level, and its bytes in each format."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from statistics import mode

from bench.exposition import PROTOBUF, settle
from bench.figures import Figure
from bench.programs import Bench, Fleet, exporter
from bench.prometheus import until
from bench.querying import drained, metrics
from bench.sizes import Sizes

LEVELS = ("minimal", "default", "full")
FORMATS = {"text": "text/plain", "protobuf": PROTOBUF}
_SERIES = re.compile(r'^([a-zA-Z_:][\w:]*)\{(?:[^\n]*,)?target="([^"]*)"', re.MULTILINE)
_TARGETS = 200
_ALIKE = 0.95


def measure(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    targets = min(_TARGETS, sizes.small_fleet)
    fleet = Fleet(targets=targets, credentials=max(1, targets // 20), interval=sizes.fleet_interval)
    for level in LEVELS:
        with exporter(bench, fleet, "--metrics.level", level) as running:
            settle(running)
            with suppress(RuntimeError):  # on a busy machine some probes are tainted, and are made again
                until(lambda url=running.url: alike(metrics(url)) >= _ALIKE, "targets have as many series", seconds=3 * sizes.fleet_interval)  # type: ignore[misc]
            found = series(metrics(running.url))
            sizes_of = {name: drained(running.url, {"Accept": kind}) / 1024 / targets for name, kind in FORMATS.items()}
        how = f"{found['of histograms']:.0f} of histograms, {found['of other metrics']:.0f} others"
        yield Figure(what=f"series of a target, level `{level}`", runs=[found["all"]], unit="", how=how)
        native, how = found["with native histograms"], "each histogram is one series"
        yield Figure(what=f"series of a target with native histograms, level `{level}`", runs=[native], unit="", how=how)
        how = f"`/metrics` of {targets:,} healthy targets with the metrics of the process, divided by their number"
        for name, size in sizes_of.items():
            yield Figure(what=f"a target in {name}, level `{level}`", runs=[size], unit="KB", how=how)


def series(text: str) -> dict[str, int]:
    """The number of series of a usual target by kind. With native histograms, each histogram is one series."""
    histograms = set(re.findall(r"^# TYPE (\S+) histogram$", text, re.MULTILINE))
    of_target: dict[str, Counter[str]] = {}
    for name, target in _SERIES.findall(text):
        family, _, suffix = name.rpartition("_")
        counts = of_target.setdefault(target, Counter())
        counts["all"] += 1
        counts["of histograms" if family in histograms else "of other metrics"] += 1
        counts["with native histograms"] += family not in histograms or suffix == "count"
    usual = mode(counts["all"] for counts in of_target.values())
    return dict(next(counts for counts in of_target.values() if counts["all"] == usual))


def alike(text: str) -> float:
    """The share of targets with the usual number of series: below 1 while probes fail or are tainted."""
    found = Counter(Counter(target for _, target in _SERIES.findall(text)).values())
    return max(found.values(), default=0) / max(1, found.total())
