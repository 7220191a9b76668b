"""The queries of a vault's log, which are scripts for a DBA, with the names of a vault and a key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from exporter.core.quoting import plain

LOG_SCRIPTS: Final[Mapping[str, str]] = {  # by file name; part of the program, and read as its modules are: once, when it starts
    path.name: path.read_bytes().decode("ascii") for path in Path(__file__).with_name("scripts").iterdir()
}

_COMMENT = re.compile(r"(?:^|(?<=;))[^\S\n]*//.*$", re.MULTILINE)  # at the beginning of a line, or after a statement


def fill_query(script: str, values: Mapping[str, str | int]) -> str:
    """Return a query of Kusto with these values of its first `let` statements. Texts are names without quotation marks."""
    for name, value in values.items():
        written = f'"{plain(value, name.upper())}"' if isinstance(value, str) else str(value)
        script = re.sub(rf"^let {name} = [^;]+;", f"let {name} = {written};", script, count=1, flags=re.MULTILINE)
    return script


def log_query(name: str, **values: str | int) -> str:
    """Return the query of a script with these values of its variables."""
    return fill_query(LOG_SCRIPTS[name], values).rstrip("\n")


def one_line(script: str) -> str:
    """Return a query of Kusto without its comments as one line, which a mail and a ticket system keep whole."""
    return " ".join(_COMMENT.sub("", script).split())
