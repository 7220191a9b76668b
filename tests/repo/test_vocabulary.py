"""No file uses a replaced word, and every row of the table of words has an effect."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatch
from itertools import product
from typing import Any

import pytest

from exporter.metrics.definitions import METRICS, PROBE_METRICS
from tests.repo import vocabulary
from tests.repo.vocabulary import HELP_BEGINNINGS, ROWS, Row, classes, findings, paths, prepositions


@pytest.fixture(scope="module")
def files() -> list[str]:
    return paths()


def samples(pattern: str) -> list[str]:
    """Return the texts of the alternatives of a pattern, without lookarounds."""
    return list(_texts(re._parser.parse(pattern)))  # type: ignore[attr-defined]


def _texts(parts: Any) -> Iterator[str]:
    for pieces in product(*(tuple(_piece(kind, value)) for kind, value in parts)):
        yield "".join(pieces)


def _piece(kind: Any, value: Any) -> Iterator[str]:
    """Yield the texts of one part: the letters of a set, the alternatives of a group, and both cases of an optional part."""
    match str(kind):
        case "LITERAL":
            yield chr(value)
        case "IN":
            yield from (chr(code) for _, code in value)
        case "BRANCH":
            for branch in value[1]:
                yield from _texts(branch)
        case "SUBPATTERN":
            yield from _texts(value[-1])
        case "MAX_REPEAT":
            least, most, part = value
            if least == 0:
                yield ""
            if most:
                yield from _texts(part)
        case "ASSERT" | "ASSERT_NOT":
            yield ""
        case other:
            raise AssertionError(f"samples() cannot expand {other}")


def test_no_file_uses_a_replaced_word(files: list[str]) -> None:
    assert [found for path in files for found in findings(path)] == []


@pytest.mark.parametrize("spec", [*METRICS, *PROBE_METRICS], ids=lambda spec: spec.name)
def test_help_names_its_subject(spec: Any) -> None:
    assert not spec.help.startswith(HELP_BEGINNINGS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.instead)
def test_row_matches_each_of_its_words(row: Row) -> None:
    found = samples(row.pattern)
    assert found
    assert [text for text in found if not re.search(row.pattern, f"The {text}.")] == []


@pytest.mark.parametrize(("row", "use"), [(row, use) for row in ROWS for use in row.allowed], ids=lambda value: str(value)[:40])
def test_allowed_use_exists(row: Row, use: tuple[str, str], files: list[str]) -> None:
    glob, text = use
    assert row.allowed[use], "an allowed use needs a reason"
    texts = ((vocabulary.ROOT / path).read_text(encoding="utf-8") for path in files if fnmatch(path, glob))
    assert any(text in line and re.search(row.pattern, line) for whole in texts for line in whole.splitlines())


def test_replaced_word_is_found_once_per_use(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "ROOT", tmp_path)
    (tmp_path / "a.md").write_text("The vault answered.\nIt was amiss, and AMISS_NAME too.\n")
    assert list(findings("a.md")) == ["a.md:2: 'amiss': use plain words", "a.md:2: 'AMISS': use plain words"]


def test_allowed_use_is_not_found(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "ROOT", tmp_path)
    (tmp_path / "a.md").write_text("The header Sec-Fetch-Site.\n")
    assert list(findings("a.md")) == []


@pytest.fixture(scope="module")
def modules(files: list[str]) -> list[str]:
    return [path for path in files if path.startswith("exporter/") and path.endswith(".py")]


def test_class_name_occurs_once_in_the_package(modules: list[str]) -> None:
    count = Counter(name for path in modules for name in classes(path))
    assert [name for name, number in count.items() if number > 1] == []


def test_no_name_begins_with_a_preposition(modules: list[str]) -> None:
    assert [found for path in modules for found in prepositions(path)] == []


def test_names_of_a_module_are_found(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "ROOT", tmp_path)
    (tmp_path / "a.py").write_text("class A:\n  class _B:\n    def of(self): ...\ndef on_end(): ...\n_AT_ONCE = 1\nof_key = 2\n")
    assert list(classes("a.py")) == ["A", "_B"]
    assert sorted(prepositions("a.py")) == ["a.py:3: of", "a.py:5: _AT_ONCE"]
