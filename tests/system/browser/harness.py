"""Somebody in front of a browser: one page, and everything that the browser complains about."""

from dataclasses import dataclass, field

from playwright.async_api import Browser, BrowserContext, Page

LAPTOP, PHONE = 1366, 390
PATIENCE_MS = 15_000

# What sticks out to the right although nothing lets it scroll by itself.
STICKING_OUT = """() => {
  const scrolls = (each) => { for (let e = each; e; e = e.parentElement) if (getComputedStyle(e).overflowX === 'auto') return true; return false; };
  const hidden = (each) => each.closest('thead, .skip');
  return [...document.querySelectorAll('body *')]
    .filter((each) => each.getBoundingClientRect().right > innerWidth + 1 && !scrolls(each) && !hidden(each))
    .map((each) => `${each.localName}: ${each.textContent.trim().slice(0, 60)}`);
}"""

# Every control that the keyboard should reach, in the order of the page.
CONTROLS = """() => [...document.querySelectorAll('a[href], button, input, select, summary, pre[tabindex]')]
  .map((each) => each.id || each.getAttribute('href') || each.textContent.trim().slice(0, 40))"""
FOCUSED = """() => {
  const each = document.activeElement, box = each.getBoundingClientRect(), drawn = getComputedStyle(each);
  return { what: each.id || each.getAttribute('href') || each.textContent.trim().slice(0, 40), name: each.localName,
    seen: box.bottom > 0 && box.top < innerHeight && box.width > 0, ring: drawn.outlineStyle !== 'none' && drawn.outlineWidth !== '0px' };
}"""


@dataclass
class Visitor:
    context: BrowserContext
    page: Page
    home: str
    complaints: list[str] = field(default_factory=list)

    @classmethod
    async def arrive(
        cls, browser: Browser, home: str, path: str, *, width: int = LAPTOP, dark: bool = False, script: bool = True
    ) -> "Visitor":
        context = await browser.new_context(
            viewport={"width": width, "height": 844},
            color_scheme="dark" if dark else "light",
            java_script_enabled=script,
            has_touch=width == PHONE,
        )
        context.set_default_timeout(PATIENCE_MS)
        visitor = cls(context, await context.new_page(), home)
        visitor.page.on("pageerror", lambda error: visitor.complaints.append(str(error)))
        visitor.page.on("console", lambda said: visitor.complaints.append(said.text) if said.type == "error" else None)
        await visitor.goto(path)
        return visitor

    async def goto(self, path: str) -> None:
        answer = await self.page.goto(self.home + path)
        assert answer is not None
        assert answer.ok, f"{path}: {answer.status}"

    async def text(self) -> str:
        return await self.page.locator("main").inner_text()

    async def sticking_out(self) -> list[str]:
        wide = await self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        return await self.page.evaluate(STICKING_OUT) + ([f"the page scrolls sideways by {wide} px"] if wide > 0 else [])

    async def leave(self) -> None:
        await self.context.close()
