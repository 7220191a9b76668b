"""The steps of several vaults, keys or applications as one list: loops of commands, and queries with all names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from exporter.core.tickets.steps import AZ, KQL, OLD_KQL, PORTAL, POWERSHELL, TeamStep

MOST_LISTED: Final = 6  # loops, commands or queries of one step
_MARK: Final = "\0"  # the place of a name in a command
_VARIABLES: Final = ("vault", "key", "application")  # a loop has one of them
_QUERIES: Final = (KQL, OLD_KQL)
_TOKEN = re.compile(r"'[^']*'|\"[^\"]*\"|[^\s'\"(){},;|]+")
_COMPARED = re.compile(r'(?P<column>\w+) (?P<operator>==|=~|endswith) "/?(?P<value>[^"]*)"')
_SEVERAL: Final = {"==": "in", "=~": "in~", "endswith": "has_any"}
_PLACES: Final = ("_ResourceId", "Resource")  # columns that name the vault
_SHOWN: Final = "project TimeGenerated, "
_MOST_ROWS: Final = ("| take 100", "| take 1000")


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketPart:
    """One vault, key or application of a ticket, with its own steps."""

    vault: str
    key: str = ""
    application: str = ""  # its client id; empty if unknown
    steps: Sequence[TeamStep] = ()


def merged_steps(parts: Sequence[TicketPart]) -> list[TeamStep]:
    """Return the steps of all parts, equal ones once: first those of the first part, then those that only others have."""
    known, alike = dict[str, str](), defaultdict[tuple[str, ...], list[tuple[TicketPart, TeamStep]]](list)
    for part in parts:
        for step in part.steps:
            text = known.setdefault(step.text, _marked_all(step.text, part))
            alike[text, *(label for label, _ in step.lines)].append((part, step))
    return [_merged(each, parts) for each in alike.values()]


def titles(parts: Sequence[TicketPart], among: Sequence[TicketPart] = ()) -> list[str]:
    """Return the names in which parts differ from each other, such as `vault1/key1`; `among` are more of them."""
    differing = _differing((*parts, *among))
    return list(dict.fromkeys("/".join(getattr(part, each) for each in differing) for part in parts))


def noun(parts: Sequence[TicketPart]) -> str:
    """Return what the parts are: vaults, else keys of one vault, else applications."""
    return _differing(parts)[0]


def _differing(parts: Collection[TicketPart]) -> Sequence[str]:
    """Return what differs between the parts; without a difference, the vault."""
    return [each for each in _VARIABLES if len({getattr(part, each) for part in parts}) > 1] or _VARIABLES[:1]


def _merged(each: Sequence[tuple[TicketPart, TeamStep]], parts: Sequence[TicketPart]) -> TeamStep:
    _, first = each[0]
    having = list({id(part): part for part, _ in each}.values())
    only = f" Only for {', '.join(titles(having, parts))}." if len(having) < len(parts) else ""
    lines = (line for number, (label, _) in enumerate(first.lines) for line in _lines(label, _different(number, each)))
    return replace(first, text=first.text + only, lines=tuple(lines))


def _different(number: int, each: Iterable[tuple[TicketPart, TeamStep]]) -> dict[str, TicketPart]:
    """Return the different lines with this number, each with its first part."""
    lines = dict[str, TicketPart]()
    for part, step in each:
        lines.setdefault(step.lines[number][1], part)
    return lines


def _lines(label: str, lines: Mapping[str, TicketPart]) -> Iterator[tuple[str, str]]:
    """Yield different commands of one kind, each with its part, as few lines."""
    first, *more = lines
    if not more:
        yield label, first
    elif label == PORTAL:
        yield label, f"{first}, and so for each {noun(list(lines.values()))}"
    else:
        yield from _grouped(label, lines)


def _grouped(label: str, lines: Mapping[str, TicketPart]) -> Iterator[tuple[str, str]]:
    """Yield the fewest loops or queries for all lines; those above the limit are named."""
    is_query = label in _QUERIES
    variables = _VARIABLES[:1] if is_query else _differing(lines.values())
    groups, variable = min(
        ((_by_template(lines, each, is_query=is_query), each) for each in variables), key=lambda each: len(each[0])
    )
    for template, each in islice(groups.items(), MOST_LISTED):
        if len(each) == 1:
            yield label, each[0]
        elif is_query:
            yield label, _query(each)
        else:
            yield _loop(label, template, variable, list(dict.fromkeys(getattr(lines[line], variable) for line in each)))
    if rest := [lines[line] for each in islice(groups.values(), MOST_LISTED, None) for line in each]:
        yield "more", f"the same for {', '.join(titles(rest, list(lines.values())))}"


def _by_template(lines: Mapping[str, TicketPart], variable: str, *, is_query: bool) -> Mapping[str, list[str]]:
    groups = defaultdict[str, list[str]](list)
    for line, part in lines.items():
        groups[_COMPARED.sub(r"\g<column>", line) if is_query else _marked(line, getattr(part, variable))].append(line)
    return groups


def _marked_all(text: str, part: TicketPart) -> str:
    for each in _VARIABLES:
        text = _marked(text, getattr(part, each))
    return text


def _marked(text: str, name: str) -> str:
    return text.replace(name, _MARK) if name else text


def _loop(label: str, template: str, variable: str, names: Sequence[str]) -> tuple[str, str]:
    """Return a loop over the names: of a shell for `az`, else of PowerShell."""
    if label == AZ:
        command = re.sub(f"{_MARK}(?=\\w)", f"${{{variable}}}", template).replace(_MARK, f"${variable}")
        return label, f"for {variable} in {' '.join(names)}; do {command}; done"
    command = _TOKEN.sub(lambda token: _powershell_word(token[0], variable), template)
    quoted = ", ".join(f"'{name}'" for name in names)
    return POWERSHELL, f"foreach (${variable} in {quoted}) {{ {command} }}"


def _powershell_word(token: str, variable: str) -> str:
    """Return a word of a command; the variable as a part of it needs quotation marks."""
    if token == _MARK:
        return f"${variable}"
    return f'"{token.strip(chr(34) + chr(39))}"'.replace(_MARK, f"${{{variable}}}") if _MARK in token else token


def _query(queries: Sequence[str]) -> str:
    """Return one query for all values that queries of the same form compare with."""
    found = [[each["value"] for each in _COMPARED.finditer(query)] for query in queries]
    values = (list(dict.fromkeys(each)) for each in zip(*found, strict=True))
    columns = list[str]()
    query = _COMPARED.sub(lambda compared: _compared(compared, next(values), columns), queries[0])
    place = next((each for each in columns if each in _PLACES), "")
    return query.replace(_SHOWN, f"{_SHOWN}{place}, ").replace(*_MOST_ROWS) if place else query


def _compared(compared: re.Match[str], values: Iterable[str], columns: list[str]) -> str:
    """Return a comparison with all values, and add its column if there are several."""
    quoted = [f'"{value}"' for value in values]
    if len(quoted) == 1:
        return compared[0]
    columns.append(compared["column"])
    return f"{compared['column']} {_SEVERAL[compared['operator']]} ({', '.join(quoted)})"
