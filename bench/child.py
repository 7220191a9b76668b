"""One part in a process of its own. Its results are lines of JSON on standard output; after its warm-up it waits for a line."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from bench.items import Broken, Item, Mark, encoded
from bench.parts import PARTS, Place
from bench.sizes import SIZES
from bench.trees import Tree

LOWER = 10  # priority of parts that fill the gaps, see nice(1)


def _output(item: Item) -> None:
    print(encoded(item), flush=True)


def tree_of(fields: dict[str, Any] | None) -> Tree | None:
    if fields is None:
        return None
    words = tuple((new, old) for new, old in fields["words"])
    return Tree(fields["name"], fields["root"], fields["python"], words)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--size", choices=SIZES, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--other", default="null", help="the tree to compare with, as JSON")
    args = parser.parse_args()
    part, other = PARTS[args.part], tree_of(json.loads(args.other))
    if part.place is Place.FILLING:
        os.nice(LOWER)
    try:
        for item in part.run(args.folder, SIZES[args.size], other):
            _output(item)
            if item is Mark.WARM:
                sys.stdin.readline()
    except Exception as error:  # noqa: BLE001 - the other parts must run
        _output(Broken(f"{type(error).__name__}: {' '.join(str(error).split())[-300:]}"))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
