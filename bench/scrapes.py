"""A scrape, compared in memory with prometheus_client for the same series and values."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import groupby

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from bench.figures import Figure, ratios
from bench.sizes import Sizes
from exporter.metrics.exposition import Exposition
from exporter.metrics.families import SHARED_METRICS
from exporter.metrics.target_families import TARGET_METRICS, MetricType
from exporter.metrics.text import HistogramText

_FAMILIES = {spec.name: spec for spec in (*TARGET_METRICS, *SHARED_METRICS)}
_RUNS = 2  # of some seconds each
_FAMILY = re.compile(r"(?m)^(?=# HELP )")
_TARGET = re.compile(r'[{,]target="([^"]+)"')


class Same(Collector):
    """A collector with the series of a scrape."""

    def __init__(self, text: str) -> None:
        self._families = list(text_string_to_metric_families(text))

    def collect(self) -> Iterable[Metric]:
        return self._families


def kept(text: str) -> dict[str, str]:
    """The families of a scrape that the exporter stores as text, without those of the process."""
    parts = {part.split(" ", 3)[2]: part for part in _FAMILY.split(text)[1:]}
    return {name: part for name, part in parts.items() if name in _FAMILIES}


def filled(families: dict[str, str]) -> Exposition:
    """The exposition of the scraped exporter: lines by family and target."""
    exposition = Exposition(_FAMILIES.values())
    for name, part in families.items():
        lines = [line for line in part.splitlines(keepends=True) if not line.startswith("#")]
        for owner, of_owner in groupby(lines, key=_owner):
            mine, kind = list(of_owner), _FAMILIES[name].kind
            stored = _histogram(mine) if kind is MetricType.HISTOGRAM else "".join(mine).encode()
            exposition.put([(name, owner, stored, b"")])
    return exposition


def _histogram(lines: list[str]) -> HistogramText:
    """The histograms of a target as the exporter stores them: in parts, the equal ones once."""
    base = lines[0][lines[0].index('target="') : lines[0].rindex("}")]
    starts, _, ends = zip(*(line.partition(base) for line in lines), strict=True)
    return HistogramText(tuple(map(_part, starts)), base.encode(), tuple(map(_part, ends)))


@cache
def _part(text: str) -> bytes:
    return text.encode()


def _owner(line: str) -> str:
    found = _TARGET.search(line)
    return found[1] if found else line


async def timed(exposition: Exposition, text: bytes) -> float:
    """Seconds until the last piece. Raises RuntimeError if the pieces are not the text."""
    begun = time.perf_counter()
    pieces = [piece async for piece in exposition.stream(openmetrics=False)]
    took = time.perf_counter() - begun
    if b"".join(pieces) != text:
        raise RuntimeError("the exposition is not what was scraped")
    return took


def theirs(text: str) -> float:
    """Seconds of `generate_latest`."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Same(text))
    begun = time.perf_counter()
    generate_latest(registry)
    return time.perf_counter() - begun


def figures(text: str, scrapes: list[float], sizes: Sizes) -> Iterator[Figure]:
    """The figures. `scrapes` are the seconds of the scrapes of the running exporter."""
    families = kept(text)
    same, exposition, runs = "".join(families.values()), filled(families), range(min(_RUNS, sizes.runs))
    fast, slow = ([asyncio.run(timed(exposition, same.encode())) for _ in runs], [theirs(same) for _ in runs])
    how = f"{sizes.fleet:,} targets, {same.count(chr(10)):,} lines, {len(same) / 2**20:.1f} MB; in memory, piece by piece as a scrape takes it"
    yield Figure(what="the exposition of a scrape", runs=[1000 * one for one in fast], unit="ms", how=how)
    how = "the same series and values, in memory"
    yield Figure(
        what="the exposition by `prometheus_client.generate_latest`", runs=[1000 * one for one in slow], unit="ms", how=how
    )
    what = "the exposition of a scrape: times faster than `generate_latest`"
    how = "from the two figures above; what had to be rendered was rendered when the probes ended, which is in a probe's cost"
    yield Figure(what=what, runs=ratios(slow, fast), unit="times", commit=50, aim=100, at_least=True, how=how)
    how = "over loopback to the last byte, plain, while it probes"
    yield Figure(what="a scrape", runs=[1000 * one for one in scrapes], unit="ms", how=how)
