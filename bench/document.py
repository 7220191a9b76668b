"""The page docs/performance.md: the method, the machine and the tables of a run."""

from __future__ import annotations

import os
import platform
import re
import ssl
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bench.conductor import Outcome
from bench.items import pairs_table
from bench.parts import PARTS
from bench.programs import BLACKBOX
from bench.summary import summary
from bench.table import table
from bench.traded import TRADED
from exporter import __version__

_PACKAGES = ("aiohttp", "azure-core", "azure-identity", "azure-keyvault-keys", "cryptography", "prometheus-client")
BEFORE = """\
# Performance

`./dev bench` writes this page from one run on two cores, in about a quarter of an hour, and ten minutes more with `--compare`. Run nothing else meanwhile.

"""
METHOD = """\
## How it is measured

`./dev bench PART` measures one part (`start`, `probes`, `series`, `steps`, `fleet`, `shards`, `scrapes`, `pages`, `storm`, `outages`, `spread`, `failing`, `day`,
`profile`); `./dev bench --quick` measures less of everything. Both print their tables and do not change this page; quick figures are
only indicative. `./dev bench --compare REV [PART]` also runs the exporter of another commit. The benchmark needs Linux and Debian's `prometheus`
and `prometheus-blackbox-exporter`, which it installs if it has the rights.

- **Side by side**: `storm`, `outages`, `spread`, `failing` and `profile` run as many at once as there are cores, and `day` next to them with a lower
  priority. They measure memory, counts, shares of a profile, and lags and recoveries of seconds, which do not need a quiet machine. Then `fleet`, `scrapes` and `pages`
  warm up at the same time. All other measurements run alone, one after another.
- **All programs use the same server**: canned responses over TLS 1.3, in a separate process, without real key operations. *Server busy* is the
  server's highest use of one core in a run. From 85 % on, the table marks the server as the limit, not the client.
- **Processor time** is the user and system time of the measured process, as counted by the kernel's scheduler.
- **A probe** is challenge, token (unless it is shared), get key, wrap and unwrap on one fresh connection. `blackbox_exporter` probes five URLs
  per target, which are five handshakes: it cannot share a connection or pass on a token. The bare script makes the exporter's requests on
  the same connections, with a token that it fetched once, and stores nothing.
- **All programs run at the same rate.** A process that idles between two probes finds cold caches and pays up to twice as much per probe as a busy
  one. So the targets of every program are spread over the same seconds; the table also has the cost of the others without pauses. The
  scheduler makes the exporter's probes, and no scrape runs meanwhile. `blackbox_exporter` probes on request, as with Prometheus, so its cost
  includes five HTTP responses. 80 targets every 2 s are as many probes a second as 200 every 5 s, with a shorter warm-up.
- **Auxiliary probes** (the newest version of the key) run every five minutes. A slice of a fleet is shorter, so one target in five has an auxiliary probe
  with every probe, which is the same number. The comparisons of single probes have none. Preflight checks are off: they would resolve names
  outside this machine.
- **A slice** of the large fleet is far shorter than a day: it shows the rate, not the growth over a day.
- **p99 of a probe** covers the last probe of each target in that slice, tainted ones included.
- **The error of a step** is the difference between the exporter's `wait` phase, or the `processing` phase, and the server's own median wait. Targets are
  spread over the interval, so few requests are in flight at once. For 200 in flight, probes of 100 ms would have to start two thousand times a
  second, which is more than one core can do in either program.
- **A pause** is the slowest response of `/-/healthy`, requested repeatedly on another connection. A probe in flight waits at most this long for a piece of a
  scrape or of a page.
- **A storm** lasts a little longer than an interval, so no vault answers 429 three times in a row. After the third, the exporter probes a target less often for
  a while, and notices its recovery later. Time-outs hit 5,000 targets; refusal and 429 hit 1,250 targets every 15 s, which are as many probes a second.
  `connect_to` names an address, so no name is resolved. Separate threads limit the cost of names that do not resolve; see the tests.
- **Failing for a long time** is measured with 1,000 targets here. [./dev soak](soak.md) has an hour of it, also with 2,500.
- **A day** is as many probes of each target as a day has minutes, every fifth of a second instead of every minute, each with a reload. Effects of elapsed
  time are not included.
- **A comparison** runs both exporters with the same server, and with the same packages unless their locked lists differ, in turn: the other process is
  stopped meanwhile. A ratio is calculated for each pair of neighbours. The days of both run at the same time.
- Each figure is a median with the lowest and highest value; ratios are calculated per run. Bold lines have a bound: *commit* must hold, *aim* is
  the target.
"""


@dataclass(frozen=True, slots=True)
class Compared:
    """The names of this tree and of the other commit."""

    this: str
    other: str


UNMEASURED = "\nNo figures are published yet: run `./dev bench` on a quiet machine.\n"


def machine() -> list[str]:
    """The machine and the programs, as items of a list."""
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
    shown = subprocess.run((BLACKBOX, "--version"), capture_output=True, text=True, check=True)  # noqa: S603 - a fixed command
    return (shown.stdout or shown.stderr).splitlines()[0].partition(" (")[0]


def results(size: str, outcomes: Mapping[str, Outcome], *, seconds: float, load: float, compared: Compared | None) -> str:
    """The results. `outcomes` are by the name of the part; `load` is the load average of the last minute."""
    day = time.strftime("%Y-%m-%d", time.gmtime())
    measured = f"Measured on {day} in {seconds / 60:.1f} minutes, size *{size}*, load average at the end {load:.1f}, on:"
    lines = ["## Results", "", measured, "", *(f"- {item}" for item in machine()), ""]
    lines += [f"**Part `{name}` failed**: {outcome.reason}.\n" for name, outcome in outcomes.items() if outcome.reason]
    every = [figure for outcome in outcomes.values() for figure in outcome.figures]
    shown = {name: outcome.figures for name, outcome in outcomes.items() if outcome.figures}
    if len(shown) > 1 and all(figure.reached for figure in every):
        shown.pop("profile", None)  # it explains a missed aim
    tables = [f"### {PARTS[name].title}\n\n{table(figures)}" for name, figures in shown.items()]
    return "\n".join([comparison(outcomes, compared), *lines, *tables])


def comparison(outcomes: Mapping[str, Outcome], compared: Compared | None) -> str:
    """The section with the ratios, empty without a comparison."""
    pairs = [pair for outcome in outcomes.values() for pair in outcome.pairs]
    if compared is None:
        return ""
    text = (
        f"## Compared with {compared.other}\n\nThis tree ({compared.this}) against commit {compared.other}, in turn with the same server. "
        "A ratio below 1 means that this tree needs less.\n\n"
    )
    return text + (pairs_table(pairs, compared.other) if pairs else "No part was measured with both.\n") + "\n"


def traded() -> str:
    return "\n".join(["## What was traded", "", *(f"- {line}" for line in TRADED), "", ""])


def write(out: Path | None, size: str, outcomes: Mapping[str, Outcome], *, seconds: float, compared: Compared | None) -> None:
    """Write the whole page to `out`, or only the results to standard output if `out` is None."""
    found = results(size, outcomes, seconds=seconds, load=os.getloadavg()[0], compared=compared)
    if out is None:
        print(found)
    else:
        figures = [figure for outcome in outcomes.values() for figure in outcome.figures]
        out.write_text(BEFORE + summary(figures) + "\n" + found + "\n" + traded() + METHOD, encoding="utf-8")
