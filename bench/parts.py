"""The parts of the benchmark in their order, with their headings. Each can run alone: `./dev bench storm`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import accuracy, day, exposition, failing, pages, probes, scrapes, shards, spread, starts, steady, storing, storm
from bench.programs import Bench, serving
from bench.sizes import Sizes
from bench.table import Figure


def _fleet(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    _, nothing = starts.once(bench)
    large = steady.observe(bench, steady.large(sizes), sizes, scraped=True)
    yield from steady.figures(large, sizes)
    yield from scrapes.figures(large.text, large.scrapes, sizes)
    small = steady.observe(bench, steady.small(sizes), sizes, scraped=False)
    yield from steady.growth(small, large, nothing, sizes)


@dataclass(frozen=True, slots=True)
class Part:
    """A part. `wait` is the time in seconds before each response of the server."""

    title: str
    measure: Callable[[Bench, Sizes], Iterator[Figure]]
    wait: float = 0.0

    def run(self, folder: Path, sizes: Sizes) -> Iterator[Figure]:
        folder.mkdir()
        with serving(folder, wait=self.wait) as bench:
            yield from self.measure(bench, sizes)


PARTS: dict[str, Part] = {
    "start": Part("Starting", starts.measure),
    "probes": Part("What a probe costs", probes.measure),
    "steps": Part("How exact a step's time is", accuracy.measure, wait=accuracy.WAIT),
    "fleet": Part("A large fleet at its steady pace", _fleet),
    "shards": Part("Twice the fleet in two shards", shards.measure),
    "scrapes": Part("Scrapes of every kind", exposition.measure),
    "pages": Part("The status page of a large fleet", pages.measure),
    "storm": Part("When everything fails at once", storm.measure),
    "failing": Part("When everything fails for a long time", failing.measure),
    "day": Part("A day of one process", day.measure),
    "storing": Part("What the series cost Prometheus", storing.measure),
    "spread": Part("Several exporters behind one Prometheus", spread.measure),
}
