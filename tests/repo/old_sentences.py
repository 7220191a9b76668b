"""Sentences that are untrue about SQL Server and its keys, as patterns of prose.

SQL Server needs the vault for each backup and each new log file, so an open database does not simply go on until a restart.
`python -m tests.repo.old_sentences PATH...` prints each place that breaks a row.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.repo.vocabulary import ROOT

# The two files that contain the sentences, and files whose text is not the project's.
SKIPPED: Final = re.compile(
    r"tests/repo/(test_)?old_sentences\.py|.*\.(?:lock|svg|png|zip|ico|woff2)|LICENSE|deploy/windows/.*LICENSE\.txt"
)


@dataclass(frozen=True)
class Sentence:
    """One untrue sentence: a pattern without regard to case, and what is true instead."""

    pattern: str
    instead: str


_DATABASES: Final = r"(?:databases?|SQL Servers?|SQL Server instances?|instances?|they|it)"
_GO_ON: Final = (
    r"(?:keeps? (?:on )?(?:working|running|serving)|continues? (?:to (?:work|run|serve)|working|running)|goe?s? on working)"
)
_LASTS: Final = r"(?:stays?|remains?|works?|runs?|serves?|is|are|lasts?)"
_OPEN: Final = r"(?:open|online|available|usable|accessible|readable|up|fine|safe|unaffected|as before|working|running)"
_RESTART: Final = (
    r"(?:re-?starts?|reboots?|(?:service|server|next|following) starts?|starts? of (?:the service|SQL Server)|patch night)"
)
SENTENCES: Final = (
    Sentence(rf"\b{_DATABASES} (?:\w+ ){{0,2}}?{_GO_ON}", "WITHOUT_THE_KEY: now, at the next log file or backup, at a restart"),
    Sentence(rf"\b{_GO_ON}[^.;|]{{0,40}} until\b[^.;|]{{0,30}}\b{_RESTART}", "WITHOUT_THE_KEY"),
    Sentence(
        rf"\bdatabases?\b[^.;:|]{{0,30}}\b{_LASTS} {_OPEN}[^.;|]{{0,30}} (?:until|till|up to)\b[^.;|]{{0,30}}\b{_RESTART}", "WITHOUT_THE_KEY"
    ),
    Sentence(rf"\bopen (?:encrypted )?databases? (?:\w+ )?{_LASTS} (?:\w+ )?(?:not affected|{_OPEN})", "open databases still read and write, for now"),
    Sentence(rf"\bunnoticed until\b[^.;|]{{0,30}}\b{_RESTART}", "backups fail first"),
    Sentence(
        rf"\b(?:shows?|noticed|appears?|fails?|matters?|hurts?|visible) (?:itself )?(?:only|first) (?:at|after|with|on) (?:a|the|its|their)\b[^.;|]{{0,12}}\b{_RESTART}",
        "a backup or a new log file shows it too",
    ),
    Sentence(rf"\bonly (?:a|the|its) (?:next )?{_RESTART} (?:proves?|shows?|tests?|reveals?)", "a backup two hours after the change proves it too"),
    Sentence(
        rf"\b(?:would|will|do|does|did|can) ?not open (?:(?:their|its|the) databases? )?(?:after|at|until|before) (?:a|the|its|their)(?: next)? {_RESTART}",
        "backups fail, and databases stay closed at a restart",
    ),
    Sentence(rf"\bnothing (?:happens|fails|breaks)\b[^.;|]{{0,20}} (?:until|before)\b[^.;|]{{0,20}}\b{_RESTART}", "backups fail first"),
)  # fmt: skip
# Line breaks within a sentence: in comments, in lists of YAML, in Markdown, and between two literals of Python.
_BETWEEN: Final = re.compile(r"""["']\s*\n\s*[rf]{0,2}["']|\s*\n[ \t]*(?:#|--|//|>|\*)?[ \t]*""")


def prose(text: str) -> str:
    """Return the text with the lines of a paragraph joined, and blank lines as the ends of sentences."""
    paragraphs = re.split(r"\n[ \t#>*-]*\n", text.replace("**", ""))
    return ". ".join(_BETWEEN.sub(lambda found: "" if found[0][0] in "\"'" else " ", each) for each in paragraphs)


def findings(path: str, text: str) -> Iterator[str]:
    """Yield one line for each untrue sentence of a file."""
    joined = prose(text)
    for row in SENTENCES:
        for found in re.finditer(row.pattern, joined, re.IGNORECASE):
            yield f"{path}: {found.group()!r}: write {row.instead}"


def read(path: str) -> str:
    """Return the text of a tracked file; empty if the file is not the project's text."""
    if SKIPPED.fullmatch(path) or not (ROOT / path).is_file():
        return ""
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


if __name__ == "__main__":
    for one in sys.argv[1:]:
        for each in findings(one, read(one)):
            print(each)  # noqa: T201
