"""Cards of causes on the status page, and their tickets, there and on the page of a target."""

import json
import re
from html import unescape
from urllib.parse import quote

import pytest

from exporter.core.values import Fault, Readiness, Step, Vantage, VaultHeaders
from exporter.knowledge.expiry import CredentialExpiry, Source
from exporter.knowledge.reasons import Reason
from exporter.web import app
from exporter.web.pages import causes
from exporter.web.pages.views import view
from tests.support.sql_differences import a_difference
from tests.support.values import replace
from tests.support.web_factories import STARTED, bad, config, good, target
from tests.support.web_fleets import firewall_change, nothing_known, throttled_vault
from tests.support.web_server import Service, answer, get, serving, tickets, words

MINUTE = 60.0


@pytest.fixture(autouse=True)
def stopped_clock(monkeypatch):
    monkeypatch.setattr(app.time, "time", lambda: STARTED + MINUTE)


def a_service(count, *, healthy=0, **changes):
    names = [f"t{n:02}" for n in range(count + healthy)]
    return Service(config(*(target(name, vault=f"v-{name}.vault.azure.net", instances=(), **changes) for name in names)))


async def cards(service, path="/"):
    return words((await answer(service, path))[2])


FIREWALL = {"step": Step.GET_KEY, "code": 3077, "reason": Reason.FORBIDDEN_FIREWALL, "status": 403}
DISABLED = {"step": Step.UNWRAP_KEY, "code": 3077, "reason": Reason.KEY_DISABLED, "status": 403}


async def test_vaults_that_block_one_address_are_one_card():
    service = a_service(40)
    service.add_reports(*(bad(name, started_at=STARTED - n, **FIREWALL) for n, name in enumerate(service.config.targets)))
    shown = await cards(service)
    assert "40 vaults: the vault&#x27;s firewall blocks the probe&#x27;s address first seen 1 min ago 3077 (3113)" in shown
    assert "40 targets . Vaults: v-t00, v-t01, v-t02 and 37 more. Show 40 targets" in shown
    assert "1 cause " in shown
    chosen = await cards(service, "/targets?cause=vault%3A%3Aforbidden_firewall")
    assert "40 of 40 targets match." in chosen


async def test_a_probe_that_ends_while_a_page_is_made_is_on_the_next_page(monkeypatch):
    service = a_service(4)
    unknown, failing, ready, ended = service.config.targets
    too_slow = replace(bad(unknown), readiness=Readiness(ready=None, why="not_measured", stolen=0.9))
    service.add_reports(too_slow, bad(failing, **FIREWALL), good(ready), bad(ended, **FIREWALL), good(ended))
    after = {unknown: bad, failing: good, ready: bad, ended: bad}

    def view_and_probe(configuration, target, record, expiries, *, now):
        shown = view(configuration, target, record, expiries, now=now)
        service.add_reports(after[target.name](target.name))
        return shown

    first = await cards(service)
    with monkeypatch.context() as patch:
        patch.setattr(app, "view", view_and_probe)
        assert await cards(service) == first
    assert "Credential sql-prod: the client secret has expired" in await cards(service)


async def test_json_has_the_causes_of_the_status_page():
    service = a_service(3)
    service.add_reports(*(bad(name, **FIREWALL) for name in service.config.targets))
    found = json.loads((await answer(service, "/api/v1/targets"))[2])["causes"]
    several = {"cause": "vault::forbidden_firewall", "link": "vault", "name": "", "reason": "forbidden_firewall"}
    assert found == [several | {"unsteady": False, "since": "2026-01-02T03:04:05.678Z", "targets": 3, "sql_servers": 0}]


async def test_keys_disabled_together_have_one_card_with_a_command_for_each():
    service = a_service(3, healthy=3)
    service.add_reports(*(bad(name, **DISABLED) for name in list(service.config.targets)[:3]))
    shown = await cards(service)
    assert "not ready 3 keys: the key version is disabled first seen 1 min ago" in shown
    assert all(f"--vault-name v-t{n:02} " in shown for n in range(3))
    assert "One line for each vault." in shown


async def test_a_region_has_its_name_on_the_card():
    service = a_service(3, healthy=9)
    near = VaultHeaders(region="West Europe")
    for name in service.config.targets:
        service.add_reports(good(name, started_at=STARTED - MINUTE))
    for name in list(service.config.targets)[:3]:
        service.record_of(name).region = near.region
        silent = {"step": Step.GET_KEY, "code": 3008, "reason": Reason.READ_TIMEOUT, "fault": Fault.READ_TIMEOUT}
        service.add_reports(bad(name, **silent))
    assert "not ready Region West Europe: " in await cards(service)


