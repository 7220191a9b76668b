"""The pages in a real browser, on a laptop and a phone, with mouse and keyboard."""

import re
import time

import pytest
from axe_playwright_python.async_playwright import Axe

from tests.support.web_factories import bad, config, target
from tests.support.web_server import Service, serving
from tests.system.browser.harness import CONTROLS, FOCUSED, LAPTOP, PHONE, REFRESH_NOW, Tab

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

PAGES = (
    "/",
    "/targets?verdict=not_ready&label=env%3Dprod",
    "/targets/payroll-runs",
    "/targets/payroll-runs/audit",
    "/changes",
    "/explain/3303",
    "/explain",
    "/docs/runbooks/EkmForbiddenSpike",
)


async def every_page(tab):
    """Visit each kind of page in turn, including a recorded probe."""
    for path in PAGES:
        await tab.goto(path)
        yield path
    await tab.goto("/targets/payroll-runs")
    await tab.page.locator("#history tbody a").first.click()
    yield "a probe"


async def test_pages_lead_from_a_failing_vault_to_its_repair(open_tab):
    tab = await open_tab("/")
    page = tab.page
    row = page.locator("#list").get_by_role("row").filter(has=page.get_by_role("link", name="payroll-runs"))
    assert "not ready" in await row.inner_text()
    assert "the client secret has expired" in await row.inner_text()
    await row.get_by_role("link", name="payroll-runs").click()
    advice = page.get_by_role("region", name="What to do")
    assert "Create a new secret and keep the old one" in await advice.inner_text()
    await page.locator("#history tbody a").first.click()
    text = await tab.text()
    assert "Requests and responses, masked" in text
    assert re.search(r"> POST https://login\.microsoftonline\.com/\S+/oauth2/v2\.0/token", text)
    assert "< HTTP status: 401" in text
    await page.get_by_role("link", name=re.compile("^3303")).first.click()
    assert "What to do, in this order" in await tab.text()


async def test_error_number_leads_to_its_explanation(open_tab):
    tab = await open_tab("/explain")
    await tab.page.get_by_label("Code, message or log line").fill("3303")
    await tab.page.keyboard.press("Enter")
    await tab.page.wait_for_url("**/explain/3303")
    assert "Entra ID refused the credential" in await tab.text()


async def test_a_phone_shows_the_broken_box_of_the_chain_first(open_tab):
    tab = await open_tab("/targets/payroll-runs", width=PHONE)
    boxes = tab.page.locator(".chain > span")
    places = [await each.bounding_box() for each in await boxes.all()]
    broken = await tab.page.locator(".chain > .broken").bounding_box()
    assert len(places) == 6
    assert min(places, key=lambda box: box["y"]) == broken
    assert broken["x"] >= 0
    assert broken["x"] + broken["width"] <= PHONE
    assert max(box["y"] + box["height"] for box in places) < 844  # all of them on the first screen
    laptop = await open_tab("/targets/payroll-runs", width=LAPTOP)
    in_order = [(await each.bounding_box())["x"] for each in await laptop.page.locator(".chain > span").all()]
    assert in_order == sorted(in_order)


async def test_button_copies_the_command_of_the_first_action(open_tab):
    tab = await open_tab("/")
    await tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    action = tab.page.locator("ol.causes [data-copy]").filter(has=tab.page.locator("code")).first
    await action.get_by_role("button", name="Copy").click()
    await action.get_by_text("Copied").wait_for()
    copied = await tab.page.evaluate("navigator.clipboard.readText()")
    assert copied == await action.locator("code").first.inner_text() != ""


@pytest.mark.parametrize("width", [PHONE, LAPTOP])
async def test_ticket_unfolds_fits_and_is_copied(open_tab, width):
    tab = await open_tab("/", width=width)
    await tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    cause = tab.page.get_by_role("listitem").filter(has_text="the client secret has expired")
    await cause.get_by_text("For the identity team (Entra ID): ready text").click()
    folded = cause.locator("details.ticket")
    text = await folded.get_by_role("region").inner_text()
    assert text.startswith("To: the identity team (Entra ID)\nSubject: application ")
    assert await tab.overflowing() == []
    found = await Axe().run(tab.page)
    assert [each["id"] for each in found.response["violations"]] == []
    await folded.get_by_role("button", name="Copy").click()
    await folded.get_by_text("Copied").wait_for()
    assert (await tab.page.evaluate("navigator.clipboard.readText()")).strip() == text.strip()


