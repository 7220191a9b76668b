"""HTML that cannot be written unescaped.

For: building elements whose children and attributes are escaped unless they are themselves elements.
Not for: any page, any text, any address: a caller brings those.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

# Control characters have no place in a page; a browser may hide them, a terminal that shows the source may obey them.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})


class Html(str):
    """Markup that is already escaped. Only this module makes it."""

    __slots__ = ()


Child = str | int | float | None | Iterable["Child"]


def text(child: Child) -> Html:
    """A child as markup: nothing for None, escaped unless it is markup already; anything iterable in its order."""
    if child is None:
        return Html("")
    if isinstance(child, Html):
        return child
    if isinstance(child, str | int | float):
        return Html(escape(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(child)), quote=True))
    return Html("".join(text(each) for each in child))


def element(tag: str, *children: Child, **attributes: str | int | bool | None) -> Html:
    """One element. `class_` means class and `aria_label` aria-label; None and False leave an attribute out, True is bare."""
    written = "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in _VOID:
        return Html(f"<{tag}{written}>")
    return Html(f"<{tag}{written}>{text(children)}</{tag}>")


def _attribute(name: str, value: str | int | bool | None) -> str:
    if value is None or value is False:
        return ""
    spelled = name.rstrip("_").replace("_", "-")
    return f" {spelled}" if value is True else f' {spelled}="{text(value)}"'