async def test_the_chain_of_a_target_has_no_region_and_names_the_host():
    service = a_service(1)
    service.add_reports(bad("t00", **FIREWALL))
    service.record_of("t00").region = "West Europe"
    chain = (await answer(service, "/targets/t00"))[2].split('class="chain"')[1].split("</div>")[0]
    assert "this host" in chain
    assert "West Europe" not in chain


async def test_one_change_of_a_firewall_is_one_card_with_all_its_targets():
    service = firewall_change(300, STARTED + MINUTE)
    async with serving(service) as session:
        html = (await get(session, "/"))[2]
        shown = words(html)
        listed = words((await get(session, unescape(re.search(r'href="([^"]+)">Show 48 targets', html)[1])))[2])
        exported = json.loads((await get(session, "/api/v1/targets"))[2])["causes"]
    assert len(exported) > 1  # each step that refuses, and what comes and goes
    assert " 1 cause " in shown
    assert (
        "not ready 38 vaults: the vault&#x27;s firewall blocks the probe&#x27;s address began 31 min ago , last 5 min ago 3077"
        in shown
    )
    assert (
        "Vaults: contoso-v0000, contoso-v0001, contoso-v0002 and 35 more. Show 48 targets 2 further targets are unsteady, and"
        in shown
    )
    assert "3077 (3113) Who acts: the vault team (Azure Key Vault) 100 SQL Servers" in shown
    assert "48 of 300 targets match." in listed
    assert "not ready 38 vaults: the vault&#x27;s firewall blocks" in listed
    assert html.count("First:") == 1


async def test_a_link_to_a_card_lives_longer_than_its_first_failure():
    service = firewall_change(11, STARTED + MINUTE)
    async with serving(service) as session:
        link = unescape(re.search(r'href="([^"]+)">Show 6 targets', (await get(session, "/"))[2])[1])
        service.add_reports(good("sales-0000", started_at=STARTED + MINUTE - 1))
        service.add_reports(good("billing-0001", started_at=STARTED + MINUTE - 1))
        after = words((await get(session, link))[2])
        gone = words((await get(session, link.replace("firewall", "nsp")))[2])
    assert "4 of 11 targets match." in after
    assert "4 vaults: the vault&#x27;s firewall blocks" in after
    assert "The cause of this link has ended. This page shows what is there now." in gone
    assert "The cause of this link has ended" not in after
    assert "web-0006" in gone  # a target without a failure


@pytest.mark.parametrize("cause", ["vault:*:throttled:9000", "credential:x:secret_expired", "sql:failing:ready", "no cause"])
async def test_the_page_of_an_ended_cause_shows_the_present_ones(cause):
    shown = await cards(firewall_change(11, STARTED + MINUTE), f"/?cause={quote(cause)}")
    assert "The cause of this link has ended. This page shows what is there now." in shown
    assert "1 cause " in shown
    assert "5 vaults: the vault&#x27;s firewall blocks" in shown
    assert "targets match" not in shown


async def test_a_filter_may_hide_a_cause_that_has_not_ended():
    shown = await cards(firewall_change(11, STARTED + MINUTE), "/?cause=vault%3A%3Athrottled&q=web-0006")
    assert "The cause of this link has ended, or is outside the filter." in shown


async def test_changes_days_apart_are_two_cards():
    service = a_service(4, healthy=6)
    for name, ago in zip(service.config.targets, (3 * 86400, 3 * 86400 + 60, 30, 0), strict=False):
        service.add_reports(*(bad(name, started_at=STARTED - at, **FIREWALL) for at in (ago, 0)))
    shown = await cards(service)
    assert " 2 causes " in shown
    assert shown.count("2 vaults: the vault&#x27;s firewall blocks the probe&#x27;s address") == 2
    assert "Vaults: v-t00, v-t01." in shown


async def test_a_vault_in_waves_shows_how_often_its_keys_fail():
    service = throttled_vault(11, STARTED + MINUTE)
    shown = await cards(service)
    assert (
        "3011 in 14 of the last 40 probes, within 40m, of billing-0001 3011 (3109) Who acts: the vault team (Azure Key Vault) 10 SQL Servers"
        in shown
    )
    service.add_reports(bad("sales-0000", step=Step.GET_KEY, code=3011, reason=Reason.THROTTLED, started_at=STARTED + 50))
    shown = await cards(service)
    assert " 1 cause " in shown
    assert "not ready Vault contoso-v0000: " in shown
    assert (
        "began 10 s ago , in waves: 15 of the last 40 probes failed 3011 (3109) Who acts: the vault team (Azure Key Vault) 2 SQL Servers"
        in shown
    )
    assert "2 further targets are unsteady, and ready now." in shown


async def test_vaults_that_need_another_action_are_mentioned():
    service = a_service(3, vantage=Vantage.SQL_HOST)
    seen = ("20.9.8.7", "20.9.8.8", "10.0.0.5")
    service.add_reports(
        *(bad(name, client_address=at, **FIREWALL) for name, at in zip(service.config.targets, seen, strict=True))
    )
    shown = await cards(service)
    assert (
        "Allow the public address of the SQL Server host. Each node can have another one. One line for each vault. Some targets need another action: their pages"
        in shown
    )
    assert shown.count("network-rule add") == 2


