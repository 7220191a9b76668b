"""Cards of causes on the status page."""

import json

import pytest

from exporter.core.faults import Fault
from exporter.core.model import Step, VaultHeaders
from exporter.core.reasons import Reason
from exporter.web.handlers import pages
from tests.support.web_factories import STARTED, bad, config, good, target
from tests.support.web_server import Service, answer, words

MINUTE = 60.0


@pytest.fixture(autouse=True)
def stopped_clock(monkeypatch):
    monkeypatch.setattr(pages.time, "time", lambda: STARTED + MINUTE)


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
    assert "40 vaults: the vault&#x27;s firewall blocks this address began 1 min ago 3077 (3113)" in shown
    assert "40 targets . Show 40 targets" in shown
    assert "1 cause " in shown
    chosen = await cards(service, "/targets?cause=vault%3A%3Aforbidden_firewall")
    assert "40 of 40 targets match." in chosen


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
    assert "not ready 3 keys: the key version is disabled began 1 min ago" in shown
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
    chain = (await answer(service, "/targets/t00"))[2].split("<svg")[1].split("</svg>")[0]
    assert "this host" in chain
    assert "West Europe" not in chain
