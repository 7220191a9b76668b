"""The parts of the benchmark. Each can run alone: `./dev bench fleet`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import accuracy, exposition, failing, probes, prometheus, starts, steady
from bench.figures import Figure
from bench.programs import Bench, serving
from bench.sizes import Sizes

PARTS: dict[str, Callable[[Bench, Sizes], Iterator[Figure]]] = {
    "start": starts.measure,
    "probes": probes.measure,
    "steps": accuracy.measure,
    "fleet": steady.measure,
    "pages": exposition.measure,
    "failing": failing.measure,
    "prometheus": prometheus.measure,
}


@dataclass(slots=True)
class Outcome:
    """The figures of a part, and why it ended early, or an empty text."""

    figures: list[Figure] = field(default_factory=list)
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The settings of a run. `tree` holds another commit to measure, None for this one."""

    sizes: Sizes
    folder: Path
    on_figure: Callable[[str, Figure], None]
    tree: Path | None = None

    def outcome(self, name: str) -> Outcome:
        """Run one part. What it raises is its reason, so that the others can run."""
        found, folder = Outcome(), self.folder / name
        folder.mkdir(parents=True)
        try:
            with serving(folder, self.tree) as bench:
                for figure in PARTS[name](bench, self.sizes):
                    found.figures.append(figure)
                    self.on_figure(name, figure)
        except Exception as error:  # noqa: BLE001 - the other parts must run
            found.reason = f"{type(error).__name__}: {' '.join(str(error).split())[-300:]}"
        return found


def outcomes(runs: Sequence[Run], names: Sequence[str]) -> list[dict[str, Outcome]]:
    """Measure each part in all trees before the next part: the machine may change during a run."""
    found: list[dict[str, Outcome]] = [{} for _ in runs]
    for name in names:
        for run, parts in zip(runs, found, strict=True):
            parts[name] = run.outcome(name)
    return found