def separate_causes(count):
    """A service of keys that were each disabled on another day, in the labels `team=a` and `team=b` by turns."""
    names = [f"t{n:03}" for n in range(count)]
    service = Service(config(*(target(n, vault=f"v-{n}.vault.azure.net", labels={"team": "ab"[int(n[1:]) % 2]}) for n in names)))
    for number, name in enumerate(names):
        service.add_reports(*(bad(name, started_at=STARTED - ago, **DISABLED) for ago in (86400 * (number + 1), 0)))
    return service


async def test_more_causes_are_a_link_to_all_of_them():
    async with serving(separate_causes(12)) as session:
        html = (await get(session, "/?label=team"))[2]
        everything = (await get(session, unescape(re.search(r'href="([^"]+)">4 more causes', html)[1])))[2]
        back = unescape(re.search(r'href="([^"]+)">Show the first causes only', everything)[1])
    assert (html.count('data-key="key:'), everything.count('data-key="key:')) == (8, 12)
    assert "more cause" not in everything
    assert back == "/?label=team"


async def test_the_page_of_all_causes_is_bounded(monkeypatch):
    monkeypatch.setattr(causes, "MOST_SHOWN", 10)
    html = (await answer(separate_causes(12), "/?causes=all"))[2]
    assert html.count('data-key="key:') == 10
    assert "2 more causes: their targets are in the list." in words(html)


async def test_a_label_restricts_headline_counts_causes_and_dates():
    service = separate_causes(6)
    service.add_reports(*(good(name, started_at=STARTED + 30) for name in ("t000", "t001", "t002")))
    service.ends["sql-prod"] = (CredentialExpiry(credential="sql-prod", source=Source.DECLARED, expires_at=STARTED + 86400),)
    service.differences = [a_difference(target=name, other="") for name in ("t000", "t001")]
    async with serving(service) as session:
        shown = {team: words((await get(session, f"/?label=team%3D{team}"))[2]) for team in ("a", "b", "c")}
        html = (await get(session, "/?label=team%3Db"))[2]
    assert shown["a"].startswith(" 2 of 2 SQL Servers: vault side not ready Only what has the label team=a: 3 of 6 targets.")
    assert "1 not ready 0 failing 0 unknown 2 ready 1 cause Next expiry" in shown["a"]
    assert "Key v-t004/ContosoRSAKey0: the key version is disabled" in shown["a"]
    assert "differs from SQL Server in 1 place." in shown["a"]
    assert "sql-prod in 23 h credential, declared in the configuration, t000 and 2 more" in shown["a"]
    assert "2 not ready 0 failing 0 unknown 1 ready 2 causes" in shown["b"]
    assert "sql-prod in 23 h credential, declared in the configuration, t001 and 2 more" in shown["b"]
    assert shown["c"].startswith(" No target matches the filter Only what has the label team=c: 0 of 6 targets.")
    assert "cause" not in shown["c"].split("Search")[0]
    assert '<a href="/">Show the whole fleet</a>' in html
    assert 'href="/targets?label=team%3Db&amp;verdict=not_ready"' in html


async def test_a_card_of_one_label_keeps_what_all_vaults_show():
    service = a_service(40)
    service.add_reports(*(bad(name, **FIREWALL) for name in service.config.targets))
    assert "not ready Vault v-t07: the vault&#x27;s firewall blocks" in await cards(service, "/?q=t07")


@pytest.mark.parametrize(("count", "minutes"), [(11, 1), (5100, 2)])
async def test_a_start_shows_that_nothing_is_known_and_why(count, minutes):
    shown = await cards(nothing_known(count, STARTED))
    assert shown.startswith(" Nothing known yet of ")
    assert f"No action is needed: wait for the first round, about {minutes} min on an idle host." in shown
    assert "cause" not in shown.split("Search")[0]


async def test_a_card_of_a_refused_wrap_shows_what_fails_and_that_it_can_wait():
    service = a_service(1)
    service.add_reports(bad("t00", step=Step.WRAP_KEY, code=3077, reason=Reason.KEY_EXPIRED, status=403, ready=True))
    card = (await cards(service)).split("Who acts")[1].split("First:")[0]
    assert "No key can be created or rotated." in card
    assert "This can wait for working hours." in card


@pytest.fixture(autouse=True)
def named(monkeypatch):
    monkeypatch.setattr(causes, "computer_name", lambda: "mon1.contoso.example")


def a_service_of(*names, **changes):
    return Service(config(*(target(name, vault=f"v-{name}.vault.azure.net", **changes) for name in names)))