@pytest.mark.parametrize("script", [True, False])
async def test_target_filter_works_with_and_without_a_script(open_tab, script):
    tab = await open_tab("/targets", script=script)
    await tab.page.get_by_label("State", exact=True).select_option("not_ready")
    await tab.page.get_by_label("Code").fill("3303")
    await tab.page.get_by_role("button", name="Show", exact=True).click()
    await tab.page.wait_for_url("**verdict=not_ready**")
    assert await tab.page.locator("#list tbody tr").count() == 1
    assert "1 of 11 targets match." in await tab.text()
    assert await tab.page.get_by_label("Code").input_value() == "3303"
    assert ("Reload this page to refresh it." in await tab.page.locator("header").inner_text()) is not script


async def test_page_update_keeps_focus_and_open_details(open_tab):
    tab = await open_tab("/targets/sales-orders")
    page = tab.page
    await page.locator("tr[data-key=challenge] summary").click()
    focused = page.get_by_role("link", name="Support bundle")
    await focused.focus()
    newest = await page.locator("#history tbody tr").first.get_attribute("data-key")
    await page.wait_for_function("was => document.querySelector('#history tbody tr').dataset.key !== was", arg=newest)
    assert await page.locator("tr[data-key=challenge] details").get_attribute("open") is not None
    assert await focused.evaluate("each => each === document.activeElement")
    keys = await page.locator("#history tbody tr").evaluate_all("rows => rows.map(row => row.dataset.key)")
    assert newest in keys[1:]
    assert len(keys) == len(set(keys))


async def test_page_updates_can_be_paused(open_tab):
    tab = await open_tab("/")
    page = tab.page
    await page.get_by_role("button", name="Pause updates").click()
    before = await page.locator("#as-of").inner_text()
    await page.evaluate(REFRESH_NOW)
    await page.get_by_text("Not updating.").wait_for()
    assert await page.locator("#as-of").inner_text() == before
    await page.get_by_role("button", name="Resume updates").click()
    await page.wait_for_function("was => document.querySelector('#as-of').innerText !== was", arg=before)


async def test_page_reports_an_unreachable_exporter(open_tab):
    tab = await open_tab("/")
    await tab.page.route("**/*", lambda route: route.abort())
    await tab.page.evaluate(REFRESH_NOW)
    await tab.page.get_by_text("The exporter does not respond").wait_for()
    tab.errors.clear()  # the browser reports the aborted request


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [PHONE, LAPTOP])
async def test_axe_finds_no_violation(open_tab, width, dark):
    tab, axe = await open_tab("/", width=width, dark=dark), Axe()
    async for path in every_page(tab):
        found = await axe.run(tab.page)
        assert found.response["passes"], path
        assert [(path, each["id"], [node["html"] for node in each["nodes"]]) for each in found.response["violations"]] == []


@pytest.mark.parametrize("path", ["/", "/targets/payroll-runs"])
async def test_keyboard_reaches_every_control_in_order(open_tab, path):
    tab = await open_tab(path)
    page = tab.page
    await page.add_init_script("window.setInterval = () => 0")  # without updates the rows keep their order
    await tab.goto(path)
    wanted, reached = await page.evaluate(CONTROLS), []
    for _ in wanted:
        await page.keyboard.press("Tab")
        focused = await page.evaluate(FOCUSED)
        assert focused["seen"], focused
        assert focused["ring"], focused
        reached.append(focused["what"])
    assert reached == wanted


async def test_first_tab_stop_skips_to_the_content(open_tab):
    tab = await open_tab("/")
    await tab.page.keyboard.press("Tab")
    await tab.page.keyboard.press("Enter")
    assert await tab.page.evaluate("document.activeElement.id") == "main"


@pytest.mark.parametrize("width", [PHONE, LAPTOP])
async def test_longest_names_fit_on_the_screen(browser, width):
    name, word = "n" * 128, "W" * 120
    made = target(
        name, vault=f"{'v' * 24}.vault.azure.net", key_name="K" * 26, credential="sql-prod",
        labels={"team": word, word: "x"}, instances=({"sql_instance": word, "host": word, "ag": word},),
    )  # fmt: skip
    service = Service(config(made))
    identity = service.add_reports(bad(name, detail=word * 2, service_code=word, request_id=word, started_at=time.time()))
    async with serving(service) as session:
        home = str(session._base_url).rstrip("/")
        tab = await Tab.open(browser, home, "/", width=width)
        for path in ("/", f"/targets?label=team%3D{word}", f"/targets/{name}", f"/targets/{name}/probes/{identity}"):
            await tab.goto(path)
            assert await tab.overflowing() == [], path
        await tab.close()
    assert tab.errors == []
