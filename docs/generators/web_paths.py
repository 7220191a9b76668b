"""The table of paths in docs/pages.md, from the OpenAPI document."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Final

from docs.generators.pages import GeneratedPart, table

_TAGS: Final = {"pages", "api"}


def paths() -> str:
    """Return a row for each path that a browser opens: its address, and what it shows."""
    document = json.loads((files("exporter.web") / "static" / "openapi.json").read_text(encoding="utf-8"))
    found = {path: methods["get"] for path, methods in document["paths"].items() if "get" in methods}
    rows = ((f"`{_address(path)}`", one["summary"]) for path, one in found.items() if _TAGS & {*one["tags"]})
    return table(("path", "shows"), rows)


def _address(path: str) -> str:
    """Return the path with its variables in capitals."""
    return re.sub(r"\{(\w+)\}", lambda variable: variable[1].upper(), path)


PART = GeneratedPart("paths", paths)
