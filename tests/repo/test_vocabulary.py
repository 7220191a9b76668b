"""No file uses a replaced word, and every row of the table of words has an effect."""

import re
from fnmatch import fnmatch
from typing import Any

import pytest

from exporter.metrics.definitions import METRICS, OF_PROBE
from tests.repo import vocabulary
from tests.repo.vocabulary import HELP_BEGINNINGS, ROWS, Row, findings, paths


@pytest.fixture(scope="module")
def files() -> list[str]:
    return paths()


def test_no_file_uses_a_replaced_word(files: list[str]) -> None:
    assert [found for path in files for found in findings(path)] == []


@pytest.mark.parametrize("spec", [*METRICS, *OF_PROBE], ids=lambda spec: spec.name)
def test_help_names_its_subject(spec: Any) -> None:
    assert not spec.help.startswith(HELP_BEGINNINGS)


@pytest.mark.parametrize(("row", "use"), [(row, use) for row in ROWS for use in row.allowed], ids=lambda value: str(value)[:40])
def test_allowed_use_exists(row: Row, use: tuple[str, str], files: list[str]) -> None:
    glob, text = use
    assert row.allowed[use], "an allowed use needs a reason"
    texts = ((vocabulary.ROOT / path).read_text(encoding="utf-8") for path in files if fnmatch(path, glob))
    assert any(text in line and re.search(row.pattern, line) for whole in texts for line in whole.splitlines())
