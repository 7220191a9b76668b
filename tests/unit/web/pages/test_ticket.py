"""The ticket on the status page, on the page of a target and in the API."""

import json
import re
from html import unescape

import pytest

from exporter.core.values import Step
from exporter.knowledge.reasons import Reason
from exporter.web import app
from exporter.web.pages import causes
from tests.support.web_factories import STARTED, bad, config, good, target
from tests.support.web_server import Service, answer, tickets

FIREWALL = {"step": Step.GET_KEY, "code": 3077, "reason": Reason.FORBIDDEN_FIREWALL, "status": 403}


@pytest.fixture(autouse=True)
def named(monkeypatch):
    monkeypatch.setattr(causes, "computer_name", lambda: "mon1.contoso.example")
    monkeypatch.setattr(app.time, "time", lambda: STARTED + 60)


def a_service(*names, **changes):
    return Service(config(*(target(name, vault=f"v-{name}.vault.azure.net", **changes) for name in names)))


def refused(*names):
    """A service whose vaults all refuse the address of the exporter."""
    service = a_service(*names)
    service.add_reports(*(bad(name, client_address="203.0.113.7", **FIREWALL) for name in names))
    return service


async def tickets_at(service, path):
    return tickets((await answer(service, path))[2])


async def test_card_and_target_page_have_the_ticket():
    service = a_service("sales")
    service.add_reports(bad("sales", client_id="6666"))
    for path in ("/", "/targets/sales"):
        (text,) = await tickets_at(service, path)
        assert text.startswith("To: the identity team (Entra ID)\nSubject: application 6666: the client secret has expired\n")
        assert "seen from       mon1.contoso.example, the host of the monitor" in text
        assert "Since\n  before 2026-01-02T03:04:05Z, first observed then" in text


async def test_ticket_is_folded_with_a_button_and_a_name():
    service = a_service("sales")
    service.add_reports(bad("sales"))
    html = (await answer(service, "/targets/sales"))[2]
    folded = html.split('<details class="ticket">')[1].split("</details>")[0]
    assert folded.startswith("<summary>For the identity team (Entra ID): ready text</summary>")
    assert '<button type="button" class="copy">Copy</button>' in folded
    assert 'tabindex="0" role="region" aria-label="For the identity team (Entra ID): ready text"' in folded


async def test_vaults_of_one_cause_share_a_ticket():
    names = [f"t{number:02}" for number in range(45)]
    service = a_service(*names)
    service.add_reports(*(bad(name, client_address="203.0.113.7", **FIREWALL) for name in names))
    (text,) = await tickets_at(service, "/")
    assert "Subject: 45 key vaults: the vault's firewall blocks 203.0.113.7 (mon1.contoso.example)" in text
    assert "v-t00, v-t01, " in text.replace("\n  ", " ")
    assert "and 5 more." in text
    others = next(line for line in text.split("\n") if "also for    " in line)
    assert all(f" v-{name}" in others for name in names[1:])


async def test_more_vaults_than_a_command_has_are_counted(monkeypatch):
    monkeypatch.setattr(causes, "MOST_PARTS", 3)
    monkeypatch.setattr(causes, "FEW_PARTS", 3)
    service = refused("a", "b", "c", "d", "e")
    cause = re.search(r'href="(/targets\?cause=[^"]+)"', (await answer(service, "/"))[2])[1]
    (text,) = await tickets_at(service, unescape(cause))
    assert "The commands cover 3 of 5." in text


async def test_status_page_leads_to_the_longer_ticket_of_a_cause(monkeypatch):
    monkeypatch.setattr(causes, "SHARED_PARTS", 2)
    monkeypatch.setattr(causes, "FEW_PARTS", 2)
    service = refused("a", "b", "c", "d", "e")
    html = (await answer(service, "/"))[2]
    assert "The commands cover 2 of 5." in html
    (path,) = re.findall(r'<a href="([^"]+)">Show the text for up to 300</a>', html)
    (text,) = await tickets_at(service, unescape(path))
    assert "The commands cover" not in text
    assert all(f"v-{name}" in text for name in "abcde")


