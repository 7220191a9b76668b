"""The time from the start of the process to the end of its first probe, the first unwrap at the server, for one target.

Also how much longer that takes than Python needs to import the libraries of a probe, and the processor time of commands that end at once,
run by run against that of Python without a program.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

from bench.figures import Figure, ratios
from bench.processes import PATIENCE, consumed, python, resident
from bench.programs import Bench, Fleet, configuration, exporter
from bench.querying import counts, metrics
from bench.sizes import Sizes

_LIBRARIES = "import aiohttp, azure.identity, azure.keyvault.keys"
_COMMANDS = {"explain 3303": 5.0, "--version": 5.0, "check": 10.0}  # the bounds are times that of Python
_ONE = Fleet(targets=1, credentials=1, interval=60)


def once(bench: Bench) -> tuple[float, float]:
    """Seconds to the first probe, and the memory after it in MB. Raises RuntimeError without a probe."""
    counts(bench)
    begun = time.monotonic()
    with exporter(bench, _ONE) as running:
        while time.monotonic() - begun < PATIENCE:
            time.sleep(0.5)
            if ended := counts(bench)["unwrapped_at"]:
                metrics(running.url)  # a scrape comes before each memory reading of the other parts
                return ended - begun, resident(running.pid)
    raise RuntimeError("no probe was made")


def importing() -> float:
    """Seconds until a process has imported the libraries of a probe and ended."""
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", _LIBRARIES], check=True)  # noqa: S603 - a fixed script
    return time.monotonic() - begun


def measure(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    importing()  # this and the first start may compile modules
    once(bench)
    pairs = [(importing(), once(bench)[0]) for _ in range(sizes.runs)]
    seconds, beyond = [start for _, start in pairs], [start - imports for imports, start in pairs]
    how = "one target; from starting the interpreter to the last answer of the first probe"
    yield Figure("process start to first probe", seconds, "s", how, commit=1.5, aim=0.7)
    how = "the same start, less that of Python with only this import, which ran just before it"
    what = "process start to first probe, beyond the import of aiohttp, azure.identity and azure.keyvault.keys"
    yield Figure(what, beyond, "s", how, commit=0.2)
    yield from commands(bench, sizes)


def commands(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    """Yield a ratio for each command. The first run of each is not measured: it may compile the modules."""
    file = bench.fresh("ekm.yml")
    file.write_text(configuration(_ONE, bench.port, bench.ca_file), encoding="utf-8")
    lines: dict[str, list[object]] = {"pass": [sys.executable, "-c", "pass"]}
    lines |= {name: python("exporter", *name.split(), *(("--config.file", file) * (name == "check"))) for name in _COMMANDS}
    rounds = [{name: consumed(*line, folder=bench.tree) for name, line in lines.items()} for _ in range(1 + 3 * sizes.runs)][1:]
    for name, bound in _COMMANDS.items():
        found, how = (
            ratios(*([each[one] for each in rounds] for one in (name, "pass"))),
            "user and system time from start to end; in turn",
        )
        yield Figure(f"{name}, against `python -c pass`", found, "times", how, commit=bound)
