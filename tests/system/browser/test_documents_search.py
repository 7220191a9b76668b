"""The search of `/docs/` in a browser: the places that `ekm-exporter docs` lists, with the keyboard, on a phone, and without the script."""

import re

import pytest

from exporter.presentation.documentation import Documentation
from tests.system.browser.harness import PHONE

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]
QUESTIONS = (
    *(
        "rotate",
        "secret",
        "silence one vault",
        "how do I rotate the key?",
        "3077",
        "who may read the pages",
        "RECOVERY PENDING, what now",
    ),
    *("secret expires, how to renew without downtime", "ekm_probe_success", "remove a server", "vault " * 20, "the", "licence"),
)


async def found(tab, words):
    """Type words, press Enter, and return the addresses of the list."""
    await tab.page.fill("input[type=search]", words)
    await tab.page.press("input[type=search]", "Enter")
    await tab.page.locator("[role=status]").filter(has_text=re.compile("^(Found|Nothing found)")).wait_for()
    return await tab.page.locator(".found a").evaluate_all("links => links.map((link) => link.getAttribute('href'))")


async def test_page_finds_the_places_of_the_command_line_in_their_order(open_tab):
    tab, documentation = await open_tab("/docs/"), Documentation.load()
    expected = {words: [place.address for place, _ in documentation.search(words)] for words in QUESTIONS}
    assert {words: await found(tab, words) for words in QUESTIONS} == expected
    assert all(expected.values())


async def test_keyboard_alone_searches_and_opens_a_place(open_tab):
    tab = await open_tab("/docs/", width=PHONE)
    await tab.page.focus("input[type=search]")
    await tab.page.keyboard.type("rotate key")
    await tab.page.keyboard.press("Enter")
    first = tab.page.locator(".found a").first
    await first.wait_for()
    assert await tab.overflowing() == []
    await tab.page.keyboard.press("Tab")  # the button
    await tab.page.keyboard.press("Tab")
    assert await first.evaluate("(link) => link === document.activeElement")
    await tab.page.keyboard.press("Enter")
    await tab.page.wait_for_url(re.compile("/docs/key-rotation"))
    await tab.page.go_back()
    await first.wait_for()
    assert await tab.page.input_value("input[type=search]") == "rotate key"


async def test_text_without_a_place_leads_to_the_list(open_tab):
    tab = await open_tab("/docs/?q=%3Cb%3Ezzzqqq")
    await tab.page.get_by_text("Nothing found. All pages are listed below.").wait_for()
    assert await tab.page.input_value("input[type=search]") == "<b>zzzqqq"
    assert await tab.page.locator(".found li").count() == 0


async def test_list_of_pages_needs_no_script(open_tab):
    tab = await open_tab("/docs/?q=rotate", script=False)
    assert await tab.page.locator("input").count() == 0
    await tab.page.get_by_role("link", name="rotate a key").click()
    assert "Rotating a key" in await tab.text()
