"""Bytes of `/metrics` and series of a target, at each level and in each format."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from statistics import mode

from bench.exposition import PROTOBUF, settle
from bench.items import Pair
from bench.programs import Bench, Fleet, Running, exporter
from bench.prometheus import until
from bench.querying import metrics
from bench.sizes import Sizes
from bench.table import Figure
from bench.trees import Tree

LEVELS = ("minimal", "default", "full")
FORMATS = {
    "text": {"Accept": "text/plain"},
    "text, gzip": {"Accept": "text/plain", "Accept-Encoding": "gzip"},
    "protobuf": {"Accept": PROTOBUF},
    "protobuf, gzip": {"Accept": PROTOBUF, "Accept-Encoding": "gzip"},
}
_FLAG = "--metrics.level"
_SERIES = re.compile(r'^([a-zA-Z_:][\w:]*)\{(?:[^\n]*,)?target="([^"]*)"', re.MULTILINE)
_TARGETS = 200
_ALIKE, _PATIENCE = 0.95, 180.0  # seconds


def measure(bench: Bench, sizes: Sizes) -> Iterator[Figure | Pair]:
    targets = min(_TARGETS, sizes.small_fleet)
    fleet = Fleet(targets=targets, credentials=max(1, targets // 20), interval=sizes.fleet_interval)
    for level in LEVELS:
        with exporter(bench, fleet, _FLAG, level) as running:
            settle_series(running)
            yield from figures(running, fleet.targets, level)
            largest = amounts(running, fleet.targets)
    if bench.other:
        flags = (_FLAG, LEVELS[-1]) if knows(bench.other, _FLAG) else ()
        with exporter(bench, fleet, *flags, tree=bench.other) as running:
            settle_series(running)
            yield from pairs(amounts(running, fleet.targets), largest, fleet.targets)


def settle_series(running: Running) -> None:
    """Wait until nearly all targets have as many series. On a busy machine some probes are tainted, and are made again."""
    settle(running)
    with suppress(RuntimeError):
        until(lambda: alike(metrics(running.url)) >= _ALIKE, "all targets have as many series", seconds=_PATIENCE)


def knows(tree: Tree, flag: str) -> bool:
    """Whether the other commit has a flag of `run`."""
    command = (tree.python, "-m", "exporter", "run", "--help")
    shown = subprocess.run(command, cwd=tree.root, capture_output=True, text=True, check=False)  # noqa: S603 - fixed commands
    return flag in shown.stdout


def size(url: str, headers: dict[str, str]) -> int | None:
    """The bytes of the response, None if the exporter has another format instead."""
    request = urllib.request.Request(f"{url}/metrics", headers=headers)  # noqa: S310 - a loopback address
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - see above
        wanted = headers["Accept"].partition(";")[0]
        body = answer.read()
        return len(body) if str(answer.headers["Content-Type"]).startswith(wanted) else None


def amounts(running: Running, targets: int) -> dict[str, float]:
    """Series of a target, and its KB in each format that the exporter has."""
    text = metrics(running.url)
    found = {f"series, {kind}": float(count) for kind, count in series(text).items()}
    for kind, headers in FORMATS.items():
        sent = size(running.url, headers)
        if sent is not None:
            found[f"KB, {kind}"] = sent / 1024 / targets
    return found


def series(text: str) -> dict[str, int]:
    """The number of series of a usual target by kind. With native histograms, each histogram is one series."""
    histograms = set(re.findall(r"^# TYPE (\S+) histogram$", text, re.MULTILINE))
    of_target: dict[str, Counter[str]] = {}
    for name, target in _SERIES.findall(text):
        family, _, suffix = name.rpartition("_")
        counts = of_target.setdefault(target, Counter())
        counts["all"] += 1
        counts["of histograms" if family in histograms else "of other metrics"] += 1
        counts["with native histograms"] += family not in histograms or suffix == "count"
    usual = mode(counts["all"] for counts in of_target.values())
    return dict(next(counts for counts in of_target.values() if counts["all"] == usual))


def alike(text: str) -> float:
    """The share of targets with the usual number of series: below 1 while probes fail or are tainted."""
    found = Counter(Counter(target for _, target in _SERIES.findall(text)).values())
    return max(found.values(), default=0) / max(1, found.total())


def figures(running: Running, targets: int, level: str) -> Iterator[Figure]:
    found = amounts(running, targets)
    how = (
        f"{found['series, of histograms']:.0f} of histograms, {found['series, of other metrics']:.0f} others; "
        f"{found['series, with native histograms']:.0f} with native histograms"
    )
    yield Figure(what=f"series of a target, level `{level}`", runs=[found["series, all"]], unit="", how=how)
    for kind in FORMATS:
        if f"KB, {kind}" in found:
            how = f"`/metrics` of {targets:,} healthy targets with the metrics of the process, divided by their number"
            yield Figure(what=f"a target in {kind}, level `{level}`", runs=[found[f"KB, {kind}"]], unit=" KB", how=how)


def pairs(before: dict[str, float], after: dict[str, float], targets: int) -> Iterator[Pair]:
    """Pairs of what both trees have; a missing format is named on standard error."""
    for name, value in after.items():
        if name not in before:
            print(f"bench: the other commit has no {name.removeprefix('KB, ')}", file=sys.stderr, flush=True)
        elif not name.startswith("series, of") and (name != "series, with native histograms" or "KB, protobuf" in before):
            unit, kind = (" KB", f"a target in {name[4:]}") if name.startswith("KB") else ("", f"series of a target: {name[8:]}")
            yield Pair(what=kind, unit=unit, before=[before[name]], after=[value], how=f"{targets:,} targets, level `full`")
