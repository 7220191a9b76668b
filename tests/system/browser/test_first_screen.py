"""What the first screen of a laptop answers in five seconds, for fleets of 11, 300 and 5,000 targets in three situations.

`test_fleets` has the fourth one: three causes without relation.
"""

import re
import time

import pytest
from axe_playwright_python.async_playwright import Axe

from exporter.knowledge.code_row import OWNERS, SAME_ADDRESS, Owner
from exporter.knowledge.codes import BY_CODE
from tests.support.web_fleets import firewall_change, nothing_known, throttled_vault
from tests.support.web_server import serving
from tests.system.browser.harness import FIRST_SCREEN, LAPTOP, PHONE, Tab

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

HEIGHT = 768
PARTS = ["h1", ".notice", ".overall", ".causes > li"]
SERVERS = {11: "26", 300: "604", 5000: "10,004"}


def shown_action(code):
    """Return the beginning of the first action, up to the first name that a page fills in, as a browser shows it."""
    return _up_to_a_name(BY_CODE[code].actions[0])


def _up_to_a_name(action):
    return re.split(r"\b[A-Z]{2,}", action)[0].replace("`", "")


# The question, and what answers it.
FIREWALL = {
    "what is broken": "{vaults} vaults: the vault's firewall blocks the probe's address",
    "which vaults": "Vaults: contoso-v0000, contoso-v0001, contoso-v0002 and {more} more",
    "how many SQL Servers": "{at_risk} of {servers} SQL Servers: vault side not ready, 4 unsteady",
    "since when": "began 31 min ago, last {last} min ago",
    "one cause or several": "1 cause\n",
    "who acts": f"Who acts: {OWNERS[Owner.VAULT]}",
    "what first": f"First: {_up_to_a_name(SAME_ADDRESS)}",
    "which code": "3077 (3113)",
}
THROTTLED = {
    "what is broken": "Vault contoso-v0000: the service receives more requests than it allows",
    "how many SQL Servers": "{servers} of {servers} SQL Servers: vault side ready, 10 unsteady",
    "since when": "3011 in 14 of the last 40 probes, within 40m, of billing-0001",
    "one cause or several": "1 cause\n",
    "who acts": f"Who acts: {OWNERS[Owner.VAULT]}",
    "what first": f"First: {shown_action(3011)}",
}
START = {
    "what is broken": "Nothing known yet of {servers} SQL Servers",
    "why": "No probe has finished since the exporter started or read a new configuration.",
    "who acts": "No action is needed: wait for the first round, about 1 min on an idle host.",
    "what first": "For one target at once, open its page and choose Probe now.",
}
SITUATIONS = {firewall_change: (FIREWALL, 1), throttled_vault: (THROTTLED, 1), nothing_known: (START, 0)}


@pytest.mark.parametrize("make", SITUATIONS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("targets", SERVERS)
async def test_first_screen_answers_the_questions_of_an_operator(browser, make, targets):
    answers, cards = SITUATIONS[make]
    numbers = {"servers": SERVERS[targets], "vaults": 38, "more": 35, "at_risk": 100, "last": 5}
    if targets == 11:
        numbers |= {"vaults": 5, "more": 2, "at_risk": 16, "last": 9}
    async with serving(make(targets, time.time())) as session:
        tab = await Tab.open(browser, str(session._base_url).rstrip("/"), "/", width=LAPTOP, height=HEIGHT, script=False)
        shown = "\n".join(await tab.page.evaluate(FIRST_SCREEN, PARTS))
        assert {
            question: text.format(**numbers) for question, text in answers.items() if text.format(**numbers) not in shown
        } == {}
        assert await tab.page.locator(".causes > li").count() == cards
        await tab.close()


@pytest.mark.parametrize("make", SITUATIONS, ids=lambda make: make.__name__)
async def test_the_page_of_a_situation_breaks_no_rule_of_axe(browser, make):
    async with serving(make(11, time.time())) as session:
        tab = await Tab.open(browser, str(session._base_url).rstrip("/"), "/?label=team%3Ddba", width=PHONE, height=844)
        found = (await Axe().run(tab.page)).response
        assert found["passes"]
        assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]] == []
        assert await tab.overflowing() == []
        assert "Only what has the label team=dba: 11 of 11 targets. Show the whole fleet" in await tab.text()
        await tab.close()
        assert tab.errors == []
