"""Every probe of a fleet fails for five minutes, within the memory limit of the chart, 512 MB.

Covers three ways to fail and two fleet sizes, and ends with SIGTERM during the failures. A process above the limit is killed. Silent name
servers are a resolver call that waits ten seconds without a packet, as the C library does.
"""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from bench.figures import Figure
from bench.processes import ended, peak, resident
from bench.programs import Bench, Fleet, Running, exporter
from bench.querying import fail, metrics, total
from bench.sizes import Sizes

LIMIT = 512  # MB, the limit in the values of the chart
PATIENCE = 5.0  # seconds from SIGTERM to the end
_EVERY = 0.5  # seconds between two readings of the memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to fail: a program without name servers, or a behaviour of the server."""

    words: str
    program: str = "exporter"
    server: str = ""


WAYS = (
    Way(words="silent name servers", program="bench.silent"),
    Way(words="silence after TLS", server="silent"),
    Way(words="refusal", server="refused"),
)


@dataclass(slots=True)
class Observed:
    """Megabytes, seconds and counts. `stopped` are the seconds from SIGTERM to the end, infinite for a process that was killed."""

    memory: list[float] = field(default_factory=list)
    most: float = 0.0
    failed: float = 0.0
    others: float = 0.0  # tainted and skipped probes
    stopped: float = math.inf


def measure(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    """Yield the figures of each fleet and way. Raises RuntimeError at the end if one left out most of its probes."""
    useless: list[str] = []
    for targets in sizes.failing_fleets:
        for way in WAYS:
            named = way.program != "exporter"
            fleet = Fleet(targets=targets, interval=sizes.fleet_interval, named=named)
            fail(bench, way.server, first=targets)
            with exporter(bench, fleet, program=way.program) as running:
                seen = observe(running, sizes.failing)
            yield from figures(targets, way, seen, sizes)
            if seen.others > seen.failed:
                useless.append(f"{targets:,} targets, {way.words}")
    if useless:
        raise RuntimeError(f"most probes were tainted or left out: {'; '.join(useless)}")


def observe(running: Running, seconds: float) -> Observed:
    """Watch one exporter from its start to its end."""
    seen, begun = Observed(), time.monotonic()
    while time.monotonic() < begun + seconds:
        seen.memory.append(resident(running.pid))
        if seen.memory[-1] > LIMIT:
            seen.most = seen.memory[-1]
            os.kill(running.pid, signal.SIGKILL)
            return seen
        time.sleep(_EVERY)
    text = metrics(running.url)
    seen.failed = total(text, "ekm_probe_failures_total")
    seen.others = total(text, "ekm_exporter_probes_tainted_total") + total(text, "ekm_exporter_probes_skipped_total")
    seen.most = peak(running.pid)
    os.kill(running.pid, signal.SIGTERM)
    seen.stopped = ended(running.pid, within=10 * PATIENCE)
    return seen


def figures(targets: int, way: Way, seen: Observed, sizes: Sizes) -> Iterator[Figure]:
    what = f"{targets:,} targets, {way.words}"
    how = (
        f"at its peak; {sizes.failing:.0f} s with a probe of each target every {sizes.fleet_interval:g} s; "
        f"{seen.failed:,.0f} probes failed, {seen.others:,.0f} were tainted or left out"
    )
    yield Figure(what=f"{what}: resident memory", runs=[seen.most], unit="MB", commit=LIMIT, how=how)
    half = (len(seen.memory) + 1) // 2
    grown = max(seen.memory[-half:]) - max(seen.memory[:half])
    how = "the most in the second half of that time, less the most in the first"
    yield Figure(what=f"{what}: growth", runs=[grown], unit="MB", how=how)
    how = "from SIGTERM, in the middle of it, to the end of the process; infinite if it was killed at the limit"
    yield Figure(what=f"{what}: stopped after", runs=[seen.stopped], unit="s", commit=PATIENCE, how=how)
