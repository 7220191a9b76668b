"""A scrape, against what prometheus_client would take for the same series and values.

For: time from the request to the last byte over loopback, beside the mere rendering in memory by `generate_latest`.
Not for: what scrapes do to probes (see `steady`).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from bench.sizes import Sizes
from bench.table import Figure


class Same(Collector):
    """The series of a scrape, ready to be printed."""

    def __init__(self, text: str) -> None:
        self._families = list(text_string_to_metric_families(text))

    def collect(self) -> Iterable[Metric]:
        return self._families


def rendered(text: str, runs: int) -> list[float]:
    """Seconds that `generate_latest` takes, once for each run."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Same(text))
    took = []
    for _ in range(runs):
        begun = time.perf_counter()
        generate_latest(registry)
        took.append(time.perf_counter() - begun)
    return took


def figures(text: str, scrapes: list[float], sizes: Sizes) -> Iterator[Figure]:
    """`scrapes` in seconds, as they were made of the running exporter."""
    theirs = rendered(text, sizes.runs)
    size = f"{sizes.fleet:,} targets, {text.count(chr(10)):,} lines, {len(text) / 2**20:.1f} MB"
    how = f"{size}; over loopback to the last byte, plain, while it probes"
    yield Figure(what="a scrape", runs=[1000 * one for one in scrapes], unit=" ms", how=how)
    how = "the same series, in memory, nothing else running"
    yield Figure(what="the same by `prometheus_client.generate_latest`", runs=[1000 * one for one in theirs], unit=" ms", how=how)
    faster = [one / statistics.median(scrapes) for one in theirs]
    what = "**a scrape: times faster than `generate_latest`**"
    yield Figure(
        what=what, runs=faster, unit=" times", commit=50, aim=100, at_least=True, how="each run against the median scrape"
    )
