"""The instances of the inventory's file, for the gate."""

from __future__ import annotations

from pathlib import Path

from exporter.inventory.folder import FACTS, Folder, FolderError, read_facts
from exporter.runtime.files import plainly
from exporter.tde.exporter_state import GateReason
from exporter.tde.gate.conditions import Condition, reason
from exporter.tde.gate.model import Inventory


def read_inventory(path: Path) -> Inventory | GateReason:
    """Read `inventory.json`, or the one of a folder; a missing or damaged file is a reason."""
    folder = path if path.name != FACTS else path.parent
    file = folder / FACTS
    try:
        if not file.exists():
            return reason(Condition.INVENTORY_MISSING, path=str(file), folder=str(folder))
        facts = read_facts(Folder(folder, {}, (), ()))
        return Inventory(tuple(facts.documents.values()), tuple(facts.loose), facts.compared, facts.established)
    except FolderError as error:
        return reason(Condition.INVENTORY_UNUSABLE, cause=str(error), folder=str(folder))
    except OSError as error:
        return reason(Condition.INVENTORY_UNUSABLE, cause=f"{file}: {plainly(error)}", folder=str(folder))
