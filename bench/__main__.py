"""The benchmark: `./dev bench` for all parts, `./dev bench --quick` for a short run, `./dev bench storm` for one part.

A full run of all parts writes docs/maintainers/performance.csv and the tables that are made from it. `--compare REV` measures each part for
another commit too, and prints ratios. `--out FILE` replaces the rows of the measured parts in a file. The exit code is 1 if a part failed.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from bench.figures import Figure
from bench.parts import PARTS, Outcome, Run, outcomes
from bench.programs import BLACKBOX
from bench.results import BEFORE, compared, update
from bench.rules import RULES
from bench.sizes import SIZES
from bench.trees import TreeError, described, unpacked
from docs.generators import every_page, performance
from exporter import __version__

DOCS = Path(__file__).parent.parent / "docs"
_PACKAGES = ("aiohttp", "azure-core", "azure-identity", "azure-keyvault-keys", "cryptography", "prometheus-client")


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"parts to run: {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_const", const="quick", dest="size", help="a short run with indicative figures")
    parser.add_argument("--size", choices=sorted(SIZES), help="tiny: only checks that the benchmark runs")
    parser.add_argument("--compare", metavar="REV", help="measure another commit too, part by part, and print ratios")
    parser.add_argument(
        "--rules", metavar="FILE", type=Path, nargs="+", default=[RULES], help="rule files that part `rules` measures in turn"
    )
    parser.add_argument(
        "--out", type=Path, help="file whose rows of these parts are replaced (default for all parts in full: performance.csv)"
    )
    parser.set_defaults(size="full")
    args = parser.parse_args(arguments)
    if unknown := [name for name in args.parts if name not in PARTS]:
        parser.error(f"no part {unknown[0]!r}: there are {', '.join(PARTS)}")
    if args.out is None and args.size == "full" and not args.parts and not args.compare:
        args.out = performance.FIGURES
    return args


def main(arguments: list[str] | None = None) -> int:
    args, begun = parsed(arguments), time.monotonic()
    names = [name for name in PARTS if not args.parts or name in args.parts]
    with tempfile.TemporaryDirectory(prefix="ekm-bench-", ignore_cleanup_errors=True) as folder:
        runs = [Run(sizes=SIZES[args.size], folder=Path(folder, "this"), on_figure=output, rules=args.rules)]
        try:
            if args.compare:
                tree, shown = unpacked(args.compare, Path(folder, "tree")), partial(output, tree=args.compare)
                runs.insert(0, replace(runs[0], folder=Path(folder, "other"), on_figure=shown, tree=tree))
        except TreeError as error:
            print(f"bench: {error}", file=sys.stderr)
            return 2
        *before, after = outcomes(runs, names)
    if before:
        print("\n".join(compared(*before, after, args.compare)))
    if args.out:
        texts = machine(args.size, time.monotonic() - begun) + [f"{BEFORE}{described(args.compare)}" for _ in before]
        update(args.out, after, before[0] if before else {}, texts)
        if args.out.resolve() == performance.FIGURES.resolve():
            every_page.write("maintainers/performance", "sizing")
    return verdict(after)


def output(name: str, figure: Figure, tree: str = "") -> None:
    """Print a figure when it arrives, with the commit if it is that of another tree."""
    print(f"{tree and f'{tree}: '}{name}: {figure.line()}", flush=True)


def machine(size: str, seconds: float) -> list[str]:
    """The time, the machine and the programs of a run."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"^model name\s*:\s*(.+)$", info, re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    shown = subprocess.run((BLACKBOX, "--version"), capture_output=True, text=True, check=True)  # noqa: S603 - a fixed command
    day, load = time.strftime("%Y-%m-%d", time.gmtime()), os.getloadavg()[0]
    return [
        f"{day}, in {seconds / 60:.0f} minutes, size {size}, load average at the end {load:.1f}",
        f"{os.cpu_count()} cores of {model[1] if model else platform.machine()}, {memory:.0f} GB, Linux {platform.release()}",
        f"ekm-exporter {__version__}, Python {platform.python_version()}, {ssl.OPENSSL_VERSION}",
        ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
        (shown.stdout or shown.stderr).splitlines()[0].partition(" (")[0],
    ]


def verdict(outcomes: Mapping[str, Outcome]) -> int:
    """Print broken bounds and failed parts, and return the exit code."""
    for outcome in outcomes.values():
        for figure in outcome.figures:
            if not figure.met:
                print(f"bench: bound not kept: {figure.line()}", file=sys.stderr)
    failed = [f"{name} ({outcome.reason})" for name, outcome in outcomes.items() if outcome.reason]
    for each in failed:
        print(f"bench: FAILED: {each}", file=sys.stderr)
    print(f"bench: {len(outcomes) - len(failed)} of {len(outcomes)} parts measured", file=sys.stderr)
    return 1 if failed else 0


def _interrupted(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupted)
    sys.exit(main())
