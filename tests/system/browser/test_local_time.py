"""The live script adds the reader's local time, also after a refresh; without it a page has UTC."""

import time
from types import SimpleNamespace

import pytest
import pytest_asyncio

from exporter.web import app
from tests.support.web_factories import bad, good
from tests.support.web_server import Service, serving
from tests.system.browser.harness import REFRESH_NOW, Tab

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

LATE = 1767390942.0  # 2026-01-02T21:55:42Z
KOLKATA = "+1d 03:25:42 here"


@pytest_asyncio.fixture(loop_scope="module")
async def exporter():
    """An exporter whose one target failed at `LATE`; `clock` is the time of the pages."""
    clock, service = [LATE + 30], Service()
    service.add_reports(good(started_at=LATE - 60), bad(started_at=LATE))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "time", SimpleNamespace(time=lambda: clock[0], monotonic=time.monotonic))
        async with serving(service) as session:
            yield SimpleNamespace(home=str(session._base_url).rstrip("/"), clock=clock, service=service)


@pytest_asyncio.fixture(loop_scope="module")
async def opened(browser, exporter):
    tabs = []

    async def open_(path, timezone, **more):
        tabs.append(await Tab.open(browser, exporter.home, path, timezone=timezone, **more))
        return tabs[-1].page

    yield open_
    for tab in tabs:
        assert tab.errors == []
        await tab.close()


@pytest.mark.parametrize(
    ("timezone", "here"),
    [
        ("Asia/Kolkata", KOLKATA), ("Europe/Berlin", "22:55:42 here"), ("America/New_York", "16:55:42 here"),
        ("Pacific/Honolulu", "11:55:42 here"), ("UTC", ""), ("Europe/London", ""),
    ],
)  # fmt: skip
async def test_change_has_utc_and_then_the_local_time(opened, timezone, here):
    page = await opened("/changes", timezone)
    assert (await page.locator("tbody time.exact").inner_text()).split("\n") == ["2026-01-02 21:55:42 UTC", *filter(None, [here])]


async def test_local_time_is_right_after_refreshes_and_ages_stay(opened, exporter):
    page = await opened("/changes", "Asia/Kolkata")
    for seconds in (10, 20):
        exporter.clock[0] += 10
        await page.evaluate(REFRESH_NOW)
        as_of = f"21:56:{12 + seconds:02} UTC+1d 03:26:{12 + seconds:02} here"
        await page.wait_for_function("text => document.querySelector('#as-of time').textContent === text", arg=as_of)
        assert await page.locator("tbody .local").all_inner_texts() == [KOLKATA]
        assert await page.locator("tbody time").first.inner_text() == f"{30 + seconds} s ago"
        assert await page.locator("tbody time").first.get_attribute("title") == f"2026-01-02T21:55:42.000Z, {KOLKATA}"


@pytest.mark.parametrize("path", ["/", "/changes", "/targets/contoso-key0"])
async def test_page_without_the_script_has_utc_alone(opened, path):
    page = await opened(path, "Asia/Kolkata", script=False)
    assert await page.locator("time").count() > 0
    assert await page.locator(".local").count() == 0
    assert " UTC" in await page.locator("#as-of").inner_text()
