"""Where the processor time of a probe goes, by library: a sample every few milliseconds of it.

A sample counts for the library that runs. Python modules of no row, such as `json`, and C code count for the caller. With `--compare`, only
this tree is measured.
"""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import cache
from types import FrameType

from bench.figures import Figure
from bench.probes import NAMES
from bench.programs import Bench, Fleet, exporter
from bench.querying import until
from bench.sizes import Sizes

_OWN, _REST = ("clients", "probing", "metrics", "state", "core"), "other packages of the exporter"
GROUPS = {
    "OpenSSL with `ssl`": ("ssl",),
    "asyncio and sockets": ("asyncio", "selectors", "socket"),
    "aiohttp": ("aiohttp", "aiohappyeyeballs", "aiosignal", "frozenlist", "multidict", "yarl"),
    "Azure's SDK": ("azure", "msal"),
    **{f"`exporter.{name}`": (f"exporter/{name}",) for name in _OWN},
    _REST: (),
    "garbage collection": ("bench/profile",),
}
_OWNERS = {library: group for group, libraries in GROUPS.items() for library in libraries}
_LIBRARY = re.compile(r".*(?:site-packages|python3\.\d+)/(\w+)|.*/(exporter/\w+|bench/profile)\b")
_EVERY = 0.002  # seconds of processor time, if the clock of the kernel is as fine


@cache
def group(file: str) -> str | None:
    """The group of a file, None for one that counts for its caller."""
    found = _LIBRARY.match(file)
    name = (found[1] or found[2]) if found else ""
    return _OWNERS.get(name, _REST if name.startswith("exporter/") else None)


def named(frame: FrameType | None) -> str:
    """The group of the innermost frame that has one."""
    while frame is not None and not group(frame.f_code.co_filename):
        frame = frame.f_back
    return (frame and group(frame.f_code.co_filename)) or _REST


def measure(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    targets = sizes.probe_targets
    for kind, credentials in (("twenty", None), ("own", targets)) if bench.tree is None else ():
        with exporter(bench, Fleet(targets=targets, credentials=credentials, interval=1), program="bench.profile") as running:
            time.sleep(2)  # the first probes
            os.kill(running.pid, signal.SIGUSR1)
            time.sleep(10 * sizes.probe_window)
            os.kill(running.pid, signal.SIGUSR2)
            log = bench.newest("exporter.log")
            until(lambda log=log: "samples=" in log.read_text(encoding="utf-8"), "samples are printed", seconds=10)  # type: ignore[misc]
        taken = json.loads(re.findall(r"samples=(\{.*\})", log.read_text(encoding="utf-8"))[0])
        total = max(1, sum(taken.values()))
        for name in GROUPS:
            share, what = 100 * taken.get(name, 0) / total, f"share of a probe, {NAMES[kind]}: {name}"
            yield Figure(what=what, runs=[share], unit="%", how=f"of {total:,} samples")


def main() -> int:
    """Run the exporter. SIGUSR1 starts the samples, SIGUSR2 prints them."""
    taken = Counter[str]()
    signal.signal(signal.SIGPROF, lambda _, frame: taken.update((named(frame),)))
    signal.signal(signal.SIGUSR1, lambda *_: signal.setitimer(signal.ITIMER_PROF, _EVERY, _EVERY))
    signal.signal(signal.SIGUSR2, lambda *_: os.write(1, f"\nsamples={json.dumps(taken)}\n".encode()))
    gc.callbacks.append(lambda *_: None)  # where a signal during a collection arrives
    from exporter.__main__ import main as command  # noqa: PLC0415 - after the handlers

    return command()


if __name__ == "__main__":
    sys.exit(main())
