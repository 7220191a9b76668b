"""The processor time of a short command from start to end, run by run against that of Python without a program."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from bench.figures import Figure, ratios
from bench.processes import consumed, python
from bench.programs import Bench, Fleet, configuration
from bench.sizes import Sizes

_BOUNDS = (("explain 3303", 5.0), ("--version", 5.0), ("check", 10.0))  # times that of Python


def measure(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    """Yield a ratio for each command. The first run of each is not measured: it may compile the modules."""
    file = bench.fresh("ekm.yml")
    file.write_text(configuration(Fleet(targets=1, credentials=1, interval=60), bench.port, bench.ca_file), encoding="utf-8")
    lines: dict[str, list[object]] = {"pass": [sys.executable, "-c", "pass"]}
    for name, _ in _BOUNDS:
        lines[name] = python("exporter", *name.split(), *(("--config.file", file) if name == "check" else ()))
    for line in lines.values():
        consumed(*line, folder=bench.tree)
    seconds = [{name: consumed(*line, folder=bench.tree) for name, line in lines.items()} for _ in range(3 * sizes.runs)]
    alone = [run["pass"] for run in seconds]
    for name, bound in _BOUNDS:
        found = ratios([run[name] for run in seconds], alone)
        how = "user and system time from start to end; in turn with `python -c pass`"
        yield Figure(what=f"{name}, against `python -c pass`", runs=found, unit="times", commit=bound, how=how)
