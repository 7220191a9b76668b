"""Writes the generated parts of pages again: `python -m docs.generators.every_page [PAGE...]`, without arguments all of them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from docs.generators import (
    alerts,
    configuration,
    doctor,
    gate,
    inventory,
    key_states,
    metrics,
    network,
    performance,
    placement,
    proven,
    securing,
    service_report,
    simulator,
    sizing,
    sql_host,
    sql_servers,
    vault_load,
    web_paths,
    windows,
)
from docs.generators.flags import flags
from docs.generators.pages import GeneratedPart

DOCS: Final = Path(__file__).parents[1]
PAGES: Final[Mapping[str, tuple[GeneratedPart, ...]]] = {
    "maintainers/alert-timing": (alerts.LEAST,),
    "alerts": (alerts.LIST,),
    "configuration": configuration.PARTS,
    "doctor": doctor.PARTS,
    "events": (GeneratedPart("flags", lambda: flags("events")),),
    "inventory": inventory.PARTS,
    "key-rotation": (key_states.PART,),
    "maintainers/performance": performance.PARTS,
    "maintainers/proven": proven.PARTS,
    "metrics": metrics.PARTS,
    "pages": (web_paths.PART,),
    "patch-night": gate.PARTS,
    "placement": placement.PARTS,
    "production": (gate.BRIEF_EVIDENCE_PART,),
    "private-endpoints": (network.PART,),
    "securing": (securing.PART,),
    "service-report": service_report.PARTS,
    "simulator": simulator.PARTS,
    "maintainers/simulator-scenarios": (simulator.SCENARIOS_PART,),
    "sizing": (*sizing.PARTS, *vault_load.PARTS),
    "sql-host": sql_host.PARTS,
    "sql-servers": sql_servers.PARTS,
    "windows": (windows.PART,),
}


def refreshed(page: str, text: str) -> str:
    """Return the text of a page with its parts written anew. Raise ValueError if it has no place for one."""
    for part in PAGES[page]:
        text = part.refreshed(text)
    return text


def write(*pages: str) -> None:
    for page in pages or PAGES:
        path = DOCS / f"{page}.md"
        path.write_text(refreshed(page, path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write(*sys.argv[1:])
