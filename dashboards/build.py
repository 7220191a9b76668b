"""Renders the dashboards: `python -m dashboards.build` writes them, with `--check` it checks whether the files are up to date.

For: the one list of dashboards, and the JSON as Grafana itself would write it.
Not for: what is on them (one module each).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import expiry, fleet, internals, slo, vault
from dashboards.frame import finished

PLACE: Final = Path(__file__).parent
DASHBOARDS: Final = (fleet.dashboard, vault.dashboard, expiry.dashboard, slo.dashboard, internals.dashboard)


def rendered() -> Iterator[tuple[Path, str]]:
    """Each file with what belongs in it."""
    for make in DASHBOARDS:
        board = finished(make())
        yield PLACE / f"{board.uid}.json", json.dumps(board, cls=JSONEncoder, indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    stale = [(path, text) for path, text in rendered() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in arguments:
        for path, _ in stale:
            print(f"{path.name} is not what dashboards/build.py renders: run ./dev docs")
        return 1 if stale else 0
    for path, text in stale:
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
