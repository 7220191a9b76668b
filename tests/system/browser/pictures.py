"""Screenshots of the pages for docs/images: `python -m tests.system.browser.pictures`.

`status-*.png` show the demo, `pages-*.png` fleets with three causes.
"""

import asyncio
import shutil
import tempfile
import time
from pathlib import Path

from playwright.async_api import Browser, async_playwright

from tests.support.web_fleets import three_causes
from tests.support.web_server import serving
from tests.system.browser.conftest import FLAGS
from tests.system.browser.harness import LAPTOP, PHONE, WALL, Tab
from tests.system.prometheus.servers import demo

IMAGES = Path(__file__).parents[3] / "docs" / "images"
COLORS = "64"
# Name, path, width, height, dark.
DEMO = (
    ("status-list", "/", LAPTOP, 860, False),
    ("status-target", "/targets/billing-invoices", LAPTOP, 900, True),
    ("status-phone", "/targets?verdict=not_ready", PHONE, 844, False),
)
SCREENS = {"laptop": (LAPTOP, 768), "phone": (PHONE, 844)}
SCHEMES = {"light": False, "dark": True}
FLEETS = {
    targets: tuple(
        (f"pages-{targets}-{screen}-{scheme}", "/", *size, dark)
        for screen, size in SCREENS.items()
        for scheme, dark in SCHEMES.items()
    )
    for targets in (11, 300, 5000)
}
WALLS = {5000: (("pages-5000-wall", "/", WALL, 1080, True),)}


async def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        await draw_demo(browser)
        for targets, pictures in FLEETS.items():
            async with serving(three_causes(targets, time.time())) as session:
                await take(browser, str(session._base_url).rstrip("/"), (*pictures, *WALLS.get(targets, ())))
        await browser.close()


async def draw_demo(browser: Browser) -> None:
    failed = {"page": "/targets/billing-invoices", "good": lambda text: "/explain/3077" in text}
    with tempfile.TemporaryDirectory() as place:
        async with demo(Path(place), **failed) as address:
            await take(browser, f"http://{address}", DEMO)


async def take(browser: Browser, address: str, pictures: tuple[tuple[str, str, int, int, bool], ...]) -> None:
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
