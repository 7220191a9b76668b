"""Write no file that `check` refuses: the loader of `check` reads each new file before it replaces the old one."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Collection, Iterable
from pathlib import Path

from exporter.config.loader import load_config
from exporter.inventory.folder import FileChange
from exporter.tde.findings import Findings

_MAIN = "main.yaml"
_INCLUDED = re.compile(r"include\[([0-9]+)\]")
_SECRET = ".secret_file"  # noqa: S105 - the end of a setting's path: the secret itself may still be missing


def accepted(todo: Iterable[FileChange], declared: Collection[str], findings: Findings) -> list[FileChange]:
    """Return the changes that `check` accepts; each other one is a gap, and its old file stays.

    `declared` are the credentials of other files, which the new ones may name.
    """
    changes = list(todo)
    refused: dict[str, str] = {}
    texts = {change.path.name: change.after for change in changes if change.after is not None}
    while found := _problems({file: text for file, text in texts.items() if file not in refused}, declared):
        refused |= found  # a file that cannot be parsed hides the problems of others
    for change in changes:
        if change.path.name in refused:
            findings.gap(
                f"{change.path} was not written, because check refuses its new content ({refused[change.path.name]}): "
                "correct the name or value in SQL Server; targets of an earlier run stay"
            )
    return [change for change in changes if change.path.name not in refused]


def _problems(texts: dict[str, str], declared: Collection[str]) -> dict[str, str]:
    """Return the first problem of each file that has one."""
    with tempfile.TemporaryDirectory(prefix="ekm-inventory-") as name:
        folder = Path(name)
        for file, text in texts.items():
            (folder / file).write_text(text, encoding="utf-8", errors="replace", newline="\n")
        files = sorted(texts)
        main = {"credentials": {one: {"type": "managed_identity"} for one in declared}, "include": files}
        (folder / _MAIN).write_text(json.dumps(main), encoding="utf-8")
        found: dict[str, str] = {}
        for problem in load_config(folder / _MAIN).problems:
            included = _INCLUDED.fullmatch(problem.path)  # a file that cannot be read is a problem of its include
            file = files[int(included[1])] if included is not None else Path(problem.file).name
            if file in texts and not problem.path.endswith(_SECRET):
                found.setdefault(file, problem.message if included is not None else problem.what)
        return found
