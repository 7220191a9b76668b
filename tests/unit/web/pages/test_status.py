"""Incidents that are over: quiet lines on the status page, without a card, an action or a ticket."""

import re
from itertools import islice
from pathlib import Path

import pytest

from exporter.core.values import Step
from exporter.knowledge.reason_row import Link
from exporter.knowledge.reasons import Reason
from exporter.web import app
from exporter.web.pages import status
from tests.support.web_factories import STARTED, bad, config, good, target
from tests.support.web_server import Service, answer, words

DOCS = Path(__file__).parents[4] / "docs"
MINUTE = 60.0
NOW = STARTED + 10 * MINUTE
FIREWALL = {"step": Step.GET_KEY, "code": 3077, "reason": Reason.FORBIDDEN_FIREWALL, "status": 403}


@pytest.fixture(autouse=True)
def stopped_clock(monkeypatch):
    monkeypatch.setattr(app.time, "time", lambda: NOW)


def repaired(*names, of):
    """The service of `of` targets: all were ready and failed three times, and those in `names` are ready again."""
    service = Service(config(*(target(name, vault=f"v-{name}.vault.azure.net", instances=()) for name in of)))
    for name in of:
        service.add_reports(good(name, started_at=STARTED))
        service.add_reports(*(bad(name, started_at=STARTED + at * MINUTE, **FIREWALL) for at in (1, 2, 3)))
        later = (good(name, started_at=STARTED + 4 * MINUTE), good(name, started_at=NOW - 5))
        service.add_reports(*later if name in names else [bad(name, started_at=NOW - 5, **FIREWALL)])
    return service


async def shown(service, path="/"):
    html = (await answer(service, path))[2]
    return words(html), html


async def test_a_repaired_incident_is_a_line_without_an_action():
    text, html = await shown(repaired("a", "b", of="ab"))
    assert "2 of 2 targets ready 0 not ready 0 failing 0 unknown 2 ready 2 vaults: the vault&#x27;s firewall blocks the" in text
    assert "probe&#x27;s address: ended 2026-01-02 03:08:05 UTC , lasted 3 min. Targets a , b" in text
    assert not any(word in html for word in ("First:", "<textarea", 'class="causes"'))


async def test_repaired_vaults_are_no_part_of_a_present_card():
    text, _ = await shown(repaired(*"abcdefg", of="abcdefgh"))
    card = text.partition("7 vaults:")[0]
    assert "not ready Vault v-h: the vault&#x27;s firewall blocks the probe&#x27;s address" in card
    assert "v-a" not in card
    assert (
        "7 vaults: the vault&#x27;s firewall blocks the probe&#x27;s address: ended 2026-01-02 03:08:05 UTC , lasted 3 min. 7 targets"
        in text
    )
    assert "1 cause " in text


async def test_many_ended_incidents_are_a_few_lines():
    service = Service(config(*(target(name, vault=f"v-{name}.vault.azure.net", instances=()) for name in "abcdefg")))
    reasons = (*islice((each for each in Reason if each.row.link_at(Step.GET_KEY) is Link.KEY), 7),)
    for number, (name, reason) in enumerate(zip("abcdefg", reasons, strict=True)):
        failed = bad(name, step=Step.GET_KEY, code=3077, reason=reason, started_at=STARTED)
        service.add_reports(failed, good(name, started_at=STARTED + number + 1))
        service.add_reports(good(name, started_at=NOW - 5))
    text, _ = await shown(service)
    assert text.index("Key v-g/ContosoRSAKey0: ") < text.index("Key v-c/ContosoRSAKey0: ")
    assert text.count("ended 2026") == 5
    assert "2 more ended" in text
    assert "Key v-a/" not in text


async def test_the_list_of_targets_has_no_ended_incidents():
    text, _ = await shown(repaired("a", of="a"), "/targets")
    assert "ended 2026" not in text


@pytest.mark.parametrize("address", [address for address, _ in status._RENEWAL.values()])
def test_what_expires_soon_leads_to_a_part_of_the_documents(address):
    name, _, part = address.removeprefix("/docs/").partition("#")
    page = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    headings = [
        re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    ]
    assert part in ("", *headings)
