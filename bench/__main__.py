"""Everything side by side in one run: `./dev bench`, or with less of everything `./dev bench --quick`.

For: the order of the measurements, and the document that they end in.
Not for: how any of them is made (see the modules beside it).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench import accuracy, probes, scrapes, starts, steady
from bench.document import write
from bench.programs import serving
from bench.sizes import FULL, QUICK, TINY, Sizes
from bench.table import Figure

_SIZES = {"full": FULL, "quick": QUICK, "tiny": TINY}
DOCUMENT = Path(__file__).parent.parent / "docs" / "performance.md"


def measure(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    with serving(folder) as bench:
        begun, nothing = starts.measure(bench, sizes)
        yield from begun
        yield from probes.measure(bench, sizes)
        large = steady.observe(bench, steady.large(sizes), sizes, scraped=True)
        yield from steady.figures(large, sizes)
        yield from scrapes.figures(large.text, large.scrapes, sizes)
        small = steady.observe(bench, steady.small(sizes), sizes, scraped=False)
        yield from steady.growth(small, large, nothing, sizes)
    with serving(folder, wait=accuracy.WAIT) as bench:
        yield from accuracy.measure(bench, sizes)


def said(figure: Figure) -> Figure:
    print(figure.line(), file=sys.stderr, flush=True)
    return figure


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--quick", action="store_const", const="quick", dest="size", help="less of everything, for a look")
    parser.add_argument("--size", choices=sorted(_SIZES), default="full", help="tiny: only whether it runs")
    parser.add_argument("--out", type=Path, help="where to write (default: docs/performance.md in full, else standard output)")
    args = parser.parse_args(arguments)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ekm-bench-") as folder:
        figures = [said(figure) for figure in measure(Path(folder), _SIZES[args.size])]
    out = args.out or (DOCUMENT if args.size == "full" else None)
    write(out, args.size, figures, seconds=time.monotonic() - begun)


if __name__ == "__main__":
    main()
