"""The long attacks, one after another: `./dev soak`, or `./dev soak --minutes 6` for a short run.

Runs an hour of failing probes, reloads without a pause, clients that do not read, and the fuzzer with three seeds. The exit code
is 1 if a bound is broken. A full run writes docs/soak.md, and the memory of failing fleets into docs/sizing.md.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bench import attacks, failing
from bench.document import machine
from bench.programs import serving
from bench.sizes import FULL, TINY, Sizes
from bench.table import Figure, table

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "soak.md"
SIZING = ROOT / "docs" / "sizing.md"
WHOLE = 60.0  # minutes of failing probes in a published run
BEFORE = """\
# Soak

`./dev soak` writes this page. It attacks the exporter for an hour and a quarter and fails if a bound is broken. `./dev soak --minutes 6` runs a
tenth of everything and writes nothing. It needs Linux. Run nothing else meanwhile.

## The attacks

- **Failing**: every probe of 1,000 and of 2,500 targets fails for ten minutes, by silent name servers, by silence after TLS and by refusal. A
  process beyond 512 MB, the chart's memory limit, is killed. Each run ends with SIGTERM during the failures.
- **Reloads**: a fleet of 500 is reloaded without a pause for five minutes. Each reload removes one target and adds one.
- **Slow readers**: 400 clients request `/metrics` of 2,500 targets for five minutes and do not read. Another client scrapes meanwhile; a 503
  with a message counts as a response, silence does not.
- **Fuzz**: the fuzzer of `./dev fuzz` parses hostile responses and configurations with three seeds, five minutes in all.
- **Silent name servers** are simulated by a resolver call that waits ten seconds without a packet, as the C library does.

## Results
"""


@dataclass(frozen=True, slots=True)
class Part:
    """A part. `share` is its share of the requested minutes."""

    name: str
    share: float

    def run(self, folder: Path, seconds: float, sizes: Sizes) -> Iterator[Figure]:
        if self.name == "fuzz":
            yield from attacks.fuzz(seconds)
            return
        folder.mkdir()
        with serving(folder) as bench:
            if self.name == "failing":
                each = seconds / len(failing.WAYS) / len(sizes.failing_fleets)
                yield from failing.measure(bench, replace(sizes, failing=each))
            elif self.name == "reloads":
                yield from attacks.reloads(bench, sizes, seconds)
            else:
                yield from attacks.slow_readers(bench, sizes, seconds)


PARTS = (Part("failing", 1.0), Part("reloads", 1 / 12), Part("slow-readers", 1 / 12), Part("fuzz", 1 / 12))


def attempted(part: Part, folder: Path, minutes: float, sizes: Sizes) -> Iterator[Figure]:
    """Yield the figures of a part. An exception becomes a figure, so that the next part can run."""
    try:
        for figure in part.run(folder, 60 * minutes * part.share, sizes):
            print(figure.line(), flush=True)
            yield figure
    except Exception as error:  # noqa: BLE001 - the other parts must run
        broken = Figure(
            what=f"{part.name}: broke", runs=[1], unit="", commit=0, how=f"{type(error).__name__}: {str(error)[:200]}"
        )
        print(broken.line(), flush=True)
        yield broken


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev soak", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"parts to run: {', '.join(part.name for part in PARTS)}")
    parser.add_argument(
        "--minutes", type=float, default=WHOLE, help="minutes of failing probes; the other parts take a quarter of that (60)"
    )
    parser.add_argument("--out", type=Path, help="output file (default: docs/soak.md for all parts and at least 60 minutes)")
    parser.add_argument("--tiny", action="store_true", help="a few targets: only checks that the attacks run")
    args = parser.parse_args(arguments)
    known = [part.name for part in PARTS]
    if unknown := [name for name in args.parts if name not in known]:
        parser.error(f"no part {unknown[0]!r}: there are {', '.join(known)}")
    if args.minutes <= 0:
        parser.error("--minutes needs a number above 0")
    if args.out is None and not args.parts and not args.tiny and args.minutes >= WHOLE:
        args.out = DOCUMENT
    return args


def document(figures: list[Figure], *, minutes: float, seconds: float) -> str:
    day = time.strftime("%Y-%m-%d", time.gmtime())
    took = f"Measured on {day} in {seconds / 60:.0f} minutes, {minutes:g} of them failing"
    lines = [f"{took}, load average at the end {os.getloadavg()[0]:.1f}, on:", "", *(f"- {item}" for item in machine())]
    return BEFORE + "\n".join(["", *lines, "", table(figures)])


def resized(page: str, figures: list[Figure], sizes: Sizes) -> str:
    """The page with the measured memory of each way to fail."""
    found = {figure.what: figure.median for figure in figures}
    for way in failing.WAYS:
        most = [found.get(f"{targets:,} targets, {way.words}: resident memory") for targets in sizes.failing_fleets]
        cells = " | ".join("not measured" if one is None else f"{one:.0f} MB" for one in most)
        start = f"| every probe fails by {way.words} |"
        page = re.sub(rf"^{re.escape(start)}.*$", f"{start} {cells} |", page, flags=re.MULTILINE)
    return page


def main(arguments: list[str] | None = None) -> int:
    args, begun, found = parsed(arguments), time.monotonic(), list[Figure]()
    with tempfile.TemporaryDirectory(prefix="ekm-soak-") as folder:
        for part in PARTS:
            if not args.parts or part.name in args.parts:
                found += attempted(part, Path(folder, part.name), args.minutes, TINY if args.tiny else FULL)
    if args.out is not None:
        args.out.write_text(document(found, minutes=args.minutes, seconds=time.monotonic() - begun), encoding="utf-8")
    if args.out == DOCUMENT:
        SIZING.write_text(resized(SIZING.read_text(encoding="utf-8"), found, FULL), encoding="utf-8")
    broken = [figure.what for figure in found if not figure.met]
    print(f"soak: {len(broken)} of {len(found)} figures break a bound{''.join(f'; {what}' for what in broken)}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
