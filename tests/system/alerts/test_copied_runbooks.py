"""No runbook is a copy of another: each has its own phrases, and is about its own alert."""

import re
from collections.abc import Iterator, Mapping
from itertools import combinations

import pytest

from tests.system.alerts.test_runbooks import RUNBOOKS, SECTIONS, section

TEXTS = {path.stem: path.read_text() for path in RUNBOOKS}
WORDS = 5  # of a phrase
# The largest share of the shorter text. Today's are 0.29 and 0.64: two alerts count failures by the same rule.
WHOLE, WHAT_HAPPENED = 0.4, 0.75
_LINK = re.compile(r"\[[^\]]*\]\((Ekm\w+)\.md[^)]*\)")
_ALERT = re.compile(r"\bEkm[A-Z]\w+")


def phrases(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return set(zip(*(words[first:] for first in range(WORDS)), strict=False))


def alike(texts: Mapping[str, str], most: float) -> Iterator[tuple[str, str]]:
    """Yield the pairs that share more than this part of the phrases of the shorter text."""
    of = {name: phrases(text) for name, text in texts.items()}
    for one, other in combinations(of, 2):
        if len(of[one] & of[other]) > most * min(len(of[one]), len(of[other])):
            yield one, other


def copies(texts: Mapping[str, str]) -> set[tuple[str, str]]:
    """Return the pairs with one copy. What is at risk has one wording for all (`test_three_clocks`)."""
    own = {name: " ".join(section(text, each) for each in SECTIONS[1:]) for name, text in texts.items()}
    happened = {name: section(text, "What happened") for name, text in texts.items()}
    return {*alike(own, WHOLE), *alike(happened, WHAT_HAPPENED)}


def foreign(name: str, text: str) -> set[str]:
    """Return the other alerts that a runbook names without a link, and its own name if that has a link."""
    linked = set(_LINK.findall(text))
    bare = set(_ALERT.findall(_LINK.sub("", text)))
    return (bare - {name}) | (linked & {name})


def test_no_runbook_is_a_copy_of_another():
    assert copies(TEXTS) == set()


@pytest.mark.parametrize("name", TEXTS)
def test_runbook_names_other_alerts_only_in_links(name):
    assert foreign(name, TEXTS[name]) == set()


@pytest.mark.parametrize("kept", [SECTIONS[1:], ["What happened"]], ids=["all of it", "what happened"])
@pytest.mark.parametrize("name", TEXTS)
def test_copied_runbook_is_found(name, kept):
    text = "".join(
        f"\n## {each}\n{section(TEXTS[name], each) if each in kept else 'Other words, of its own.'}" for each in SECTIONS
    )
    assert copies({name: TEXTS[name], "EkmNew": f"# EkmNew\n{text}"}) == {(name, "EkmNew")}


def test_runbook_about_another_alert_is_found():
    linked = TEXTS["EkmErrorBudgetBurns"].replace("# EkmErrorBudgetBurns", "# EkmThrottledSpike")
    assert foreign("EkmNew", TEXTS["EkmWatchdog"]) == {"EkmWatchdog"}
    assert foreign("EkmThrottledSpike", linked) == {"EkmThrottledSpike"}
