"""No text of the project claims that an open database simply goes on without its key."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.repo.old_sentences import SENTENCES, Sentence, findings, prose, read
from tests.repo.vocabulary import ROOT

UNTRUE = [
    "Open databases keep working.",
    "Open databases keep working until then.",
    "The databases simply keep on running until the next restart.",
    "SQL Server continues to work until the service starts again.",
    "They keep working until they need the key.",
    "Everything keeps running until a reboot.",
    "Open databases stay open until the next restart, failover or restore.",
    "A database remains available until the next restart.",
    "Encrypted databases are fine until patch night.",
    "Open databases are not affected.",
    "Running unharmed: open databases are usually unaffected.",
    "A closed firewall stays unnoticed until SQL Server restarts.",
    "It shows only at the next restart.",
    "The fault is visible only after a restart.",
    "Only a restart proves its secret.",
    "Only the next restart shows it.",
    "These SQL Servers would not open their databases after a restart",
    "If get or unwrap is refused, databases will not open after a restart.",
    "They do not open after the next restart.",
    "Nothing fails until the next restart.",
    "# Open databases\n# keep working.",
    '        "Open databases keep "\n        f"working."',
    "- **Open databases** keep\n  working.",
]
TRUE = [
    "Open databases still read and write.",
    "At a restart: databases stay in RECOVERY PENDING.",
    "databases stay closed (RECOVERY_PENDING) until the next restart with a working vault side",
    "old rules keep working within a major version",
    "SQL Server keeps using the version of its asymmetric key.",
    "A restart proves the new secret, and so does a backup.",
    "SQL Server reads the proxy from its service account and keeps it until a restart.",
    "A directory that does not answer is not used until the next restart.",
    "The log reports a bad file, and the running configuration stays. Only a restart delivers new secrets.",
    "Wait until a database is open, then restart the next node.",
    "Open the database.\n\nIt keeps its name until a restart.",
]


def test_no_text_lets_databases_go_on_until_a_restart() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()  # noqa: S607 - git of the PATH
    assert [found for path in tracked for found in findings(path, read(path))] == []


@pytest.mark.parametrize("text", UNTRUE)
def test_untrue_sentence_is_found(text: str) -> None:
    assert list(findings("a.md", text))


@pytest.mark.parametrize("text", TRUE)
def test_true_sentence_is_not_found(text: str) -> None:
    assert list(findings("a.md", text)) == []


@pytest.mark.parametrize("row", SENTENCES, ids=lambda row: row.pattern[:30])
def test_each_pattern_finds_a_sentence(row: Sentence) -> None:
    assert any(re.search(row.pattern, prose(text), re.IGNORECASE) for text in UNTRUE)


def test_sentence_over_two_paragraphs_is_two_sentences() -> None:
    assert prose("one\ntwo\n\nthree") == "one two. three"
