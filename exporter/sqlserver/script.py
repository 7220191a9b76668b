"""The scripts for a DBA, which are files of the package, and the batches of inventory.sql and proof.sql."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from exporter.core.connector import LOG_SCRIPTS

Batches = tuple[tuple[str, str], ...]  # the name of each section and its batch, in order

SEARCHED_DAYS = 35  # for full and differential backups, in proof.sql
FOLDER = Path(__file__).with_name("scripts")
_BATCH = re.compile(r"^GO\s*$", re.IGNORECASE | re.MULTILINE)
_SECTION = re.compile(r'"section":"(\w+)"')
# The first sentence of a script: a dot within a file's name does not end it.
_SUMMARY = re.compile(r"(?:#Requires[^\n]+\n)?(?:--|//|<#\s+\.SYNOPSIS)\s+(.+?[.?])\s", re.DOTALL)


def script_names() -> tuple[str, ...]:
    return tuple(sorted({*LOG_SCRIPTS, *(path.name for path in FOLDER.iterdir())}))


def script_bytes(name: str) -> bytes:
    return LOG_SCRIPTS[name].encode("ascii") if name in LOG_SCRIPTS else (FOLDER / name).read_bytes()


def summary(script: bytes) -> str:
    """Return the first sentence of a script for a DBA."""
    found = _SUMMARY.match(script.decode("ascii"))
    return "" if found is None else " ".join(found[1].split())


@cache
def batches() -> Batches:
    return _batches(FOLDER / "inventory.sql")


@cache
def proof_batches(*, days: int = SEARCHED_DAYS) -> Batches:
    """Return the batches of proof.sql, which `run` sends after those of the inventory.

    They search so many days for full and differential backups.
    """
    searched = "DATEADD(day, -{}, GETDATE())"
    found = _batches(FOLDER.with_name("proof.sql"))
    return tuple((section, batch.replace(searched.format(SEARCHED_DAYS), searched.format(days))) for section, batch in found)


def _batches(path: Path) -> Batches:
    named = ((_SECTION.search(batch), batch.strip()) for batch in _BATCH.split(path.read_text(encoding="utf-8")))
    return tuple((section[1], batch) for section, batch in named if section is not None)