def refused(*names):
    """A service whose vaults all refuse the address of the exporter."""
    service = a_service_of(*names)
    service.add_reports(*(bad(name, client_address="203.0.113.7", **FIREWALL) for name in names))
    return service


async def tickets_at(service, path):
    return tickets((await answer(service, path))[2])


async def test_card_and_target_page_have_the_ticket():
    service = a_service_of("sales")
    service.add_reports(bad("sales", client_id="6666"))
    for path in ("/", "/targets/sales"):
        (text,) = await tickets_at(service, path)
        assert text.startswith("To: the identity team (Entra ID)\nSubject: application 6666: the client secret has expired\n")
        assert "seen from       mon1.contoso.example, the host of the monitor" in text
        assert "Since\n  before 2026-01-02T03:04:05Z, first observed then" in text


async def test_ticket_is_folded_with_a_button_and_a_name():
    service = a_service_of("sales")
    service.add_reports(bad("sales"))
    html = (await answer(service, "/targets/sales"))[2]
    folded = html.split('<details class="ticket">')[1].split("</details>")[0]
    assert folded.startswith("<summary>For the identity team (Entra ID): ready text</summary>")
    assert '<button type="button" class="copy">Copy</button>' in folded
    assert 'tabindex="0" role="region" aria-label="For the identity team (Entra ID): ready text"' in folded


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
    service = a_service_of("a", "b", "c", "d", *names)
    service.add_reports(*(bad(name, client_address="203.0.113.7", **FIREWALL) for name in "abcd"))
    gone = {"step": Step.GET_KEY, "code": 3076, "reason": Reason.KEY_DISABLED, "status": 403}
    service.add_reports(*(bad(name, **gone) for name in names))
    first, second = await tickets_at(service, "/")
    assert "The commands cover" not in first
    assert "The commands cover 2 of 3." in second


async def test_cause_without_a_ticket_leaves_its_room_to_the_others(monkeypatch):
    monkeypatch.setattr(causes, "SHARED_PARTS", 4)
    monkeypatch.setattr(causes, "FEW_PARTS", 2)
    service = a_service_of(*"abcdefgh")
    service.add_reports(*(bad(name, reason=Reason.CLOCK_SKEW) for name in "abcde"))  # no other team repairs it
    service.add_reports(*(bad(name, client_address="203.0.113.7", **FIREWALL) for name in "fgh"))
    (text,) = await tickets_at(service, "/")
    assert "The commands cover" not in text


async def test_unsteady_card_names_the_principal_of_its_failure():
    service = a_service_of("sales")
    role = {"step": Step.GET_KEY, "code": 3077, "reason": Reason.FORBIDDEN_RBAC, "status": 403, "object_id": "0b1ec7"}
    for number in range(8):
        at = STARTED - (7 - number) * 60
        service.add_reports(good("sales", started_at=at) if number % 2 else bad("sales", started_at=at, **role))
    card = (await answer(service, "/"))[2].split('class="causes"')[1].split("<details")[0]
    assert "--assignee-object-id 0b1ec7" in card
    assert "OBJECT_ID" not in card.partition("OBJECT_ID is the principal")[0]


async def test_unsteady_target_has_a_ticket_of_its_failures():
    service = a_service_of("sales")
    for number in range(8):
        made = bad if number % 2 == 0 else good
        service.add_reports(made("sales", started_at=STARTED + number))
    (text,) = await tickets_at(service, "/targets/sales")
    assert "the client secret has expired" in text
    (card,) = await tickets_at(service, "/")
    assert "Unsteady: 3303 in 4 of the last 8 probes." in card


async def test_unsteady_card_names_the_team_of_its_ticket():
    service = a_service_of("sales")
    for number in range(8):
        at = STARTED + number
        service.add_reports(good("sales", started_at=at) if number % 2 else bad("sales", code=3012, status=400, started_at=at))
    (card,) = await tickets_at(service, "/")
    assert card.startswith("To: the identity team (Entra ID)\n")
    assert "Who acts: the identity team (Entra ID)" in await cards(service)


async def test_failure_of_no_other_team_has_no_ticket():
    service = a_service_of("sales", "unprobed")
    service.add_reports(bad("sales", reason=Reason.CLOCK_SKEW))
    assert await tickets_at(service, "/") == []
    assert await tickets_at(service, "/targets/sales") == []
    assert await tickets_at(service, "/targets/unprobed") == []


async def test_json_of_a_target_has_the_ticket():
    service = a_service_of("sales")
    service.add_reports(good("sales"))
    assert json.loads((await answer(service, "/api/v1/targets/sales"))[2])["ticket"] is None
    service.add_reports(bad("sales", started_at=STARTED + 60))
    assert json.loads((await answer(service, "/api/v1/targets/sales"))[2])["ticket"].startswith("To: the identity team")
