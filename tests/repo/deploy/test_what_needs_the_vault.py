"""docs/what-needs-the-vault.md: each operation has its source, and README begins with the same three clocks."""

import re
from pathlib import Path

import pytest

from exporter.knowledge.code_row import WITHOUT_THE_KEY

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "what-needs-the-vault.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
TABLE = PAGE.partition("## Operation by operation")[2].partition("\n## ")[0]
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TABLE.splitlines() if line.startswith("| ")][1:]
ROWS = [row for row in ROWS if set(row[0]) != {"-"}]
# What Microsoft's page about trace flag 15025 lists.
CONTACTS = ("VLF", "backup", "DBCC CHECKDB", "snapshot", "OFFLINE")


def flat(text: str) -> str:
    return " ".join(re.sub(r"\*\*|^- ", "", text, flags=re.MULTILINE).split())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:30])
def test_operation_has_its_effect_and_a_source(row: list[str]) -> None:
    assert len(row) == 4
    assert all(row)
    assert "not documented" in row[3] or re.search(r"\]\[\w+\]", row[3])


def test_source_links_are_defined_and_used() -> None:
    defined = set(re.findall(r"^\[(\w+)\]: https://learn\.microsoft\.com/", PAGE, re.MULTILINE))
    assert set(re.findall(r"\]\[(\w+)\]", PAGE)) == defined


@pytest.mark.parametrize("operation", CONTACTS)
def test_operation_that_contacts_the_vault_names_its_page(operation: str) -> None:
    assert any(operation in row[0] and row[3].endswith("[KB5023236][kb]") for row in ROWS)


def test_flag_15025_changes_only_new_log_files() -> None:
    changed = [row[0] for row in ROWS if "15025" in " ".join(row)]
    assert changed == ["a VLF is created or reused: the log grows, or wraps around"]
    assert "SQL Server 2022 CU1\nand SQL Server 2019 CU19" in PAGE


def test_two_hours_are_called_an_assumption() -> None:
    assert "**The two-hour assumption:**" in PAGE
    assert "**This is an assumption**" in PAGE.partition("## A key that only loses wrap")[2]


def test_readme_begins_with_the_three_clocks() -> None:
    assert WITHOUT_THE_KEY in flat(README.partition("\n## ")[0])
    assert "](docs/what-needs-the-vault.md)" in README.partition("\n## ")[0]
    assert "](docs/what-needs-the-vault.md)" in README.partition("\n## Documentation")[2]
