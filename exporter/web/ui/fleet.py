"""All targets of a page: the matching ones in order, counts, and causes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from exporter.runtime.slices import in_slices
from exporter.web.ui.causes import AT_ONCE, CauseGroup, grouped, ids_by_target
from exporter.web.ui.view_models import TargetView, Urgency

MOST_LABELS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The matching views in order, and counts over all targets."""

    shown: list[TargetView]
    counts: Mapping[Urgency, int]
    codes: Mapping[int, int]  # targets by the code of their first failure
    labels: list[str]  # NAME=VALUE, the first `MOST_LABELS` in order
    label_names: list[str]  # of targets and their SQL Servers, at most `MOST_LABELS`
    causes: list[CauseGroup]
    servers: int  # SQL Servers that the configuration names
    at_risk: int  # those whose vault side is not ready

    @property
    def total(self) -> int:
        return sum(self.counts.values())


async def fleet(
    views: Iterable[TargetView],
    matches: Callable[[TargetView], bool],
    order: Callable[[TargetView], tuple[Any, ...]],
    *,
    cause: str = "",
) -> Fleet:
    """Filter and sort the views, and let other tasks run in between; `cause` is an id or empty."""
    counts, codes = Counter[Urgency](), Counter[int]()
    labels, names, servers, at_risk = set[str](), set[str](), set[str](), set[str]()
    every = list[TargetView]()
    async for each in in_slices(views, AT_ONCE):
        every.append(each)
        counts[each.urgency] += 1
        if each.failure is not None and each.failure.code is not None:
            codes[each.failure.code] += 1
        labels.update(f"{name}={value}" for name, value in each.target.labels.items())
        names.update(each.target.labels, *each.target.instances)
        servers.update(each.servers)
        if each.urgency is Urgency.NOT_READY:
            at_risk.update(each.servers)
    causes = await grouped(every)
    behind = ids_by_target(causes) if cause else {}
    chosen = [
        (order(each), each)
        async for each in in_slices(every, AT_ONCE)
        if matches(each) and (not cause or behind.get(each.target.name) == cause)
    ]
    chosen.sort(key=lambda pair: pair[0])
    return Fleet(
        shown=[each for _, each in chosen],
        counts=counts,
        codes=codes,
        labels=sorted(labels)[:MOST_LABELS],
        label_names=sorted(names)[:MOST_LABELS],
        causes=causes,
        servers=len(servers),
        at_risk=len(at_risk),
    )
