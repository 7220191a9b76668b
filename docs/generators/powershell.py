"""A table of the parameters of a PowerShell script for a DBA, from the comments before them."""

from __future__ import annotations

import re
from typing import Final

from docs.generators.pages import table
from exporter.sqlserver.script import script_bytes

_PARAMETER: Final = re.compile(
    r"^ {4}# (?P<comment>.+)\n {4}(?:\[Parameter.*?\] )?(?:\[Validate.*?\] )?\[(?P<type>\w+).*?\] \$(?P<name>\w+)", re.MULTILINE
)


def parameters(script: str) -> str:
    """Return a row for each parameter; a switch has no value."""
    found = _PARAMETER.finditer(script_bytes(script).decode("ascii"))
    rows = ((f"`-{one['name']}{'' if one['type'] == 'switch' else ' …'}`", one["comment"]) for one in found)
    return table(("parameter", "meaning"), rows)
