"""A scrape, compared with prometheus_client for the same series and values.

Compares both in memory, and measures the scrape on loopback to the last byte.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable, Iterator
from itertools import groupby

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from bench.figures import Figure, ratios
from bench.sizes import Sizes
from exporter.metrics.definitions import OF_OTHERS, TARGET_METRICS
from exporter.metrics.exposition import Exposition
from exporter.metrics.spec import MetricSpec

_FAMILIES: dict[str, MetricSpec] = {spec.name: spec for spec in (*TARGET_METRICS, *OF_OTHERS)}
_RUNS = 2  # of some seconds each
_TARGET = re.compile(r'[{,]target="([^"]+)"')


class Same(Collector):
    """A collector with the series of a scrape."""

    def __init__(self, text: str) -> None:
        self._families = list(text_string_to_metric_families(text))

    def collect(self) -> Iterable[Metric]:
        return self._families


def kept(text: str) -> str:
    """The families of a scrape that the exporter stores as text, without those of the process."""
    parts = re.split(r"(?m)^(?=# HELP )", text)
    return "".join(part for part in parts if part.split(" ", 3)[2:3] and part.split(" ", 3)[2] in _FAMILIES)


def filled(text: str) -> Exposition:
    """The exposition of the scraped exporter: lines by family and target."""
    exposition = Exposition(_FAMILIES.values())
    for part in re.split(r"(?m)^(?=# HELP )", text)[1:]:
        _, _, name, _ = part.split(" ", 3)
        lines = [line for line in part.splitlines(keepends=True) if not line.startswith("#")]
        for owner, of_owner in groupby(lines, key=_owner):
            exposition.put(name, owner, "".join(of_owner))
    return exposition


def _owner(line: str) -> str:
    found = _TARGET.search(line)
    return found[1] if found else line


async def whole(exposition: Exposition) -> bytes:
    return b"".join([chunk async for chunk in exposition.stream(openmetrics=False)])


async def timed(exposition: Exposition) -> float:
    """Seconds until the last piece. The pieces are discarded, as after sending."""
    begun = time.perf_counter()
    async for _ in exposition.stream(openmetrics=False):
        pass
    return time.perf_counter() - begun


def theirs(text: str, runs: int) -> list[float]:
    """Seconds of `generate_latest` for each run."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Same(text))
    took = []
    for _ in range(runs):
        begun = time.perf_counter()
        generate_latest(registry)
        took.append(time.perf_counter() - begun)
    return took


def exporter_runs(text: str, runs: int) -> list[float]:
    """Seconds of the exposition for each run. Raises RuntimeError if its bytes differ."""
    exposition = filled(text)
    if asyncio.run(whole(exposition)) != text.encode():
        raise RuntimeError("the exposition is not what was scraped")
    return [asyncio.run(timed(exposition)) for _ in range(runs)]


def figures(text: str, scrapes: list[float], sizes: Sizes) -> Iterator[Figure]:
    """The figures. `scrapes` are the seconds of the scrapes of the running exporter."""
    same = kept(text)
    size = f"{sizes.fleet:,} targets, {same.count(chr(10)):,} lines, {len(same) / 2**20:.1f} MB"
    runs = min(_RUNS, sizes.runs)
    fast, slow = exporter_runs(same, runs), theirs(same, runs)
    how = "in memory, piece by piece as a scrape takes it"
    yield Figure(what="the exposition of a scrape", runs=[1000 * one for one in fast], unit="ms", how=f"{size}; {how}")
    how = "the same series and values, in memory"
    yield Figure(what="the same by `prometheus_client.generate_latest`", runs=[1000 * one for one in slow], unit="ms", how=how)
    what = "the exposition of a scrape: times faster than `generate_latest`"
    how = "from the two figures above; what had to be rendered was rendered when the probes ended, which is in a probe's cost"
    yield Figure(what=what, runs=ratios(slow, fast), unit="times", commit=50, aim=100, at_least=True, how=how)
    how = "over loopback to the last byte, plain, while it probes"
    yield Figure(what="a scrape", runs=[1000 * one for one in scrapes], unit="ms", how=how)
