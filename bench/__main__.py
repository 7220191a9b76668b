"""The benchmark: `./dev bench` for all parts, `./dev bench --quick` for a short run, `./dev bench storm` for one part.

A full run of all parts writes docs/maintainers/performance.csv and the tables that are made from it. `--compare REV` also measures the exporter
of another commit and prints ratios. The exit code is 1 if a part failed. `parts` lists the parts.
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
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from bench.figures import COLUMNS, Figure, ratios, short, write
from bench.parts import PARTS, Outcome, Run
from bench.programs import BLACKBOX
from bench.rules import RULES
from bench.sizes import SIZES
from bench.trees import TreeError, unpacked
from docs.generators import every_page, performance
from exporter import __version__

DOCS = Path(__file__).parent.parent / "docs"
_PACKAGES = ("aiohttp", "azure-core", "azure-identity", "azure-keyvault-keys", "cryptography", "prometheus-client")


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"parts to run: {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_const", const="quick", dest="size", help="a short run with indicative figures")
    parser.add_argument("--size", choices=sorted(SIZES), help="tiny: only checks that the benchmark runs")
    parser.add_argument("--compare", metavar="REV", help="also measure the exporter of another commit, and print ratios")
    parser.add_argument(
        "--rules", metavar="FILE", type=Path, nargs="+", default=[RULES], help="rule files that part `rules` measures in turn"
    )
    parser.add_argument("--out", type=Path, help="output file (default: docs/maintainers/performance.csv for all parts in full)")
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
        run = Run(sizes=SIZES[args.size], folder=Path(folder, "this"), on_figure=output, rules=args.rules)
        try:
            tree = unpacked(args.compare, Path(folder, "tree")) if args.compare else None
        except TreeError as error:
            print(f"bench: {error}", file=sys.stderr)
            return 2
        outcomes = run.outcomes(names)
        if tree:
            other = Run(sizes=run.sizes, folder=Path(folder, "other"), on_figure=output, tree=tree, rules=args.rules)
            print("\n".join(compared(other.outcomes(names), outcomes, args.compare)))
    if args.out:
        rows = [row for name, outcome in outcomes.items() for row in (figure.row(name) for figure in outcome.figures)]
        write(args.out, [*machine(args.size, time.monotonic() - begun), *rows])
    if args.out == performance.FIGURES:
        every_page.write("maintainers/performance", "sizing")
    return verdict(outcomes)


def output(name: str, figure: Figure) -> None:
    """Print a figure when it arrives."""
    print(f"{name}: {figure.line()}", flush=True)


def compared(before: Mapping[str, Outcome], after: Mapping[str, Outcome], revision: str) -> Iterator[str]:
    """The rows of a table with the figures of both trees. Programs other than the exporter show how steady the machine was."""
    yield f"\n| what | {revision} | this tree | ratio | lowest to highest |\n| --- | --- | --- | --- | --- |"
    for name, outcome in after.items():
        known = {figure.what: figure for figure in before[name].figures}
        for figure in outcome.figures:
            other = known.get(figure.what)
            if other is not None and len(other.runs) == len(figure.runs) and all(other.runs):
                runs = ratios(figure.runs, other.runs)
                amounts = f"{short(other.median)} {figure.unit} | {short(figure.median)} {figure.unit}"
                ratio = short(figure.median / other.median)
                yield f"| {figure.what} | {amounts} | {ratio} | {short(min(runs))} to {short(max(runs))} |"
    yield from (f"bench: {revision}: FAILED: {name} ({outcome.reason})" for name, outcome in before.items() if outcome.reason)


def machine(size: str, seconds: float) -> list[tuple[str, ...]]:
    """The time, the machine and the programs of a run, as rows without a number."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"^model name\s*:\s*(.+)$", info, re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    shown = subprocess.run((BLACKBOX, "--version"), capture_output=True, text=True, check=True)  # noqa: S603 - a fixed command
    day, load = time.strftime("%Y-%m-%d", time.gmtime()), os.getloadavg()[0]
    texts = (
        f"{day}, in {seconds / 60:.0f} minutes, size {size}, load average at the end {load:.1f}",
        f"{os.cpu_count()} cores of {model[1] if model else platform.machine()}, {memory:.0f} GB, Linux {platform.release()}",
        f"ekm-exporter {__version__}, Python {platform.python_version()}, {ssl.OPENSSL_VERSION}",
        ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
        (shown.stdout or shown.stderr).splitlines()[0].partition(" (")[0],
    )
    return [("machine", text, *[""] * (len(COLUMNS) - 2)) for text in texts]


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
