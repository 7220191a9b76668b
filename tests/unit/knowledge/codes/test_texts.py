"""The rules of every text about a failure: of codes, messages, checks and reasons."""

import re
from itertools import chain

import pytest

from exporter.explain.messages import KNOWN_TEXTS
from exporter.knowledge.advice import SERVER_ACTIONS
from exporter.knowledge.checks import CHECKS
from exporter.knowledge.code_row import EACH_IDENTITY
from exporter.knowledge.codes import CODES
from exporter.knowledge.reasons import Reason

OF_CODES = [text for row in CODES for text in (row.summary, row.effect, *row.causes, *row.actions, row.unobservable_because)]
OF_MESSAGES = [text for known in KNOWN_TEXTS for text in (known.summary, *known.causes, *known.actions)]
OF_CHECKS = [text for check in CHECKS for text in (*check.actions, *check.of_certificate, *check.on_hsm)]
OF_REASONS = [EACH_IDENTITY, *(text for each in Reason for text in chain(each.row.actions, *each.row.by_kind.values()))]


@pytest.mark.parametrize(
    ("texts", "ends"),
    [
        (OF_CODES, ".?!;"),
        (OF_MESSAGES, ".?!;:"),
        (OF_CHECKS, ".?!"),
        (OF_REASONS, ".?!;:"),
        (map(str, SERVER_ACTIONS.values()), ".?!"),
    ],
    ids=["codes", "messages", "checks", "reasons", "servers"],
)
def test_text_is_short_ascii_sentences_that_stand_alone(texts, ends):
    for text in filter(None, texts):
        plain = re.sub(r"`[^`]*`", "CODE", text)
        assert text.isascii()
        assert text.endswith((".", "?", ";`."))
        assert "`" not in plain
        assert plain == " ".join(plain.split())
        assert ".." not in plain
        assert "docs/" not in text  # the host has no documentation
        assert max(len(sentence.split()) for sentence in re.split(rf"(?<=[{ends}])\s+", plain)) <= 25, text
