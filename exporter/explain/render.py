"""Render one code or all codes as text, Markdown or JSON data.

Every view of a code uses these functions. They return strings and plain data.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

from exporter.core.codes import both_numbers
from exporter.core.codes.frequent import FREQUENT
from exporter.core.codes.model import ConnectorError, Family, Layer
from exporter.core.codes.owners import OWNERS
from exporter.core.codes.words import words_in
from exporter.explain.explanation import Explanation
from exporter.explain.introduction import BACKGROUND, INTRODUCTION, LAYER_TITLES, OTHERWISE

WIDTH = 80

_SPAN = re.compile(r"`[^`]*`")


def visibility(row: ConnectorError) -> str:
    """Describe in sentences whether a probe can see the code, and if not, why."""
    return "A probe can see it." if row.observable else f"A probe cannot see it. {row.unobservable_because}"


def elsewhere(row: ConnectorError) -> str:
    """Describe the less specific code of the same failure; empty if there is none."""
    if row.fallback is None:
        return ""
    return (
        f"The HTTP layer's code for the same failure is {both_numbers(row.fallback)}. "
        "Connectors without this code report that one, and event logs may show it."
    )


def effect(explanation: Explanation) -> str:
    """Return what fails in SQL Server, by the first code of an explanation; else by the text itself; empty if nothing fails."""
    return next((row.effect for row in explanation.rows), explanation.effect)


def as_data(row: ConnectorError) -> dict[str, object]:
    """Return the row as JSON data. The names are public; fields may be added."""
    return {
        "code": row.code,
        "symbol": row.symbol,
        "generation": row.generation.value,
        "counterpart": row.counterpart,
        "layer": row.layer.value,
        "category": row.category.value,
        "owner": row.owner.value,
        "observable": row.observable,
        "unobservable_because": row.unobservable_because or None,
        "fallback": row.fallback,
        "summary": row.summary,
        "effect": row.effect or None,
        "causes": list(row.causes),
        "actions": list(row.actions),
        "commands": list(row.commands),
    }


def as_text(row: ConnectorError) -> str:
    """Return the row as terminal text, with whole `code` spans."""
    blocks = [
        f"{both_numbers(row.code)}\n{row.symbol}",
        *_body(row, row.effect),
        "\n".join(
            wrap(value, first=f"{name:<10}", rest=" " * 10)
            for name, value in (
                ("Owner", f"{row.owner.value}: {OWNERS[row.owner]}"),
                ("Kind", f"{row.category.value}, layer {row.layer.value}"),
                ("Probe", visibility(row)),
                ("Elsewhere", elsewhere(row)),
            )
            if value
        ),
    ]
    return "\n\n".join(block for block in blocks if block)


def explanation_text(explanation: Explanation) -> str:
    """Return an explanation as terminal text.

    It shows the code, or title, causes, actions and related codes.
    """
    if explanation.is_code:
        return as_text(explanation.rows[0])
    more = "\n".join(f"More: ekm-exporter explain {row.code}" for row in explanation.rows)
    return "\n\n".join(block for block in (explanation.title, *_body(explanation, effect(explanation)), more) if block)


def _body(described: ConnectorError | Explanation, effect: str) -> tuple[str, ...]:
    return (
        wrap(described.summary),
        wrap(effect),
        _numbered("Likely causes, most likely first", described.causes),
        _numbered("What to do, in this order", described.actions),
        _commands(described.commands),
        _words(described.actions, described.commands),
    )


def otherwise_text() -> str:
    """Return what to check for a number that no table lists."""
    return _numbered("For a failure that no table lists, check in this order", OTHERWISE)


def explanation_data(explanation: Explanation) -> dict[str, object]:
    """Return an explanation as JSON data.

    It contains the code, or title, summary, causes, actions and related codes.
    """
    if explanation.is_code:
        return as_data(explanation.rows[0])
    return {
        "title": explanation.title,
        "summary": explanation.summary,
        "effect": effect(explanation) or None,
        "causes": list(explanation.causes),
        "actions": list(explanation.actions),
        "commands": list(explanation.commands),
        "codes": [row.code for row in explanation.rows],
    }


def as_table(rows: Iterable[ConnectorError]) -> str:
    """Return a line per code: number, counterpart, symbol, owner, visible to a probe."""
    lines = [f"{'CODE':<6}{'ALSO':<6}{'SYMBOL':<50}{'OWNER':<10}PROBE"]
    lines += [
        f"{row.code:<6}{row.counterpart or '-':<6}{row.symbol:<50}{row.owner.value:<10}{'yes' if row.observable else 'no'}"
        for row in rows
    ]
    return "\n".join(lines)


def as_markdown(rows: Iterable[ConnectorError]) -> str:
    """Return the documentation page, in which each row has an anchor.

    The codes that a DBA meets come after the introduction, then all others by layer.
    """
    rows = tuple(rows)
    frequent = [row for code in FREQUENT for row in rows if code in (row.code, row.counterpart)]
    parts = [INTRODUCTION]
    if frequent:
        parts += ["## Codes that a DBA meets", _frequent_table(frequent), *map(as_markdown_section, frequent)]
    parts.append(BACKGROUND)
    for layer in Layer:
        of_layer = [row for row in rows if row.layer is layer and row not in frequent]
        if of_layer:
            parts.append(f"## {LAYER_TITLES[layer]}")
            parts += [as_markdown_section(row) for row in of_layer]
    parts += ["## A failure that no table lists", _markdown_list("Check in this order", OTHERWISE)]
    return "\n\n".join(parts) + "\n"


def _frequent_table(rows: Iterable[ConnectorError]) -> str:
    """Return a line per failure; a pair of numbers is one failure."""
    lines = ["| code | a DBA meets it if | owner |", "| --- | --- | --- |"]
    for row in rows:
        if row.code in FREQUENT:
            numbers = " or ".join(f"[{code}](#{code})" for code in (row.code, row.counterpart) if code is not None)
            lines.append(f"| {numbers} | {FREQUENT[row.code]} | {row.owner.value} |")
    return "\n".join(lines)


def as_markdown_section(row: ConnectorError) -> str:
    """Return one code as Markdown.

    A current number links to its classic counterpart for the details.
    """
    blocks = [
        f'<a id="{row.code}"></a>\n\n### {row.code} {row.symbol}',
        row.summary,
        row.effect,
        f"{_counterpart_note(row)}Kind: {row.category.value}. Owner: {row.owner.value}. {visibility(row)}",
        elsewhere(row),
    ]
    if row.generation is Family.CURRENT:
        blocks.append(f"Causes and actions: see [{row.counterpart}](#{row.counterpart}).")
    else:
        blocks += [_markdown_list("Likely causes", row.causes), _markdown_list("What to do", row.actions)]
        blocks += ["\n".join(["Commands:", "", "```", *row.commands, "```"])] if row.commands else []
    return "\n\n".join(block for block in blocks if block)


def _counterpart_note(row: ConnectorError) -> str:
    if row.counterpart is None:
        return ""
    when = "On connector 1.0.5.0" if row.generation is Family.CLASSIC else "Before connector 1.0.5.0"
    return f"{when}: [{row.counterpart}](#{row.counterpart}). "


def _markdown_list(title: str, items: tuple[str, ...]) -> str:
    return f"{title}:\n\n" + "\n".join(f"{number}. {item}" for number, item in enumerate(items, 1)) if items else ""


def _commands(commands: tuple[str, ...]) -> str:
    """Return lines to copy. They are never wrapped."""
    return "\n".join(["Commands:", *(f"  {line}" for line in commands)]) if commands else ""


def _words(actions: tuple[str, ...], commands: tuple[str, ...]) -> str:
    """Return what the capital words in the commands stand for."""
    lines = [wrap(meaning, first=f"  {word:<12} ", rest=" " * 15) for word, meaning in words_in(actions, commands)]
    return "\n".join(["In the commands:", *lines]) if lines else ""


def _numbered(title: str, items: tuple[str, ...]) -> str:
    lines = [wrap(item, first=f"  {number}. ", rest="     ") for number, item in enumerate(items, 1)]
    return "\n".join([f"{title}:", *lines]) if lines else ""


def wrap(text: str, *, first: str = "", rest: str = "") -> str:
    """Wrap at `WIDTH`, between words but never inside a `code` span."""
    kept = _SPAN.sub(lambda span: span[0].replace(" ", "\0"), text)
    lines = textwrap.wrap(
        kept, WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines).replace("\0", " ")
