"""Three exporters behind one Prometheus that distributes the targets by hash, as in docs/high-availability.md.

Measures whether exactly one exporter probes each target once in an interval, and how soon a lost exporter is visible.
"""

from __future__ import annotations

import json
import re
import signal
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from os import kill
from pathlib import Path

from bench.programs import Bench, Fleet, Running, exporter
from bench.prometheus import number, prometheus, until
from bench.querying import counts
from bench.sizes import Sizes
from bench.table import Figure

_PAGE = Path(__file__).parent.parent / "docs" / "high-availability.md"
_EXPORTERS = 3
_SHOWN = 'ekm_probe_success{job="ekm"}'


def documented(addresses: list[str]) -> str:
    """The configuration of the page for these exporters. Raises LookupError if the page has none."""
    page = _PAGE.read_text(encoding="utf-8")
    config = next((code for code in re.findall(r"```yaml\n(scrape_configs:.*?)```", page, re.DOTALL) if "hashmod" in code), None)
    line = re.search(r'^ +- \{source_labels: \[__tmp_hash\], regex: "0".+\n', config or "", re.MULTILINE)
    if config is None or line is None:
        raise LookupError(f"{_PAGE} has no configuration with hashmod")
    lines = (line[0].replace('"0"', f'"{n}"').replace("exporter-a:10377", at) for n, at in enumerate(addresses))
    config = re.sub(r'^ +- \{source_labels: \[__tmp_hash\], regex: "1".+\n', "", config, flags=re.MULTILINE)
    config = config.replace(line[0], "".join(lines)).replace("modulus: 2", f"modulus: {len(addresses)}")
    everyone = ", ".join(f'"{address}"' for address in addresses)
    config = config.replace('"exporter-a:10377", "exporter-b:10377"', everyone)
    return "global: {scrape_interval: 5s}\n" + config.replace("exporter-a:10377", addresses[0])


def measure(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    fleet = Fleet(targets=sizes.spread, credentials=max(1, sizes.spread // 20), interval=sizes.spread_interval)
    with ExitStack() as stack:
        exporter_runs = [stack.enter_context(exporter(bench, fleet, "--no-scheduler")) for _ in range(_EXPORTERS)]
        addresses = [one.url.removeprefix("http://") for one in exporter_runs]
        url = stack.enter_context(prometheus(bench, documented(addresses))).url
        until(lambda: number(url, f"count({_SHOWN})") == fleet.targets, "every target is shown", seconds=4 * fleet.interval + 30)
        yield from each_by_one(bench, url, fleet)
        yield one_gone(url, exporter_runs, addresses, fleet)


def each_by_one(bench: Bench, url: str, fleet: Fleet) -> Iterator[Figure]:
    what = f"{fleet.targets:,} targets, {_EXPORTERS} exporters, one Prometheus"
    counts(bench)
    time.sleep(2 * fleet.interval)
    made = counts(bench)["challenge"] / fleet.targets / 2
    once = number(url, f"count(count by (target) ({_SHOWN}) == 1)")
    shares = [number(url, f'count({_SHOWN[:-1]}, instance="{instance}"}})') for instance in instances(url)]
    how = f"of {fleet.targets:,}; the exporters have {', '.join(f'{share:,.0f}' for share in sorted(shares))}"
    yield Figure(
        what=f"{what}: targets probed by exactly one", runs=[once], unit="", commit=fleet.targets, at_least=True, how=how
    )
    how = f"over two intervals of {fleet.interval:g} s, counted by the server"
    yield Figure(what=f"{what}: probes of a target in an interval", runs=[made], unit="", commit=1.02, how=how)


def instances(url: str) -> list[str]:
    with urllib.request.urlopen(f"{url}/api/v1/label/instance/values?match[]=ekm_probe_success", timeout=60) as answer:  # noqa: S310 - the started Prometheus
        return [str(value) for value in json.load(answer)["data"]]


def one_gone(url: str, exporter_runs: list[Running], addresses: list[str], fleet: Fleet) -> Figure:
    """Kill the first exporter and wait until Prometheus reports each of its targets as not monitored."""
    lost = number(url, f'count({_SHOWN[:-1]}, instance="{addresses[0]}"}})')
    kill(exporter_runs[0].pid, signal.SIGKILL)
    missing = 'count(up{job="ekm-probe"} == 0)'
    took = until(lambda: number(url, missing) >= lost, f"{lost:.0f} targets are missing", seconds=4 * fleet.interval + 30)
    return Figure(
        what=f"one of {_EXPORTERS} exporters killed: all its {lost:,.0f} targets reported missing after",
        runs=[took],
        unit=" s",
        commit=2 * fleet.interval,
        how=f"`up == 0` for each; scraped every {fleet.interval:g} s",
    )
