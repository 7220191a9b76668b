"""The benchmark: `./dev bench` for all parts, `./dev bench --quick` for a short run, `./dev bench storm` for one part.

`./dev bench --compare REV` also runs the exporter of another commit and prints ratios. A full run writes docs/performance.md and
the unit costs of docs/sizing.md. The exit code is 1 if a part failed. `parts` lists the parts.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from bench.conductor import Outcome, Run
from bench.document import Compared, write
from bench.items import Broken, Item, Mark
from bench.parts import PARTS
from bench.programs import Fleet, configuration
from bench.sizes import SIZES
from bench.trees import Tree, TreeError, authority, fitting, this_tree, unpacked
from docs.generators import sizing

DOCUMENT = Path(__file__).parent.parent / "docs" / "performance.md"
_NEVER = 1e9  # seconds


def output(name: str, item: Item) -> None:
    """Print a result of a part when it arrives."""
    print(f"{name}: {_text(item)}", file=sys.stderr, flush=True)


def _text(item: Item) -> str:
    match item:
        case Mark():
            return "warmed up"
        case Broken(reason):
            return f"FAILED: {reason}"
        case _:
            return item.line()


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"parts to run, with results on standard output: {', '.join(PARTS)}"
    )
    parser.add_argument("--quick", action="store_const", const="quick", dest="size", help="a short run with indicative figures")
    parser.add_argument("--size", choices=sorted(SIZES), help="tiny: only checks that the benchmark runs")
    parser.add_argument(
        "--compare", metavar="REV", help=f"run another commit in turn, in the parts {', '.join(compared_parts())}"
    )
    parser.add_argument(
        "--within", type=float, metavar="MINUTES", help="stop the parts that still run then; they count as failed"
    )
    parser.add_argument(
        "--out", type=Path, help="output file (default: docs/performance.md for all parts in full, otherwise standard output)"
    )
    parser.set_defaults(size="full")
    args = parser.parse_args(arguments)
    if unknown := [name for name in args.parts if name not in PARTS]:
        parser.error(f"no part {unknown[0]!r}: there are {', '.join(PARTS)}")
    if args.compare is not None and (alone := [name for name in args.parts if not PARTS[name].compares]):
        parser.error(f"part {alone[0]!r} cannot be compared: --compare has {', '.join(compared_parts())}")
    if args.out is None and args.size == "full" and not args.parts:
        args.out = DOCUMENT
    return args


def compared_parts() -> list[str]:
    return [name for name, part in PARTS.items() if part.compares]


def other_tree(revision: str, folder: Path) -> tuple[Tree, Compared]:
    """The other commit, ready to run. Raises TreeError."""
    place = folder / "other"
    tree = fitting(
        unpacked(revision, place), configuration(Fleet(targets=1, credentials=1, interval=60), 1, authority(folder)), folder
    )
    return tree, Compared(this_tree(), tree.name)


def main(arguments: list[str] | None = None) -> int:
    args = parsed(arguments)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ekm-bench-", ignore_cleanup_errors=True) as folder:
        try:
            other, compared = other_tree(args.compare, Path(folder)) if args.compare is not None else (None, None)
        except TreeError as error:
            print(f"bench: {error}", file=sys.stderr)
            return 2
        deadline = begun + (60 * args.within if args.within else _NEVER)
        run = Run(size=args.size, folder=Path(folder), other=other, deadline=deadline, on_item=output)
        outcomes = run.outcomes([name for name in PARTS if not args.parts or name in args.parts])
    write(args.out, args.size, outcomes, seconds=time.monotonic() - begun, compared=compared)
    if args.out == DOCUMENT:
        resize()
    return verdict(outcomes, args.out)


def resize() -> None:
    """Write the tables of docs/sizing.md from the new page, if it has their figures."""
    try:
        sizing.main([str(DOCUMENT.parent / "sizing.md")])
    except LookupError as error:
        print(f"bench: docs/sizing.md stays as it was: {error.args[0]}", file=sys.stderr)


def _interrupted(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def verdict(outcomes: Mapping[str, Outcome], out: Path | None) -> int:
    """Print the last line and return the exit code."""
    failed: Sequence[str] = [f"{name} ({outcome.reason})" for name, outcome in outcomes.items() if outcome.reason]
    wrote = f", wrote {out}" if out else ""
    print(f"bench: {len(outcomes) - len(failed)} of {len(outcomes)} parts measured{wrote}", file=sys.stderr)
    for each in failed:
        print(f"bench: FAILED: {each}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupted)
    sys.exit(main())
