"""The time from the start of the process to the end of its first probe, the first unwrap at the server, for one target.

Also how much longer that takes than Python needs to import the libraries of a probe.
Also measures commands that end at once.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

from bench import commands
from bench.figures import Figure
from bench.processes import PATIENCE, resident
from bench.programs import Bench, Fleet, exporter
from bench.querying import counts, metrics
from bench.sizes import Sizes

_LIBRARIES = "import aiohttp, azure.identity, azure.keyvault.keys"


def once(bench: Bench) -> tuple[float, float]:
    """Seconds to the first probe, and the memory after it in MB. Raises RuntimeError without a probe."""
    counts(bench)
    begun = time.monotonic()
    with exporter(bench, Fleet(targets=1, credentials=1, interval=60)) as running:
        while time.monotonic() - begun < PATIENCE:
            time.sleep(0.5)
            output = counts(bench)
            if output["unwrapped_at"]:
                metrics(running.url)  # a scrape comes before each memory reading of the other parts
                return output["unwrapped_at"] - begun, resident(running.pid)
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
    yield Figure(what="process start to first probe", runs=seconds, unit="s", commit=1.5, aim=0.7, how=how)
    how = "the same start, less that of Python with only this import, which ran just before it"
    what = "process start to first probe, beyond the import of aiohttp, azure.identity and azure.keyvault.keys"
    yield Figure(what=what, runs=beyond, unit="s", commit=0.2, how=how)
    yield from commands.measure(bench, sizes)
