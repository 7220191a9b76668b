"""Incidents of the last hour that are over, as quiet lines: no action is left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from exporter.state.cause_groups import CauseGroup
from exporter.web.ui.causes import group_title
from exporter.web.ui.fleet import over_since
from exporter.web.ui.html import Child, element
from exporter.web.ui.labels import exact_time, span
from exporter.web.ui.layout import NAMED, Urls, counted, link, target_links
from exporter.web.ui.view_models import TargetView

SHOWN = 5


def ended_section(urls: Urls, groups: Sequence[CauseGroup], views: Mapping[str, TargetView]) -> Iterator[Child]:
    """Yield the latest ones, with the beginning of the first failure and the end of the last one."""
    if not groups:
        return
    lines = [element("li", _ended(urls, group, views)) for group in groups[:SHOWN]]
    yield element("ul", lines, class_="quiet", aria_label="Ended within the last hour")
    if len(groups) > SHOWN:
        yield element("p", link(urls.to("/changes"), f"{len(groups) - SHOWN:,} more ended"), class_="quiet")


def _ended(urls: Urls, group: CauseGroup, views: Mapping[str, TargetView]) -> list[Child]:
    at = over_since(group, views)
    lasted = span(max(0.0, at - group.since))
    few = len(group.targets) <= NAMED
    targets = target_links(urls, group.id, group.targets) if few else counted(len(group.targets), "target")
    return [group_title(group), ": ended ", exact_time(at), f", lasted {lasted}. ", targets]
