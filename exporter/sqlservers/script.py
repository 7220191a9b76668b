"""The batches of inventory.sql, which stands here as a file of the package; deploy/sql has a copy for sqlcmd."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_BATCH = re.compile(r"^GO\s*$", re.IGNORECASE | re.MULTILINE)
_SECTION = re.compile(r'"section":"(\w+)"')


def script() -> str:
    """Return the text of inventory.sql."""
    return Path(__file__).with_name("inventory.sql").read_text(encoding="utf-8")


@cache
def batches() -> tuple[tuple[str, str], ...]:
    """Return the name of each section and its batch, in order."""
    named = ((_SECTION.search(batch), batch.strip()) for batch in _BATCH.split(script()))
    return tuple((section[1], batch) for section, batch in named if section is not None)


if __name__ == "__main__":
    print(script(), end="")  # noqa: T201 - ./dev docs writes deploy/sql/inventory.sql
