"""The batches of inventory.sql and proof.sql, which stand here as files of the package.

deploy/sql has a copy of inventory.sql for sqlcmd.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

Batches = tuple[tuple[str, str], ...]  # the name of each section and its batch, in order

_BATCH = re.compile(r"^GO\s*$", re.IGNORECASE | re.MULTILINE)
_SECTION = re.compile(r'"section":"(\w+)"')


def script(name: str = "inventory.sql") -> str:
    """Return the text of a script."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


@cache
def batches() -> Batches:
    """Return the batches of inventory.sql."""
    return _batches(script())


@cache
def proof_batches() -> Batches:
    """Return the batches of proof.sql, which `run` sends after those of the inventory."""
    return _batches(script("proof.sql"))


def _batches(text: str) -> Batches:
    named = ((_SECTION.search(batch), batch.strip()) for batch in _BATCH.split(text))
    return tuple((section[1], batch) for section, batch in named if section is not None)


if __name__ == "__main__":
    print(script(), end="")  # noqa: T201 - ./dev docs writes deploy/sql/inventory.sql
