"""Which targets somebody wants to see, and in which order: the query of `/targets`.

For: reading `q`, `verdict`, `code`, `label`, `sort` and `page`, saying whether a target is meant, and ordering.
Not for: markup (see `filters`), gathering views (see `view_models`). What cannot be understood is left out or matches nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from exporter.config.model import Target
from exporter.core.codes import find
from exporter.web.ui.view_models import TargetView, Urgency

_LONGEST = 200  # characters of a word or label that are looked at
_MOST_LABELS = 10

BY_LABEL = "label:"  # of `sort`, before the label's name

VERDICTS: Mapping[str, Urgency] = {urgency.name.lower(): urgency for urgency in Urgency}


class SortOrder(StrEnum):
    """Values of `sort`, beside `label:NAME`; within each, by name."""

    URGENCY = "urgency"
    NAME = "name"
    VAULT = "vault"
    CODE = "code"
    LAST_PROBE = "last_probe"
    DURATION = "duration"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetQuery:
    """`labels` are `NAME=VALUE` or `NAME`, all of which must be there; `code` is a number or a symbol, either twin.

    Where `by_label` names a label, that is the order.
    """

    words: str = ""
    verdict: Urgency | None = None
    code: str = ""
    labels: tuple[str, ...] = ()
    order: SortOrder = SortOrder.URGENCY
    by_label: str = ""
    page: int = 1

    @property
    def everything(self) -> bool:
        return not (self.words or self.code or self.labels or self.verdict is not None)

    @property
    def sort(self) -> str:
        """The order as a query has it."""
        return f"{BY_LABEL}{self.by_label}" if self.by_label else self.order.value

    def parameters(self) -> list[tuple[str, str]]:
        """As a query has them, without the page and what is the default."""
        named = [("q", self.words), ("verdict", "" if self.verdict is None else self.verdict.name.lower()), ("code", self.code)]
        sort = "" if self.sort == SortOrder.URGENCY.value else self.sort
        return [pair for pair in (*named, *(("label", each) for each in self.labels), ("sort", sort)) if pair[1]]

    def and_label(self, label: str) -> TargetQuery:
        return replace(self, labels=tuple(dict.fromkeys((*self.labels, label))), page=1)


def read(query: Iterable[tuple[str, str]], targets: Iterable[Target]) -> TargetQuery:
    """What a query asks for, as pairs in its order; of what is there twice the first counts, labels apart.

    To sort by a label, one of the targets has to have it.
    """
    asked: dict[str, str] = {}
    labels: dict[str, None] = {}
    for name, value in query:
        text = value.strip()[:_LONGEST]
        if name == "label" and text and len(labels) < _MOST_LABELS:
            labels[text] = None
        asked.setdefault(name, text)
    orders = {order.value: order for order in SortOrder}
    return TargetQuery(
        words=asked.get("q", ""),
        verdict=VERDICTS.get(asked.get("verdict", "")),
        code=asked.get("code", ""),
        labels=tuple(labels),
        order=orders.get(asked.get("sort", ""), SortOrder.URGENCY),
        by_label=_label_to_sort_by(asked.get("sort", ""), targets),
        page=_number(asked.get("page", "1")),
    )


def meant(choice: TargetQuery) -> Callable[[TargetView], bool]:
    """The test that each view is put to, prepared once."""
    words, codes, labels = choice.words.casefold().split(), _numbers(choice.code), [_pair(each) for each in choice.labels]

    def is_meant(view: TargetView) -> bool:
        if choice.verdict is not None and view.urgency is not choice.verdict:
            return False
        if codes is not None and (view.failure is None or view.failure.code not in codes):
            return False
        if not all(_has(view.target, *label) for label in labels):
            return False
        return not words or _says(view.target, words)

    return is_meant


def key_of(choice: TargetQuery) -> Callable[[TargetView], tuple[Any, ...]]:
    """What to sort by; what is not known comes last."""
    return _by_label(choice.by_label) if choice.by_label else _KEYS[choice.order]


def _label_to_sort_by(sort: str, targets: Iterable[Target]) -> str:
    """Empty where none is asked for, or where nothing in the configuration has it."""
    name = sort.removeprefix(BY_LABEL).strip() if sort.startswith(BY_LABEL) else ""
    return name if name and any(_has(target, name, None) for target in targets) else ""


def _by_label(name: str) -> Callable[[TargetView], tuple[Any, ...]]:
    """By the target's own label, else by the first in order of those of its SQL Servers."""

    def key(view: TargetView) -> tuple[Any, ...]:
        target = view.target
        values = (
            [target.labels[name]] if name in target.labels else sorted(each[name] for each in target.instances if name in each)
        )
        return not values, *values[:1], target.name

    return key


def _urgency(view: TargetView) -> tuple[Any, ...]:
    failed = 0 if view.record is None else view.record.consecutive_failures
    return view.urgency, -failed, view.target.name


def _code(view: TargetView) -> tuple[Any, ...]:
    code = None if view.failure is None else view.failure.code
    return code is None, code or 0, view.target.name


def _duration(view: TargetView) -> tuple[Any, ...]:
    return view.report is None, 0.0 if view.report is None else -view.report.duration, view.target.name


_KEYS: Mapping[SortOrder, Callable[[TargetView], tuple[Any, ...]]] = {
    SortOrder.URGENCY: _urgency,
    SortOrder.NAME: lambda view: (view.target.name,),
    SortOrder.VAULT: lambda view: (view.target.vault, view.target.name),
    SortOrder.CODE: _code,
    SortOrder.LAST_PROBE: lambda view: (view.age is None, -(view.age or 0.0), view.target.name),
    SortOrder.DURATION: _duration,
}


def _numbers(text: str) -> frozenset[int] | None:
    """The codes that are meant, each with its twin; None where none was asked for, empty where there is no such code."""
    if not text:
        return None
    rows = find(text)
    return frozenset(number for row in rows for number in (row.code, row.counterpart) if number is not None)


def _pair(label: str) -> tuple[str, str | None]:
    name, equals, value = label.partition("=")
    return name.strip(), value.strip() if equals else None


def _has(target: Target, name: str, value: str | None) -> bool:
    """Among its own labels and those of the SQL Servers that depend on it."""
    return any(name in labels and value in (None, labels[name]) for labels in (target.labels, *target.instances))


def _says(target: Target, words: list[str]) -> bool:
    servers = " ".join(each.get("sql_instance", "") for each in target.instances)
    text = f"{target.name} {target.vault} {target.key} {servers}".casefold()
    return all(word in text for word in words)


def _number(text: str) -> int:
    """1 for anything that is no reasonable number."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 1
