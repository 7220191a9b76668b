"""A DBA with a browser: from the status page to the failing vault, its cause and its repair; on a laptop, a phone, by keyboard."""

import re
import time

import pytest
from axe_playwright_python.async_playwright import Axe

from tests.support.web_factories import bad, config, target
from tests.support.web_server import Service, serving
from tests.system.browser.harness import CONTROLS, FOCUSED, LAPTOP, PHONE, Visitor

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

PAGES = ("/", "/targets?verdict=not_ready&label=env%3Dprod", "/targets/payroll-runs", "/explain/3303", "/explain")
REFRESH_NOW = "document.dispatchEvent(new Event('visibilitychange'))"


async def every_page(visitor):
    """Each kind of page in turn, a remembered probe included."""
    for path in PAGES:
        await visitor.goto(path)
        yield path
    await visitor.goto("/targets/payroll-runs")
    await visitor.page.locator("#history tbody a").first.click()
    yield "a probe"


async def test_the_failing_vault_its_cause_and_its_repair_are_found(visit):
    visitor = await visit("/")
    page = visitor.page
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="payroll-runs"))
    assert "not ready" in await row.inner_text()
    assert "the client secret has expired" in await row.inner_text()
    await row.get_by_role("link", name="payroll-runs").click()
    advice = page.get_by_role("region", name="What to do")
    assert "Create a new secret and keep the old one" in await advice.inner_text()
    await page.locator("#history tbody a").first.click()
    said = await visitor.text()
    assert "Requests and responses, masked" in said
    assert re.search(r"> POST https://login\.microsoftonline\.com/\S+/oauth2/v2\.0/token", said)
    assert "< HTTP status: 401" in said
    await page.get_by_role("link", name=re.compile("^3303")).first.click()
    assert "What to do, in this order" in await visitor.text()


async def test_a_number_from_the_error_log_leads_to_its_meaning(visit):
    visitor = await visit("/explain")
    await visitor.page.get_by_label("Number or symbol").fill("3303")
    await visitor.page.keyboard.press("Enter")
    await visitor.page.wait_for_url("**/explain/3303")
    assert "Entra ID refused the credential" in await visitor.text()


@pytest.mark.parametrize("script", [True, False])
async def test_targets_are_filtered_with_and_without_a_script(visit, script):
    visitor = await visit("/targets", script=script)
    await visitor.page.get_by_label("State", exact=True).select_option("not_ready")
    await visitor.page.get_by_label("Code").fill("3303")
    await visitor.page.get_by_role("button", name="Show", exact=True).click()
    await visitor.page.wait_for_url("**verdict=not_ready**")
    assert await visitor.page.locator("#list tbody tr").count() == 1
    assert "1 of 11 targets match." in await visitor.text()
    assert await visitor.page.get_by_label("Code").input_value() == "3303"
    assert ("changes when you load it again" in await visitor.text()) is not script


async def test_an_open_page_keeps_itself_fresh_and_leaves_the_reader_in_place(visit):
    visitor = await visit("/targets/sales-orders")
    page = visitor.page
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


async def test_updates_can_be_stopped(visit):
    visitor = await visit("/")
    page = visitor.page
    await page.get_by_role("button", name="Pause updates").click()
    before = await page.locator("#as-of").inner_text()
    await page.evaluate(REFRESH_NOW)
    await page.get_by_text("Not updating.").wait_for()
    assert await page.locator("#as-of").inner_text() == before
    await page.get_by_role("button", name="Resume updates").click()
    await page.wait_for_function("was => document.querySelector('#as-of').innerText !== was", arg=before)


async def test_a_page_says_that_the_exporter_is_gone(visit):
    visitor = await visit("/")
    await visitor.page.route("**/*", lambda route: route.abort())
    await visitor.page.evaluate(REFRESH_NOW)
    await visitor.page.get_by_text("The exporter does not answer").wait_for()
    visitor.complaints.clear()  # the browser says so, too


@pytest.mark.parametrize("width", [PHONE, LAPTOP])
async def test_nothing_sticks_out(visit, width):
    visitor = await visit("/", width=width)
    async for path in every_page(visitor):
        assert await visitor.sticking_out() == [], path


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [PHONE, LAPTOP])
async def test_axe_finds_nothing_to_say(visit, width, dark):
    visitor, axe = await visit("/", width=width, dark=dark), Axe()
    async for path in every_page(visitor):
        found = await axe.run(visitor.page)
        assert found.response["passes"], path
        assert [(path, each["id"], [node["html"] for node in each["nodes"]]) for each in found.response["violations"]] == []


@pytest.mark.parametrize("path", ["/", "/targets/payroll-runs"])
async def test_the_keyboard_reaches_every_control_in_order_and_shows_where_it_is(visit, path):
    visitor = await visit(path)
    page = visitor.page
    await page.add_init_script(
        "window.setInterval = () => 0"
    )  # rows that change places while they are walked through prove nothing
    await visitor.goto(path)
    wanted, reached = await page.evaluate(CONTROLS), []
    for _ in wanted:
        await page.keyboard.press("Tab")
        focused = await page.evaluate(FOCUSED)
        assert focused["seen"], focused
        assert focused["ring"], focused
        reached.append(focused["what"])
    assert reached == wanted


async def test_the_first_tab_stop_skips_to_the_content(visit):
    visitor = await visit("/")
    await visitor.page.keyboard.press("Tab")
    await visitor.page.keyboard.press("Enter")
    assert await visitor.page.evaluate("document.activeElement.id") == "main"


@pytest.mark.parametrize("width", [PHONE, LAPTOP])
async def test_the_longest_names_stay_on_the_screen(browser, width):
    name, word = "n" * 128, "W" * 120
    made = target(
        name, vault=f"{'v' * 24}.vault.azure.net", key_name="K" * 26, credential="sql-prod",
        labels={"team": word, word: "x"}, instances=({"sql_instance": word, "host": word, "ag": word},),
    )  # fmt: skip
    service = Service(config(made))
    identity = service.add_reports(bad(name, detail=word * 2, service_code=word, request_id=word, started_at=time.time()))
    async with serving(service) as session:
        home = str(session._base_url).rstrip("/")
        visitor = await Visitor.arrive(browser, home, "/", width=width)
        for path in ("/", f"/targets?label=team%3D{word}", f"/targets/{name}", f"/targets/{name}/probes/{identity}"):
            await visitor.goto(path)
            assert await visitor.sticking_out() == [], path
        await visitor.leave()
    assert visitor.complaints == []
