"""docs/recovery-pending.md: each number and state of its tables is one that `explain` finds, and it is short enough for a night."""

import re
from pathlib import Path

import pytest

from exporter.explain.messages import MESSAGES, STATES
from exporter.explain.search import explain
from exporter.knowledge.codes import BY_CODE
from tests.support.transcripts import section

PAGE = (Path(__file__).parents[3] / "docs" / "recovery-pending.md").read_text(encoding="utf-8")
TABLES = re.sub(r"\]\([^)]*\)", "", section(PAGE, "2 ") + section(PAGE, "3 "))
NUMBERS = sorted(set(re.findall(r"(?:Msg )?\b(?<![.\d])\d{3,5}\b(?![.\d])", TABLES)))
SHOWN_STATES = sorted(set(re.findall(r"`([A-Z_ ]{6,})`", section(PAGE, "2 "))))


@pytest.mark.parametrize("number", NUMBERS)
def test_number_of_the_page_is_explained(number):
    found = explain(number)
    digits = int(number.removeprefix("Msg "))
    assert found is not None
    assert found.is_code is (digits in BY_CODE and not number.startswith("Msg "))
    assert found.is_code or digits in MESSAGES


@pytest.mark.parametrize("state", SHOWN_STATES)
def test_state_of_the_page_is_explained(state):
    assert explain(state).title in {known.title for known in STATES}


def test_quoted_messages_are_explained_as_their_numbers():
    quoted = re.findall(r"^\| \*([^*]+)\* \((Msg \d+)\)", PAGE, re.MULTILINE)
    assert len(quoted) == 2
    assert [explain(text).title for text, _ in quoted] == [explain(number).title for _, number in quoted]


def test_page_has_at_most_a_thousand_words():
    assert len(PAGE.split()) <= 1000
