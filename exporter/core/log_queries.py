"""The queries of a vault's log, which are scripts for a DBA, with the names of a vault and a key."""

from __future__ import annotations

import re
from collections.abc import Mapping


def filled(script: str, values: Mapping[str, str | int]) -> str:
    """Return a query of Kusto with these values of its first `let` statements. Texts are names without quotation marks."""
    for name, value in values.items():
        written = f'"{value}"' if isinstance(value, str) else str(value)
        script = re.sub(rf"^let {name} = [^;]+;", f"let {name} = {written};", script, count=1, flags=re.MULTILINE)
    return script
