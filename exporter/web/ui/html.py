"""An HTML builder that escapes everything except its own elements."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

# Control characters are removed: a terminal that shows the source could execute them.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})


class Html(str):
    """Escaped markup."""

    __slots__ = ()


Child = str | int | float | None | Iterable["Child"]


def text(child: Child) -> Html:
    """Return a child as markup.

    "" for None, escaped unless it is markup, an iterable in order.
    """
    if child is None:
        return Html("")
    if isinstance(child, Html):
        return child
    if isinstance(child, str | int | float):
        return Html(escape(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(child)), quote=True))
    return Html("".join(text(each) for each in child))


def element(tag: str, *children: Child, **attributes: str | int | bool | None) -> Html:
    """Return one element.

    `aria_label` becomes aria-label; None and False omit an attribute.
    """
    written = "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in _VOID:
        return Html(f"<{tag}{written}>")
    return Html(f"<{tag}{written}>{text(children)}</{tag}>")


def _attribute(name: str, value: str | int | bool | None) -> str:
    if value is None or value is False:
        return ""
    spelled = name.rstrip("_").replace("_", "-")
    return f" {spelled}" if value is True else f' {spelled}="{text(value)}"'