async def test_less_urgent_causes_share_what_is_left_for_tickets(monkeypatch):
    monkeypatch.setattr(causes, "SHARED_PARTS", 5)
    monkeypatch.setattr(causes, "FEW_PARTS", 2)
    names = ("p", "q", "r")
    service = a_service("a", "b", "c", "d", *names)
    service.add_reports(*(bad(name, client_address="203.0.113.7", **FIREWALL) for name in "abcd"))
    gone = {"step": Step.GET_KEY, "code": 3076, "reason": Reason.KEY_DISABLED, "status": 403}
    service.add_reports(*(bad(name, **gone) for name in names))
    first, second = await tickets_at(service, "/")
    assert "The commands cover" not in first
    assert "The commands cover 2 of 3." in second


async def test_cause_without_a_ticket_leaves_its_room_to_the_others(monkeypatch):
    monkeypatch.setattr(causes, "SHARED_PARTS", 4)
    monkeypatch.setattr(causes, "FEW_PARTS", 2)
    service = a_service(*"abcdefgh")
    service.add_reports(*(bad(name, reason=Reason.CLOCK_SKEW) for name in "abcde"))  # no other team repairs it
    service.add_reports(*(bad(name, client_address="203.0.113.7", **FIREWALL) for name in "fgh"))
    (text,) = await tickets_at(service, "/")
    assert "The commands cover" not in text


async def test_deleted_keys_of_one_vault_share_a_ticket_with_both():
    keys = [target(name, key_name=name) for name in ("K1", "K2")]
    service = Service(config(*keys))
    service.add_reports(
        *(bad(name, step=Step.GET_KEY, code=3076, reason=Reason.KEY_DISABLED, status=403) for name in ("K1", "K2"))
    )
    texts = await tickets_at(service, "/")
    assert all(any(f"--name {key} " in text or f" {key};" in text for text in texts) for key in ("K1", "K2"))


async def test_unsteady_card_names_the_principal_of_its_failure():
    service = a_service("sales")
    role = {"step": Step.GET_KEY, "code": 3077, "reason": Reason.FORBIDDEN_RBAC, "status": 403, "object_id": "0b1ec7"}
    for number in range(8):
        at = STARTED - (7 - number) * 60
        service.add_reports(good("sales", started_at=at) if number % 2 else bad("sales", started_at=at, **role))
    card = (await answer(service, "/"))[2].split('class="causes"')[1].split("<details")[0]
    assert "--assignee-object-id 0b1ec7" in card
    assert "OBJECT_ID" not in card.partition("OBJECT_ID is the principal")[0]


async def test_unsteady_target_has_a_ticket_of_its_failures():
    service = a_service("sales")
    for number in range(8):
        made = bad if number % 2 == 0 else good
        service.add_reports(made("sales", started_at=STARTED + number))
    (text,) = await tickets_at(service, "/targets/sales")
    assert "the client secret has expired" in text
    (card,) = await tickets_at(service, "/")
    assert "Unsteady: 3303 in 4 of the last 8 probes." in card


async def test_failure_of_no_other_team_has_no_ticket():
    service = a_service("sales", "unprobed")
    service.add_reports(bad("sales", reason=Reason.CLOCK_SKEW))
    assert await tickets_at(service, "/") == []
    assert await tickets_at(service, "/targets/sales") == []
    assert await tickets_at(service, "/targets/unprobed") == []


async def test_names_in_a_ticket_are_escaped():
    service = a_service("sales", instances=({"sql_instance": "<b>PROD</b>"},))
    service.add_reports(bad("sales"))
    html = (await answer(service, "/targets/sales"))[2]
    assert "<b>" not in html
    assert "SQL Servers (1): <b>PROD</b>" in tickets(html)[0]


async def test_json_of_a_target_has_the_ticket():
    service = a_service("sales")
    service.add_reports(good("sales"))
    assert json.loads((await answer(service, "/api/v1/targets/sales"))[2])["ticket"] is None
    service.add_reports(bad("sales", started_at=STARTED + 60))
    assert json.loads((await answer(service, "/api/v1/targets/sales"))[2])["ticket"].startswith("To: the identity team")
