"""A row is a reason: everything that shows one reads it there."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.core.values import Step
from exporter.knowledge.causes import SEVERAL
from exporter.knowledge.checks import BY_NAME, check_of
from exporter.knowledge.reason_row import Link, Reply
from exporter.knowledge.reasons import ROWS, Reason

ROOT = Path(__file__).parents[3]
# A new row, before anything but the rows is imported. Then what each reader of rows makes of it.
ADDED = """
import json, sys
from exporter.knowledge.reason_row import Link
from exporter.core.values import CredentialKind, Facts, Outcome, Step
from exporter.knowledge import reasons_vault as key
from exporter.knowledge.reason_row import Markers, ReasonRow, Refused, ShownBy, VaultOrder, implied

markers = (implied(VaultOrder.INNER_CODE, "KeyPurged", "was purged", statuses=(404,)),)
row = ReasonRow(
    "key_purged", "the key was purged", link=Link.KEY, refuses=Refused.KEY, is_open=True, markers=markers,
    shown_by=ShownBy("key_version", (Step.GET_KEY,)), on_hsm=("Restore the HSM.",),
).advising("Restore the key: `az keyvault key restore --vault-name VAULT`.")
key.KEY = (*key.KEY, row)
assert "exporter.knowledge.reasons" not in sys.modules

from exporter.knowledge.verdict import KEY_REFUSED
from exporter.knowledge.report import StepResult
from exporter.knowledge.causes import Failed, cause_of
from exporter.knowledge.checks import check_of
from exporter.knowledge.classify import classify
from exporter.knowledge.advice import actions
from exporter.knowledge.names import Names
from exporter.explain.search import explain
from exporter.knowledge.advice import cause, open_detail
from exporter.core.values import Fault
from exporter.knowledge.answers import read_error
from exporter.report.minutes import failed_minute

body = read_error(b'{"error": {"code": "KeyNotFound", "message": "The key was purged."}}')
found = classify(Step.GET_KEY, Facts(fault=Fault.HTTP_STATUS, status=404, inner_code=body.inner_code))
first = {
    name: actions(found.code, found.reason, ready=None, names=Names(target="t", vault=vault, key="k", version=None))[0]
    for name, vault in (("vault", "a.vault.azure.net"), ("hsm", "a.managedhsm.azure.net"))
}
failed = StepResult(step=Step.GET_KEY, outcome=Outcome.FAILED, reason=found.reason, facts=Facts(detail="purged yesterday"))
explained = explain("key_purged")
print(json.dumps({
    "classified": [found.code, found.reason],
    "text": cause(found.reason, Step.GET_KEY),
    "detail": open_detail(failed),
    "first": first,
    "link": cause_of(Failed(step=Step.GET_KEY, reason=found.reason, names={})).link,
    "check": check_of(Step.GET_KEY, found.reason),
    "refused": found.reason in KEY_REFUSED,
    "explained": [explained.summary, *explained.actions],
    "minute": failed_minute("get_key", "key_purged").kind,
}))
"""


def test_a_row_alone_makes_a_reason():
    run = subprocess.run([sys.executable, "-c", ADDED], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - a fixed script
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == {
        "classified": [3076, "key_purged"],
        "text": "the key was purged",
        "detail": "purged yesterday",
        "first": {"vault": "Restore the key: `az keyvault key restore --vault-name a`.", "hsm": "Restore the HSM."},
        "link": "key",
        "check": "key_version",
        "refused": True,
        "explained": [
            "The key was purged. Code: 3076 (3112 on connector 1.0.5.0).",
            "Restore the key: `az keyvault key restore --vault-name VAULT`.",
            "Then repeat the probe: `ekm-exporter probe TARGET`.",
        ],
        "minute": "refused",
    }


def test_names_of_reasons_exist_wherever_they_are_used():
    """A type checker cannot know them: the rows are the only list."""
    files = [path for place in ("exporter", "alerts", "dashboards", "docs", "tests") for path in (ROOT / place).rglob("*.py")]
    used = {name for path in files for name in re.findall(r"\bReason\.([A-Z][A-Z_]+)\b", path.read_text(encoding="utf-8"))}
    assert used - set(Reason.__members__) == set()
    assert len(used) > 90


def test_each_row_has_a_name_of_its_own():
    assert [name.upper() for name in ROWS] == list(Reason.__members__)
    assert [name for name in ROWS if not re.fullmatch("[a-z]+(_[a-z]+)*", name)] == []


def test_a_reason_without_a_row_is_unknown():
    assert "KEY_PURGED" not in Reason.__members__
    with pytest.raises(ValueError, match="key_purged"):
        Reason("key_purged")


@pytest.mark.parametrize("reason", list(Reason))
def test_checks_and_markers_of_a_row_are_known(reason):
    row = reason.row
    assert {check_of(step, reason) for step in Step} <= set(BY_NAME)
    for markers in row.markers:
        assert all(word == word.lower() for word in markers.words)
        assert bool(markers.inner_code) is bool(markers.sentence)
        re.compile(markers.sentence)


@pytest.mark.parametrize("reason", list(Reason))
def test_what_spreads_to_an_earlier_link_names_the_change(reason):
    is_several = reason.row.link in SEVERAL or reason.row.at_sign_in.link in SEVERAL
    assert reason.row.one_change or not reason.row.spreads_to
    assert is_several or not reason.row.one_change


@pytest.mark.parametrize("reason", list(Reason))
def test_a_row_never_spreads_to_its_own_or_a_later_link(reason):
    order = list(Link)
    assert all(order.index(link) < order.index(reason.row.link) for link in reason.row.spreads_to)


def test_only_the_exporters_own_failures_test_nothing():
    untested = {reason for reason in Reason if reason.row.reply is Reply.NOT_TESTED}
    assert untested == {Reason.INTERNAL, Reason.SECRET_UNREADABLE, Reason.SECRET_TIMEOUT, Reason.SCRAPE_TIMEOUT}
