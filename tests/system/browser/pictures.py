"""Screenshots of a demo: `python -m tests.system.browser.pictures` writes docs/images/status-*.png."""

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.async_api import async_playwright

from tests.system.browser.conftest import FLAGS
from tests.system.browser.harness import LAPTOP, PHONE, Tab
from tests.system.prometheus.servers import answered, free_port, running

IMAGES = Path(__file__).parents[3] / "docs" / "images"
# Name, path, width, height, dark.
PICTURES = (
    ("status-list", "/", LAPTOP, 860, False),
    ("status-target", "/targets/billing-invoices", LAPTOP, 900, True),
    ("status-phone", "/targets?verdict=not_ready", PHONE, 844, False),
)


async def main() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "exporter", "demo", "--web.listen-address", address.removeprefix("http://")]
    with tempfile.TemporaryDirectory() as place:
        async with running(Path(place, "log"), *command, environment={"TMPDIR": place}):
            await answered(f"{address}/targets/billing-invoices", lambda text: "/explain/3077" in text, seconds=60)
            await take(address)


async def take(address: str) -> None:
    IMAGES.mkdir(exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for name, path, width, height, dark in PICTURES:
            tab = await Tab.open(browser, address, path, width=width, dark=dark)
            await tab.page.set_viewport_size({"width": width, "height": height})
            await tab.page.screenshot(path=IMAGES / f"{name}.png")
            await tab.close()
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
