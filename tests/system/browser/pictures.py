"""Screenshots of the pages for docs/images: `python -m tests.system.browser.pictures`.

`status-*.png` show the demo, `pages-*.png` fleets: with three causes, after a change of a firewall, with a throttled vault, and after a start.
"""

import asyncio
import shutil
import tempfile
import time
from pathlib import Path

from playwright.async_api import Browser, async_playwright

from tests.support.web_fleets import firewall_change, nothing_known, three_causes, throttled_vault
from tests.support.web_server import Service, serving
from tests.system.browser.conftest import FLAGS
from tests.system.browser.harness import LAPTOP, PHONE, WALL, Tab
from tests.system.prometheus.servers import demo

IMAGES = Path(__file__).parents[3] / "docs" / "images"
COLORS = "64"
Pictures = tuple[tuple[str, str, int, int, bool], ...]  # name, path, width, height, dark
DEMO = (
    ("status-list", "/", LAPTOP, 860, False),
    ("status-target", "/targets/billing-invoices", LAPTOP, 900, True),
    ("status-phone", "/targets?verdict=not_ready", PHONE, 844, False),
)
CAUSES = {
    11: (("pages-11-laptop-light", "/", LAPTOP, 768, False), ("pages-11-phone-light", "/", PHONE, 844, False)),
    300: (("pages-300-laptop-dark", "/", LAPTOP, 768, True), ("pages-300-phone-dark", "/", PHONE, 844, True)),
    5000: (("pages-5000-laptop-light", "/", LAPTOP, 768, False), ("pages-5000-wall", "/", WALL, 1080, True)),
}
SITUATIONS = {"firewall": (firewall_change, 350), "throttled": (throttled_vault, 300), "start": (nothing_known, 260)}


async def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        await draw_demo(browser)
        for targets, pictures in CAUSES.items():
            await draw_fleet(browser, three_causes(targets, time.time()), pictures)
            for name, (make, height) in SITUATIONS.items():
                shown = (f"pages-{name}-{targets}", "/", LAPTOP, height, False)
                await draw_fleet(browser, make(targets, time.time()), (shown,))
        await browser.close()


async def draw_demo(browser: Browser) -> None:
    failed = {"page": "/targets/billing-invoices", "good": lambda text: "/explain/3077" in text}
    with tempfile.TemporaryDirectory() as place:
        async with demo(Path(place), **failed) as address:
            await take(browser, f"http://{address}", DEMO)


async def draw_fleet(browser: Browser, service: Service, pictures: Pictures) -> None:
    async with serving(service) as session:
        await take(browser, str(session._base_url).rstrip("/"), pictures)


async def take(browser: Browser, address: str, pictures: Pictures) -> None:
    for name, path, width, height, dark in pictures:
        tab = await Tab.open(browser, address, path, width=width, height=height, dark=dark)
        picture = IMAGES / f"{name}.png"
        await tab.page.screenshot(path=picture)
        await tab.close()
        command = ("pngquant", "--force", "--strip", "--speed", "1", "--output", str(picture), COLORS, str(picture))
        done = await asyncio.create_subprocess_exec(*command)
        assert await done.wait() == 0, command


if __name__ == "__main__":
    asyncio.run(main())
