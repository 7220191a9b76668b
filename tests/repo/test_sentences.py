"""Sentences of documents are short, and sentences of docstrings are whole."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.repo.vocabulary import ROOT, paths

MOST_WORDS: Final = 25
# Blocks of code, comments, tables and headings hold no sentences of running text.
_OTHER: Final = re.compile(r"```.*?```|<!--.*?-->|^ *\|[^\n]*|^#[^\n]*", re.DOTALL | re.MULTILINE)
_LINK: Final = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_CODE: Final = re.compile(r"`[^`]*`")
_PARAGRAPH: Final = re.compile(r"\n\s*\n|\n\s*(?:[-*]|\d+\.) ")
# A colon and a semicolon end a thought too: lists and second clauses follow them.
_END: Final = re.compile(r"(?<=[.!?:;])\**\s+|(?<=\.\))\s+")
# What a docstring that was cut in two continues with.
_FRAGMENT: Final = re.compile(
    r"(?<=[.!?:])\s+((?:None|Empty|Unknown|True|False) (?:if|before|without|for|unless|when)\b|So (?:does|do|is|are)\b|"
    r"(?:Times|Durations) in\b|Unix times\.|To be\b)"
)
# docs/codes.md consists of the texts of the codes.
DOCUMENTS: Final = [path for path in paths(["*.md"]) if path != "docs/codes.md"]


def long_sentences(text: str) -> Iterator[str]:
    """Yield each sentence with more than `MOST_WORDS` words; a `code` span is no word."""
    plain = _CODE.sub("-", _LINK.sub(r"\1", _OTHER.sub("\n\n", text)))
    for paragraph in _PARAGRAPH.split(plain):
        for sentence in _END.split(" ".join(paragraph.split())):
            if len(re.findall(r"\S*\w\S*", sentence)) > MOST_WORDS:
                yield sentence


def fragments(source: str) -> Iterator[str]:
    """Yield the beginning of each sentence of a docstring that is none."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _FRAGMENT.findall(ast.get_docstring(node) or "")


@pytest.mark.parametrize("path", DOCUMENTS)
def test_document_has_no_long_sentence(path: str) -> None:
    assert list(long_sentences((Path(ROOT) / path).read_text(encoding="utf-8"))) == []


def test_sentence_of_26_words_is_found_across_lines() -> None:
    words = " ".join(["word"] * 12)
    assert list(long_sentences(f"Short.\n\n- {words}\n  word {words} more.\n")) == [f"- {words} word {words} more."]
    assert list(long_sentences(f"{words} word {words}.\n")) == []


def test_tables_and_code_hold_no_sentences() -> None:
    words = " ".join(["word"] * 30)
    spans = " ".join(["`word`"] * 30)
    assert list(long_sentences(f"# {words}\n\n| {words} |\n\n```sh\n{words}\n```\n\n{spans}.\n")) == []


def test_docstrings_hold_whole_sentences() -> None:
    sources = {path: (Path(ROOT) / path).read_text(encoding="utf-8") for path in paths(["exporter/*.py"])}
    assert {path: found for path, source in sources.items() if (found := list(fragments(source)))} == {}


def test_docstring_that_was_cut_in_two_is_found() -> None:
    source = '''"""Return the key.\n\nNone if there is none."""\ndef f():\n    """Await it. So does a second call."""\n'''
    assert list(fragments(source)) == ["None if", "So does"]
