"""The parts of the benchmark in their order, with their headings. Each can run alone: `./dev bench storm`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from bench import (
    accuracy,
    day,
    exposed,
    exposition,
    failing,
    pages,
    probes,
    profile,
    scrapes,
    shards,
    spread,
    starts,
    steady,
    storm,
)
from bench.items import Item, Mark
from bench.programs import Bench, serving
from bench.sizes import Sizes
from bench.trees import Tree


class Place(IntEnum):
    """When a part runs, in this order. The first two measure memory, counts and coarse lags, and need no quiet machine."""

    TOGETHER = 0  # side by side, as many as there are cores
    FILLING = 1  # next to them with a lower priority, for as long as it takes
    WARMED = 2  # warm-ups side by side, then one measurement after another
    QUIET = 3  # alone


def _fleet(bench: Bench, sizes: Sizes) -> Iterator[Item]:
    with steady.observed(bench, sizes) as observer:
        yield Mark.WARM
        large = observer.observe()
    yield from steady.figures(large, sizes)
    yield from scrapes.figures(large.text, large.scrapes, sizes)
    small = steady.observe_small(bench, sizes)
    _, nothing = starts.once(bench)
    yield from steady.growth(small[None], large, nothing, sizes)
    if bench.other:
        yield from steady.pairs(small[bench.other], small[None], sizes)


@dataclass(frozen=True, slots=True)
class Part:
    """A part. `wait` is the time in seconds before each response of the server. `compares`: it yields pairs with another tree."""

    title: str
    measure: Callable[[Bench, Sizes], Iterator[Item]]
    place: Place
    wait: float = 0.0
    compares: bool = False

    def run(self, folder: Path, sizes: Sizes, other: Tree | None = None) -> Iterator[Item]:
        folder.mkdir()
        with serving(folder, wait=self.wait, other=other if self.compares else None) as bench:
            yield from self.measure(bench, sizes)


PARTS: dict[str, Part] = {
    "start": Part("Starting", starts.measure, Place.QUIET, compares=True),
    "probes": Part("What a probe costs", probes.measure, Place.QUIET, compares=True),
    "series": Part("Bytes and series of a target", exposed.measure, Place.QUIET, compares=True),
    "steps": Part("How exact a step's time is", accuracy.measure, Place.QUIET, wait=accuracy.WAIT),
    "fleet": Part("A large fleet at its steady pace", _fleet, Place.WARMED, compares=True),
    "shards": Part("Twice the fleet in two shards", shards.measure, Place.QUIET),
    "scrapes": Part("Scrapes of every kind, and their cost in Prometheus", exposition.measure, Place.WARMED, compares=True),
    "pages": Part("The status page of a large fleet", pages.measure, Place.WARMED),
    "storm": Part("When every vault is silent at once", storm.time_outs, Place.TOGETHER),
    "outages": Part("When every vault refuses or throttles", storm.outages, Place.TOGETHER),
    "spread": Part("Several exporters behind one Prometheus", spread.measure, Place.TOGETHER),
    "failing": Part("When everything fails for a long time", failing.measure_side_by_side, Place.TOGETHER),
    "day": Part("A day of one process", day.measure, Place.FILLING, compares=True),
    "profile": Part("Where the time of a probe goes", profile.measure, Place.TOGETHER),
}
