"""The list of docs/alerts.md, from the comments of the rule templates, and the arithmetic of docs/maintainers/alert-timing.md."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alerts import build, document
from docs.generators.pages import GeneratedPart

TIMING: Final = Path(__file__).parents[1] / "maintainers" / "alert-timing.md"


def _listed() -> str:
    return document.tables(build.joined(build.commented(), build.commented(template=build.SQL_TEMPLATE)))


LIST: Final = GeneratedPart("list of alerts", _listed)
LEAST: Final = GeneratedPart("least numbers of failures", document.arithmetic)
