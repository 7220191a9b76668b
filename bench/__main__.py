"""The benchmark: `./dev bench` for all parts, `./dev bench --quick` for a short run, `./dev bench storm` for one part.

A full run writes docs/performance.md. `parts` lists the parts.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from bench.document import write
from bench.parts import PARTS
from bench.sizes import FULL, QUICK, TINY
from bench.table import Figure

_SIZES = {"full": FULL, "quick": QUICK, "tiny": TINY}
DOCUMENT = Path(__file__).parent.parent / "docs" / "performance.md"


def output(figure: Figure) -> Figure:
    print(figure.line(), file=sys.stderr, flush=True)
    return figure


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"parts to run, with results on standard output: {', '.join(PARTS)}"
    )
    parser.add_argument("--quick", action="store_const", const="quick", dest="size", help="a short run with indicative figures")
    parser.add_argument("--size", choices=sorted(_SIZES), help="tiny: only checks that the benchmark runs")
    parser.add_argument(
        "--out", type=Path, help="output file (default: docs/performance.md for all parts in full, otherwise standard output)"
    )
    parser.set_defaults(size="full")
    args = parser.parse_args(arguments)
    if unknown := [name for name in args.parts if name not in PARTS]:
        parser.error(f"no part {unknown[0]!r}: there are {', '.join(PARTS)}")
    if args.out is None and args.size == "full" and not args.parts:
        args.out = DOCUMENT
    return args


def main(arguments: list[str] | None = None) -> None:
    args = parsed(arguments)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ekm-bench-") as folder:
        found = {
            part.title: [output(figure) for figure in part.run(Path(folder, name), _SIZES[args.size])]
            for name, part in PARTS.items()
            if not args.parts or name in args.parts
        }
    write(args.out, args.size, found, seconds=time.monotonic() - begun)


if __name__ == "__main__":
    main()
