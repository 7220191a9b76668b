"""A hook of mkdocs: its pages are HTML that `site.py` rendered, with the anchors of `/docs/`. It runs in the environment of mkdocs."""

from __future__ import annotations

import re
from typing import Any

_HEADING = re.compile(r'<h([1-6]) id="([^"]+)">(.*?)</h\1>', re.DOTALL)
_TAG = re.compile(r"<[^>]+>")


def on_page_markdown(markdown: str, *, page: Any, **_: object) -> str:
    """Keep the content from the Markdown library of mkdocs."""
    page.rendered = markdown
    return ""


def on_page_content(_html: str, *, page: Any, **_: object) -> str:
    """Return the content, and set the table of contents from its headings."""
    from mkdocs.structure.toc import get_toc  # type: ignore[import-not-found]  # noqa: PLC0415 - not in the environment of the checks

    top: list[dict[str, Any]] = []
    for level, identity, title in _HEADING.findall(page.rendered):
        siblings = top
        while siblings and siblings[-1]["level"] < int(level):
            siblings = siblings[-1]["children"]
        siblings.append({"level": int(level), "id": identity, "name": _TAG.sub("", title), "children": []})
    page.toc = get_toc(top)
    content: str = page.rendered
    return content
