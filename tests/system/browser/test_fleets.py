"""Fleets of 11, 300 and 5,000 targets with three causes: what the status page shows in five seconds."""

import time
from types import SimpleNamespace

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe

from exporter.web import app
from tests.support.web_fleets import MINUTE, failing_server, probe_again, three_causes
from tests.support.web_server import serving
from tests.system.browser.harness import FIRST_SCREEN, LAPTOP, PHONE, REFRESH_NOW, WALL, Tab

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

FLEETS = (11, 300, 5000)
HEIGHTS = {LAPTOP: 768, PHONE: 844, WALL: 1080}
PATHS = (
    "/",
    "/targets",
    "/targets?cause=credential%3Asql-prod%3Asecret_expired",
    "/targets/stock-0003",
    "/changes",
    "/explain/3303",
)
READ = "web-0006"  # the target of a SQL Server that the exporter reads
# Reports each element that moves without input, since the page began to load.
WATCH = """() => {
  window.moved = [];
  const names = (entry) => entry.sources.map(({ node }) => node?.parentElement?.outerHTML.slice(0, 120) ?? '');
  new PerformanceObserver((list) => window.moved.push(...list.getEntries().flatMap(names)))
    .observe({ type: 'layout-shift', buffered: true });
}"""
DRAWN = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))"


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=FLEETS)
async def fleet(request):
    """Return the address of an exporter's pages, its service and its clock."""
    clock = [time.time()]
    service = three_causes(request.param, clock[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "time", SimpleNamespace(time=lambda: clock[0]))
        async with serving(service) as session:
            yield SimpleNamespace(home=str(session._base_url).rstrip("/"), service=service, clock=clock, targets=request.param)


@pytest.fixture
def screen(browser, fleet):
    async def open_(path, width, **more):
        return await Tab.open(browser, fleet.home, path, width=width, height=HEIGHTS[width], **more)

    return open_


@pytest.mark.parametrize("width", [LAPTOP, WALL])
async def test_first_screen_has_servers_causes_ages_actions_and_the_next_expiry(fleet, screen, width):
    tab = await screen("/", width, script=False)
    shown = "\n".join(await tab.page.evaluate(FIRST_SCREEN, ["h1", ".overall", ".causes > li", ".expiring > li"]))
    servers = {11: "10 of 26", 300: "156 of 604", 5000: "2,506 of 10,004"}[fleet.targets]
    for expected in (
        f"{servers} SQL Servers: vault side not ready",
        "3 causes",
        "Next expiry: in 8 d, credential sql-archive",
        "Credential sql-prod: the client secret has expired",
        "began 37 min ago",
        ": SQL0006 on n0006, SQL0007 on n0007, SQL0008 on n0008 and ",
        "First: The staged credential sql-prod-2027 is usable.",
        "Vault contoso-v0001: the vault's access policies do not allow the operation",
        "Key contoso-v0002/ContosoRSAKey0: the key version has expired",
        "First: Extend its expiry: az keyvault key set-attributes",
        *(("sql-archive\nin 8 d",) if width == WALL else ()),  # a laptop has it below
    ):
        assert expected in shown
    await tab.close()


async def test_first_screen_of_a_phone_has_the_first_cause_whole(screen):
    tab = await screen("/", PHONE)
    headline, overall, cause, *_ = await tab.page.evaluate(FIRST_SCREEN, ["h1", ".overall", ".causes > li"])
    assert "SQL Servers: vault side not ready" in headline
    assert "Next expiry: in 8 d" in overall
    for expected in ("not ready", "began ", "SQL Servers in ", "First: "):
        assert expected in cause
    await tab.close()


@pytest.mark.parametrize("width", [PHONE, LAPTOP, WALL])
async def test_no_page_of_a_fleet_overflows(fleet, screen, width):
    tab = await screen("/", width, timezone="Pacific/Auckland")
    for path in PATHS if fleet.targets == 300 else PATHS[:1]:
        await tab.goto(path)
        assert await tab.overflowing() == [], path
    await tab.close()
    assert tab.errors == []


@pytest.mark.parametrize("fleet", [11], indirect=True)
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [PHONE, WALL])
async def test_causes_and_expiry_dates_break_no_rule_of_axe(fleet, screen, width, dark):
    fleet.service.readings = [failing_server(fleet.service, READ, fleet.clock[0])]
    tab, axe = await screen("/", width, dark=dark), Axe()
    first = "\n".join(await tab.page.evaluate(FIRST_SCREEN, ["h1", ".causes > li"] if width == WALL else ["h1"]))
    assert "1 SQL Server cannot get its key itself" in first
    assert width == PHONE or "SQL Server itself does not get its key, although the vault side is ready" in first
    for path in ("/", f"/targets/{READ}"):
        await tab.goto(path)
        assert "at the present rate the log of [sales]" in await tab.text()
        found = (await axe.run(tab.page)).response
        assert found["passes"]
        assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]] == []
        assert await tab.overflowing() == []
    fleet.service.readings = []
    await tab.close()


@pytest.mark.parametrize("fleet", [300], indirect=True)
@pytest.mark.parametrize("width", [PHONE, LAPTOP, WALL])
@pytest.mark.parametrize("path", ["/", "/targets", "/targets/stock-0003", "/changes"])
async def test_nothing_moves_when_a_page_refreshes(fleet, screen, width, path):
    tab = await screen(path, width, timezone="Asia/Kolkata")  # with local times next to those in UTC
    page = tab.page
    await page.evaluate(WATCH)
    before = await page.locator("#as-of").inner_text()
    fleet.clock[0] += 7 * MINUTE
    probe_again(fleet.service, fleet.clock[0])
    await page.evaluate(REFRESH_NOW)
    await page.wait_for_function("was => document.querySelector('#as-of').innerText !== was", arg=before)
    await page.evaluate(DRAWN)
    assert await page.evaluate("window.moved") == []
    await page.evaluate("document.querySelector('main').prepend(document.querySelector('footer p'))")
    await page.evaluate(DRAWN)
    assert await page.evaluate("window.moved.length") > 0  # the browser reports what moves
    await tab.close()
