"""The steps of several vaults, keys or applications as one list: each command once, with the names of the others, and queries with all names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from exporter.core.tickets.steps import KQL, OLD_KQL, PORTAL, TeamStep

MOST_LISTED: Final = 6  # forms of the commands of one step
_MARK: Final = "\0"  # the place of a name in a text or a command
_VARIABLES: Final = ("vault", "key", "application")
_QUERIES: Final = (KQL, OLD_KQL)
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


def _differing(parts: Sequence[TicketPart]) -> Sequence[str]:
    """Return what differs between the parts; without a difference, the vault."""
    return [each for each in _VARIABLES if len({getattr(part, each) for part in parts}) > 1] or _VARIABLES[:1]


def _merged(each: Sequence[tuple[TicketPart, TeamStep]], parts: Sequence[TicketPart]) -> TeamStep:
    _, first = each[0]
    having = list({id(part): part for part, _ in each}.values())
    only = f" Only for {', '.join(titles(having, parts))}." if len(having) < len(parts) else ""
    return replace(first, text=first.text + only, lines=tuple(_lines(each)))


def _lines(each: Sequence[tuple[TicketPart, TeamStep]]) -> Iterator[tuple[str, str]]:
    """Yield each form of the commands once, with the names of the others, and the queries; forms above the limit are named."""
    forms = defaultdict[tuple[str, ...], dict[tuple[tuple[str, str], ...], TicketPart]](dict)
    for part, step in each:
        form = tuple(_marked_all(line, part) for label, line in step.lines if label not in (*_QUERIES, PORTAL))
        forms[form].setdefault(step.lines, part)
    for form_number, alike in enumerate(islice(forms.values(), MOST_LISTED)):
        first = next(iter(alike))
        for number, (label, line) in enumerate(first):
            if label not in _QUERIES:
                yield label, line
            elif form_number == 0:
                yield from ((label, query) for query in _queries(dict.fromkeys(step.lines[number][1] for _, step in each)))
        if others := _others(first, list(alike.values())):
            yield "also for", ", ".join(others)
    if rest := [part for alike in islice(forms.values(), MOST_LISTED, None) for part in alike.values()]:
        yield "more", f"the same for {', '.join(titles(rest, [part for part, _ in each]))}"


def _others(lines: Iterable[tuple[str, str]], parts: Sequence[TicketPart]) -> list[str]:
    """Return what stands in the commands of the other parts in place of the names of the first."""
    text = "\n".join(line for label, line in lines if label not in _QUERIES)
    named = [each for each in _differing(parts) if getattr(parts[0], each) in text]
    return list(dict.fromkeys("/".join(getattr(part, each) for each in named) for part in parts))[1:]


def _marked_all(text: str, part: TicketPart) -> str:
    for each in _VARIABLES:
        if name := getattr(part, each):
            text = text.replace(name, _MARK)
    return text


def _queries(queries: Iterable[str]) -> Iterator[str]:
    """Yield one query for all that compare the same columns."""
    forms = defaultdict[str, list[str]](list)
    for query in queries:
        forms[_COMPARED.sub(r"\g<column>", query)].append(query)
    yield from (alike[0] if len(alike) == 1 else _query(alike) for alike in forms.values())


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
