"""The parts of the benchmark. Each can run alone: `./dev bench storm`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from bench import accuracy, day, exposition, failing, probes, profile, readings, rules, starts, steady, storm
from bench.figures import Figure
from bench.programs import Bench, serving
from bench.rules import RULES
from bench.sizes import Sizes


@dataclass(frozen=True, slots=True)
class Part:
    """A part. `quiet`: nothing else may run meanwhile. `wait` is the time in seconds before each response of the server."""

    measure: Callable[[Bench, Sizes], Iterator[Figure]]
    quiet: bool = True
    wait: float = 0.0


PARTS: dict[str, Part] = {
    "start": Part(starts.measure),
    "probes": Part(probes.measure),
    "profile": Part(profile.measure),
    "steps": Part(accuracy.measure, wait=accuracy.WAIT),
    "fleet": Part(steady.measure),
    "scrapes": Part(exposition.measure),
    "readings": Part(readings.measure, wait=readings.WAIT),
    "pages": Part(exposition.measure_page),
    "failing": Part(failing.measure, quiet=False),
    "rules": Part(rules.measure, quiet=False),
    "storm": Part(storm.measure),
    "day": Part(day.measure, quiet=False),
}


@dataclass(slots=True)
class Outcome:
    """The figures of a part, and why it ended early, or an empty text."""

    figures: list[Figure] = field(default_factory=list)
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The settings of a run. `tree` holds another commit to measure, None for this one. `on_figure` may be called by several threads."""

    sizes: Sizes
    folder: Path
    on_figure: Callable[[str, Figure], None]
    tree: Path | None = None
    rules: Sequence[Path] = (RULES,)

    def outcome(self, name: str) -> Outcome:
        """Run one part. What it raises is its reason, so that the others can run."""
        part, found, folder = PARTS[name], Outcome(), self.folder / name
        folder.mkdir(parents=True)
        try:
            with serving(folder, wait=part.wait, tree=self.tree, rules=self.rules) as bench:
                for figure in part.measure(bench, self.sizes):
                    found.figures.append(figure)
                    self.on_figure(name, figure)
        except Exception as error:  # noqa: BLE001 - the other parts must run
            found.reason = f"{type(error).__name__}: {' '.join(str(error).split())[-300:]}"
        return found


def outcomes(runs: Sequence[Run], names: Sequence[str]) -> list[dict[str, Outcome]]:
    """Measure each part in all trees before the next part: the machine may change during a run.

    First those that need no quiet machine, as many at once as there are cores; then one after another.
    """
    each = [(number, name) for name in names for number in range(len(runs))]
    together = [one for one in each if not PARTS[one[1]].quiet]
    with ThreadPoolExecutor(max(2, os.cpu_count() or 1)) as cores:
        found = dict(zip(together, cores.map(lambda one: runs[one[0]].outcome(one[1]), together), strict=True))
    found |= {(number, name): runs[number].outcome(name) for number, name in each if (number, name) not in found}
    return [{name: found[number, name] for name in names} for number in range(len(runs))]
