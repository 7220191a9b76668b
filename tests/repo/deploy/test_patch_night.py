"""docs/patch-night.md: its commands, conditions and JSON fields are those of the gate."""

import re
import shlex

import pytest

from exporter.cli.main import build_parser
from exporter.sqlserver.gate.conditions import CONDITIONS
from exporter.sqlserver.gate.render import as_json
from tests.repo.deploy.test_guides import text
from tests.support.gate_factories import answer, row
from tests.support.sql_readings import a_reading

PAGE = text("docs/patch-night.md")
COMMANDS = re.findall(r"ekm-exporter (gate --[^\n|>`]+)", PAGE)


@pytest.mark.parametrize("command", COMMANDS)
def test_command_of_the_page_parses(command):
    assert build_parser().parse_args(shlex.split(command.split("; then")[0])).handler


def test_page_names_every_condition():
    table = PAGE.split("## The conditions")[1].split("## ")[0]
    named = {name for line in table.splitlines() if line.startswith("| `") for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    assert named - {"condition"} == set(CONDITIONS)


def test_page_names_every_json_field():
    named = set(re.findall(r"`(\w+)`", PAGE.split("## The JSON")[1]))
    found = as_json(answer(row(credential_expires_at=None), readings=[a_reading()]))
    parts = [found, *(each for rows in found.values() if isinstance(rows, list) for each in rows if isinstance(each, dict))]
    assert found["proofs"]
    assert found["logs"]
    assert {name for part in parts for name in part} <= named
