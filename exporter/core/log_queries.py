"""The queries of a vault's log, which are scripts for a DBA, with the names of a vault and a key."""

from __future__ import annotations

import re
from collections.abc import Mapping

_COMMENT = re.compile(r"(?:^|(?<=;))[^\S\n]*//.*$", re.MULTILINE)  # at the beginning of a line, or after a statement


def fill_query(script: str, values: Mapping[str, str | int]) -> str:
    """Return a query of Kusto with these values of its first `let` statements. Texts are names without quotation marks."""
    for name, value in values.items():
        written = f'"{value}"' if isinstance(value, str) else str(value)
        script = re.sub(rf"^let {name} = [^;]+;", f"let {name} = {written};", script, count=1, flags=re.MULTILINE)
    return script


def one_line(script: str) -> str:
    """Return a query of Kusto without its comments as one line, which a mail and a ticket system keep whole."""
    return " ".join(_COMMENT.sub("", script).split())
