"""The status page of a large fleet with three causes: time, size, and the longest pause for a probe in flight."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator

from bench.exposition import idle, observe, pinged, settle
from bench.items import Mark
from bench.processes import PATIENCE
from bench.programs import Bench, Fleet, exporter
from bench.querying import drained, fail
from bench.sizes import Sizes
from bench.table import Figure

LARGEST_KB, LONGEST_SECONDS = 150, 0.5
_LONGEST_PAUSE_MS = 20
_INTERVAL = 300.0  # seconds between two probes of a target: a probe that was lost at the start is made again


def measure(bench: Bench, sizes: Sizes) -> Iterator[Figure | Mark]:
    fleet = Fleet(targets=sizes.fleet, credentials=2, interval=_INTERVAL, servers=True)
    fail(bench, "causes", first=fleet.targets)
    try:
        with exporter(bench, fleet) as running:
            settle(running)
            size = settled(running.url)
            yield Mark.WARM
            with pinged(running) as ping:
                floor = idle(bench, running, ping, sizes.runs)
                found = observe(bench, running, ping, sizes.runs, lambda: drained(running.url, path="/"))
    finally:
        fail(bench, "", first=0)
    what = f"status page of {sizes.fleet:,} targets in three causes"
    how = f"over loopback to the last byte, while it probes each target every {_INTERVAL:g} s"
    yield Figure(what=f"**{what}: time**", runs=found.took, unit=" s", commit=2 * LONGEST_SECONDS, aim=LONGEST_SECONDS, how=how)
    yield Figure(what=f"{what}: processor time", runs=[1000 * s for s in found.cpu], unit=" ms", how="of the exporter")
    yield Figure(what=f"**{what}: size**", runs=[size / 1000], unit=" KB", commit=LARGEST_KB, how="without compression")
    pauses = [1000 * s for s in found.pauses]
    yield Figure(what=f"{what}: longest pause", runs=pauses, unit=" ms", aim=_LONGEST_PAUSE_MS, how="slowest `/-/healthy`")
    quiet = [1000 * s for s in floor.pauses]
    yield Figure(what=f"{what}, not requested: longest pause", runs=quiet, unit=" ms", how="the floor")


def settled(url: str) -> int:
    """Wait until the page has three causes. Returns its size in bytes. Raises RuntimeError if it never has."""
    end = time.monotonic() + 2 * _INTERVAL
    while time.monotonic() < end:
        with urllib.request.urlopen(f"{url}/", timeout=PATIENCE) as answer:  # noqa: S310 - a loopback address
            page: bytes = answer.read()
        if b"<strong>3 causes</strong>" in page:
            return len(page)
        time.sleep(1)
    raise RuntimeError("the status page does not have three causes")
