"""The document that a run writes: how it was measured, on what, and the table.

For: docs/performance.md. What stands around the table is here, so that one command writes all of it.
Not for: measuring.
"""

from __future__ import annotations

import os
import platform
import re
import ssl
import subprocess
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from bench.programs import BLACKBOX
from bench.table import Figure, table
from exporter import __version__

_PACKAGES = ("aiohttp", "azure-core", "azure-identity", "azure-keyvault-keys", "cryptography", "prometheus-client")
BEFORE = """\
# Performance

Written by `./dev bench`, which measures everything in one run on two cores in about forty-five minutes. `./dev bench PART` measures one
part alone (`start`, `probes`, `steps`, `fleet`, `scrapes`, `storm`, `failing`, `day`, `storing`, `spread`), `./dev bench --quick` takes less of
everything; both print their tables and do not change this page, and the quick figures are for a look only. It needs Linux and
Debian's `prometheus` and `prometheus-blackbox-exporter`, which it installs where it may. Nothing else should run meanwhile.

## How it is measured

- **Everybody asks the same server**: canned answers over TLS 1.3, in a process of its own, no real cryptography of keys. *Server
  busy* is the most of one core that it had in a run; from 85 % on the table says that the server was the limit, not the client.
- **Processor time** is user and system of the measured process alone, as the kernel's scheduler counts it.
- **A probe** is challenge, token (where it is not shared), get key, wrap and unwrap on one fresh connection. `blackbox_exporter` is asked
  for five URLs per target, which are five handshakes: it cannot do them on one, nor hand a token on. The bare script makes the
  same requests on the same connections as ours, with a token that it fetched once, and keeps nothing.
- **All at the same pace**: a process that has nothing to do between two probes finds its caches cold and pays up to twice as much for
  each as one that hurries. So the targets of every program are spread over the same seconds; how little the others need in a
  hurry stands beside it. Our probes are made by the scheduler and are not scraped meanwhile; those of `blackbox_exporter` are made
  by asking it, as Prometheus has to. That it answers five requests over HTTP belongs to its cost.
- **Auxiliary probes** (the newest version of the key) are made every five minutes. A slice of a fleet is shorter than that, so one
  target in five is looked at with every probe instead, which is as many. The comparisons of single probes have none. The doctor's
  checks are off everywhere: they would ask for names beyond this machine.
- **A slice** of the large fleet is far shorter than a day: it shows the pace, not what a day leaves behind.
- **p99 of a probe** is over the last probe of each target that was probed in that slice. Those left out as tainted are in it.
- **The error of a step** is the distance between our `wait` phase, or the `processing` phase, and the median time that the server itself
  waited. Targets are spread over the interval, so few requests are in flight at once: a probe of 100 ms would have to be made two
  thousand times a second for 200 of them, which is more than one core can do, theirs or ours.
- **A pause** is the slowest answer of `/-/healthy`, asked over and over on another connection: so long would a probe in flight have
  waited for the worst piece of a scrape.
- **A storm** lasts a little longer than an interval, so no vault answers 429 three times in a row: after the third in a row a target is
  asked less often for a while, on purpose, and is found well again that much later. `connect_to` leads to an address, so no name is
  looked up; what names that do not resolve cost is bounded by threads of their own, see the tests.
- **A day** is as many probes of each target as there are minutes in one, at a fifth of a second instead of a minute, with a reload in
  each: what only passes with time itself is not in it.
- Each figure is a median with its lowest and highest; a ratio is made run by run. Bold lines have a bound: *commit* must hold, *aim* is
  what we would like.

## Results
"""
UNMEASURED = "\nNo figures are published yet: run `./dev bench` on a quiet machine.\n"


def machine() -> list[str]:
    """What it ran on, one item of a list each."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"^model name\s*:\s*(.+)$", info, re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return [
        f"{os.cpu_count()} cores of {model[1] if model else platform.machine()}, {memory:.0f} GB, Linux {platform.release()}",
        f"ekm-exporter {__version__}, Python {platform.python_version()}, {ssl.OPENSSL_VERSION}",
        packages,
        blackbox_version(),
    ]


def blackbox_version() -> str:
    said = subprocess.run((BLACKBOX, "--version"), capture_output=True, text=True, check=True)  # noqa: S603 - Debian's
    return (said.stdout or said.stderr).splitlines()[0].partition(" (")[0]


def results(size: str, figures: Mapping[str, Sequence[Figure]], *, seconds: float, load: float) -> str:
    """`figures` by heading; `load` is the machine's load average at the end, over the last minute: with a quiet machine it stays under two."""
    day = time.strftime("%Y-%m-%d", time.gmtime())
    lines = [f"Measured on {day} in {seconds / 60:.1f} minutes, size *{size}*, load average at the end {load:.1f}, on:", ""]
    lines += [f"- {item}" for item in machine()]
    tables = [f"### {title}\n\n{table(rows)}" for title, rows in figures.items()]
    return "\n".join(["", *lines, "", *tables])


def write(out: Path | None, size: str, figures: Mapping[str, Sequence[Figure]], *, seconds: float) -> None:
    """The whole document to `out`; the results alone to standard output where there is none."""
    found = results(size, figures, seconds=seconds, load=os.getloadavg()[0])
    if out is None:
        print(found)
    else:
        out.write_text(BEFORE + found, encoding="utf-8")
