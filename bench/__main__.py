"""The benchmark: `./dev bench` for all parts, `./dev bench --quick` for a short run, `./dev bench fleet` for one part.

A full run of all parts writes docs/maintainers/performance.csv and the tables that are made from it. `--compare REV` measures each part for
another commit too, and prints ratios. `--out FILE` replaces the rows of the measured parts in a file. The exit code is 1 if a part failed.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import re
import signal
import ssl
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

from bench.figures import Figure
from bench.parts import PARTS, Outcome, Run, outcomes
from bench.programs import BLACKBOX
from bench.results import compared, update
from bench.sizes import SIZES
from docs.generators import every_page, performance
from exporter import __version__

ROOT = Path(__file__).parent.parent
_PACKAGES = ("aiohttp", "azure-core", "azure-identity", "azure-keyvault-keys", "cryptography", "prometheus-client")


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"parts to run: {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_const", const="quick", dest="size", help="a short run with indicative figures")
    parser.add_argument("--size", choices=sorted(SIZES), help="tiny: only checks that the benchmark runs")
    parser.add_argument("--compare", metavar="REV", help="measure another commit too, part by part, and print ratios")
    parser.add_argument("--out", type=Path, help="replace the rows of these parts (default for all in full: performance.csv)")
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
        runs = [Run(sizes=SIZES[args.size], folder=Path(folder, "this"), on_figure=output)]
        if args.compare:
            tree, shown = unpacked(args.compare, Path(folder, "tree")), partial(output, tree=args.compare)
            runs.insert(0, replace(runs[0], folder=Path(folder, "other"), on_figure=shown, tree=tree))
        *before, after = outcomes(runs, names)
    if before:
        print("\n".join(compared(*before, after, args.compare)))
    if args.out:
        update(args.out, after, machine(args.size, time.monotonic() - begun))
        if args.out.resolve() == performance.FIGURES.resolve():
            every_page.write("maintainers/performance", "sizing")
    return verdict(after)


def unpacked(revision: str, folder: Path, root: Path = ROOT) -> Path:
    """Write the files of a commit of this repository to `folder`. They run with the packages of this tree. Exits with 2 without it."""
    command = ("git", "-C", root, "archive", "--format=tar", f"{revision}^{{commit}}")
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - fixed words, and a revision that git refuses if unknown
    if done.returncode:
        print(f"bench: --compare {revision}: no such commit here", file=sys.stderr)
        raise SystemExit(2)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


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


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
