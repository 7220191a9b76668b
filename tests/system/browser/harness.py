"""A browser tab with one page and the errors that the browser reports."""

from dataclasses import dataclass, field

from playwright.async_api import Browser, BrowserContext, Page

LAPTOP, PHONE, WALL = 1366, 390, 1920
PATIENCE_MS = 180_000
REFRESH_NOW = "document.dispatchEvent(new Event('visibilitychange'))"

# The text of the elements that are whole on the first screen, one for each selector.
FIRST_SCREEN = """(selectors) => selectors.flatMap((selector) => [...document.querySelectorAll(selector)])
  .filter((each) => each.checkVisibility() && each.getBoundingClientRect().bottom <= innerHeight)
  .map((each) => each.innerText)"""

# Elements that overflow to the right and have no scrolling ancestor.
OVERFLOWING = """() => {
  const scrolls = (each) => { for (let e = each; e; e = e.parentElement) if (getComputedStyle(e).overflowX === 'auto') return true; return false; };
  const hidden = (each) => each.closest('thead, .skip');
  return [...document.querySelectorAll('body *')]
    .filter((each) => each.getBoundingClientRect().right > innerWidth + 1 && !scrolls(each) && !hidden(each))
    .map((each) => `${each.localName}: ${each.textContent.trim().slice(0, 60)}`);
}"""

# Every control that the keyboard must reach, in the order of the page.
CONTROLS = """() => [...document.querySelectorAll('a[href], button, input, select, summary, [tabindex="0"]')]
  .filter((each) => each.checkVisibility())
  .map((each) => each.id || each.getAttribute('href') || each.textContent.trim().slice(0, 40))"""
FOCUSED = """() => {
  const each = document.activeElement, box = each.getBoundingClientRect(), drawn = getComputedStyle(each);
  return { what: each.id || each.getAttribute('href') || each.textContent.trim().slice(0, 40), name: each.localName,
    seen: box.bottom > 0 && box.top < innerHeight && box.width > 0, ring: drawn.outlineStyle !== 'none' && drawn.outlineWidth !== '0px' };
}"""


@dataclass
class Tab:
    context: BrowserContext
    page: Page
    home: str
    errors: list[str] = field(default_factory=list)

    @classmethod
    async def open(
        cls,
        browser: Browser,
        home: str,
        path: str,
        *,
        width: int = LAPTOP,
        height: int = 844,
        dark: bool = False,
        script: bool = True,
        timezone: str = "UTC",
    ) -> "Tab":
        context = await browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            java_script_enabled=script,
            has_touch=width == PHONE,
            timezone_id=timezone,
        )
        context.set_default_timeout(PATIENCE_MS)
        tab = cls(context, await context.new_page(), home)
        tab.page.on("pageerror", lambda error: tab.errors.append(str(error)))
        tab.page.on("console", lambda message: tab.errors.append(message.text) if message.type == "error" else None)
        await tab.goto(path)
        return tab

    async def goto(self, path: str) -> None:
        answer = await self.page.goto(self.home + path)
        assert answer is not None
        assert answer.ok, f"{path}: {answer.status}"

    async def text(self) -> str:
        return await self.page.locator("main").inner_text()

    async def overflowing(self) -> list[str]:
        wide = await self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        return await self.page.evaluate(OVERFLOWING) + ([f"the page scrolls sideways by {wide} px"] if wide > 0 else [])

    async def close(self) -> None:
        await self.context.close()
