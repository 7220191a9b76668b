"""What fails without the key has one wording: in the codes, in every page and in its runbook."""

import re
from pathlib import Path

import pytest

from exporter.knowledge.code_row import WATCH_THE_LOG, WITHOUT_THE_KEY
from tests.system.alerts.test_runbooks import RULES, RUNBOOKS, section

ROOT = Path(__file__).parents[3]
# These pages are about an exporter that monitors nothing, and SQL Server does not need it.
MONITORING = {"EkmExporterDown", "EkmEveryProbeStale"}
FROM_THEN_ON = WITHOUT_THE_KEY.replace("Now: ", "From then on: ", 1)
BEFORE_THE_DATE = {"EkmCredentialExpiresIn1Day"}
PAGES = [rule for rule in RULES if rule.get("labels", {}).get("severity") == "critical" and rule["alert"] not in MONITORING]


def flat(text: str) -> str:
    """Return the words of Markdown as one line, without marks of emphasis, lists and links."""
    return " ".join(re.sub(r"\*\*|\[|\]\([^)]*\)|^- ", "", text, flags=re.MULTILINE).split())


@pytest.mark.parametrize("rule", PAGES, ids=lambda rule: rule["alert"])
def test_page_names_the_three_clocks(rule: dict) -> None:
    text = flat(rule["annotations"]["impact"])
    if rule["alert"] in BEFORE_THE_DATE:
        assert FROM_THEN_ON in text
    else:
        assert text.count(WITHOUT_THE_KEY) == text.count(WATCH_THE_LOG) == 1


@pytest.mark.parametrize("rule", PAGES, ids=lambda rule: rule["alert"])
def test_runbook_of_a_page_names_the_three_clocks(rule: dict) -> None:
    risk = flat(section((ROOT / "alerts" / "runbooks" / f"{rule['alert']}.md").read_text(), "What is at risk"))
    if rule["alert"] in BEFORE_THE_DATE:
        assert FROM_THEN_ON in risk
    else:
        assert WITHOUT_THE_KEY in risk
        assert WATCH_THE_LOG.rstrip(".") in risk


@pytest.mark.parametrize("runbook", RUNBOOKS, ids=lambda path: path.stem)
def test_runbook_about_a_lost_key_has_the_common_wording(runbook: Path) -> None:
    risk = section(runbook.read_text(), "What is at risk")
    named = [clocks for clocks in (WITHOUT_THE_KEY, FROM_THEN_ON) if clocks in flat(risk)]
    if re.search(r"\bno (?:key|token)\b(?! can be)", " ".join(risk.split())):
        assert len(named) == 1
    assert ("what-needs-the-vault.md)" in risk) == bool(named)
