"""A running demo and Debian's Chromium, controlled by Playwright."""

import shutil
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.system.browser.harness import Tab
from tests.system.prometheus.servers import demo

FLAGS = ("--no-sandbox", "--no-proxy-server", "--disable-gpu", "--disable-lcd-text", "--force-color-profile=srgb")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def exporter(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of `ekm-exporter demo`, after the vault of the tests has failed."""
    failed = {"page": "/targets/payroll-runs", "good": lambda text: "/explain/3303" in text}
    async with demo(tmp_path_factory.mktemp("demo"), **failed) as address:
        yield f"http://{address}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    path = shutil.which("chromium")
    assert path is not None, "no chromium: ./dev packages browser"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def open_tab(exporter: str, browser: Browser):
    """Open a page in a tab of this width. Fails at the end if the browser reported an error."""
    tabs: list[Tab] = []

    async def open_(path: str, **screen: object) -> Tab:
        tabs.append(await Tab.open(browser, exporter, path, **screen))
        return tabs[-1]

    yield open_
    errors = [error for tab in tabs for error in tab.errors]
    for tab in tabs:
        await tab.close()
    assert errors == []
