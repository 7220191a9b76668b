"""A later run that reads less removes no target, and the gate knows it."""

from __future__ import annotations

import re

import pytest

from exporter.cli.gate import read_inventory
from tests.support.gate_factories import answer, conditions
from tests.support.inventory_command import InventoryCommand
from tests.support.sql_inventory import reg_query, rows_of, sqlcmd

URI = "https://contoso-prod.vault.azure.net/keys/K/1111aaaa2222"


@pytest.mark.parametrize("section", ["keys", "encryption", "credentials", "providers", "databases"])
def test_section_that_failed_removes_no_target(tmp_path, capsys, section):
    command = InventoryCommand(tmp_path, capsys)
    registry = command.write("keys.txt", reg_query({"2C56": URI}))

    def read(time, failing=None, code=0):
        rows = rows_of()
        rows["instance"][0]["read_at_utc"] = time
        output = command.run("--from", command.write("n1.txt", sqlcmd(rows, failing)), registry, code=code)
        return output, conditions(answer(inventory=read_inventory(command.out).documents))

    assert read("2026-11-26T20:00:00")[1] == []
    output, found = read("2026-11-26T20:03:00", {section: "no answer"}, code=1)
    assert (command.keys(), found) == ([URI], ["section_kept"])
    assert "no file changed" in output
    kept = rf"the section {section} is of 2026-11-26T20:00:00Z \([0-9dhms]+ ago\), because it was not read again: message 300: no"
    assert re.search(kept, output)
