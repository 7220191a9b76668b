"""A running demo and a real browser before it: Debian's Chromium, driven by Playwright."""

import shutil
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.system.browser.harness import Visitor
from tests.system.prometheus.servers import answered, free_port, running

FLAGS = ("--no-sandbox", "--no-proxy-server", "--disable-gpu", "--disable-lcd-text", "--force-color-profile=srgb")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def exporter(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of `ekm-exporter demo`, once the vault that the tests look for has failed."""
    place, address = tmp_path_factory.mktemp("demo"), f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "exporter", "demo", "--web.listen-address", address.removeprefix("http://")]
    async with running(place / "log", *command, environment={"TMPDIR": str(place)}):
        try:
            await answered(f"{address}/targets/payroll-runs", lambda text: "/explain/3303" in text, seconds=30)
        except TimeoutError:
            pytest.fail((place / "log").read_text())
        yield address


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    path = shutil.which("chromium")
    assert path is not None, "no chromium: ./dev packages browser"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def visit(exporter: str, browser: Browser):
    """Opens a page as somebody with a screen of this width has it; fails at the end if the browser had to complain."""
    visitors: list[Visitor] = []

    async def open_(path: str, **screen: object) -> Visitor:
        visitors.append(await Visitor.arrive(browser, exporter, path, **screen))
        return visitors[-1]

    yield open_
    complaints = [each for visitor in visitors for each in visitor.complaints]
    for visitor in visitors:
        await visitor.leave()
    assert complaints == []
