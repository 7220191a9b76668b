"""Where the processor time of a probe goes: a sampling profile of the exporter with the small fleet.

The sampler itself costs some percent, most of it in asyncio, which wakes up for each signal. Shares are exact to some percent.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from bench.groups import GROUPS
from bench.programs import Bench, exporter
from bench.querying import counts
from bench.sampled import EVERY, OUTPUT
from bench.sizes import Sizes
from bench.steady import small
from bench.table import Figure


def measure(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    fleet, output = small(sizes), bench.fresh("profile.json")
    os.environ[OUTPUT] = str(output.resolve())  # this process runs one part
    with exporter(bench, fleet, program="bench.sampled") as running:
        time.sleep(1.2 * fleet.interval)
        counts(bench)
        os.kill(running.pid, signal.SIGUSR1)
        time.sleep(2 * fleet.interval)
        os.kill(running.pid, signal.SIGUSR1)
        made = counts(bench).get("unwrapkey", 0.0)
        spent = received(output)
    yield from figures(spent, made)


def received(output: Path) -> dict[str, float]:
    """Wait for the profile. Raises RuntimeError if there is none after a minute."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            return {str(name): float(seconds) for name, seconds in json.loads(output.read_text(encoding="utf-8")).items()}
        except (OSError, ValueError):  # not yet, or not yet complete
            time.sleep(0.05)
    raise RuntimeError("the profile was not written")


def figures(spent: dict[str, float], made: float) -> Iterator[Figure]:
    whole = sum(spent.values()) or 1.0
    for group in GROUPS:
        seconds = spent.get(group, 0.0)
        how = f"{1000 * seconds / max(1.0, made):.2f} ms a probe; a sample each {1000 * EVERY:g} ms of processor time, {made:.0f} probes"
        yield Figure(what=group, runs=[100 * seconds / whole], unit=" %", how=how)
