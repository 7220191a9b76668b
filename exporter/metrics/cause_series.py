"""Series of failures: the first action and the cause of each failing target, and the common causes.

Causes depend on all targets, so a scrape renders them, in slices, and only after a failure changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from exporter.config.consequences.names import names_of
from exporter.config.settings import Module, Target
from exporter.core.causes import Cause, Failed, cause_of
from exporter.core.codes.actions import action_line
from exporter.core.model import ProbeReport
from exporter.core.readiness import deciding_failure
from exporter.metrics.exposition import Exposition
from exporter.metrics.rendering import OwnerValues, TargetBlock, render_gauges
from exporter.metrics.samples import Values, action_samples, cause_labels, cause_samples, one
from exporter.metrics.spec import SeriesScope
from exporter.metrics.text_format import LabelSet
from exporter.runtime.slices import yield_with_pauses
from exporter.state.cause_groups import MOST_CAUSES, TARGETS_PER_SLICE, CauseGroup, Linked, cause_groups, linked, links_of
from exporter.state.records import TargetRecord


class FailureSeries:
    """The series of failures of all targets. `blocks` are those of the recorder, by target."""

    def __init__(self, exposition: Exposition, blocks: Mapping[str, TargetBlock]) -> None:
        self._exposition, self._blocks = exposition, blocks
        self._failing: set[str] = set()
        self._shown: set[str] = set()  # ids of causes
        self._changes = self._rendered = 0
        self._rendering = asyncio.Lock()

    def update(self, block: TargetBlock) -> Values:
        """Note whether the failure of a target changed with its record; return the first action if that did."""
        name, record, report = block.target.name, block.record, block.record.last
        failed, action = None, ""
        if report is not None and not report.success:
            failed = linked(block.target, block.module, record, report.started_at).failed
            action = failure_action(block.target, report, record)
        if failed != block.failed or (self._failing and record.region != block.region):
            self._changes += 1
        block.failed, block.region = failed, record.region
        if failed is None:
            self._failing.discard(name)
        else:
            self._failing.add(name)
        changed, block.action = action != block.action, action
        return action_samples(action) if changed else {}

    def forget(self, name: str) -> None:
        """Leave a target out of the causes."""
        self._changes += name in self._failing
        self._failing.discard(name)

    async def refresh(self) -> None:
        """Render the causes if a failure changed, and let other tasks run in between."""
        async with self._rendering:
            changes = self._changes
            if changes == self._rendered:
                return
            groups = await cause_groups(map(_linked, list(self._blocks.values()) if self._failing else ()))
            causes = {target: group.cause for group in groups for target in group.targets}
            async for block in yield_with_pauses(list(self._blocks.values()), TARGETS_PER_SLICE):
                self._show_cause(block, causes.get(block.target.name))
            self._show_groups(groups[:MOST_CAUSES])
            self._rendered = changes

    def _show_cause(self, block: TargetBlock, cause: Cause | None) -> None:
        name, cause = block.target.name, None if block.failed is None else cause
        if cause != block.cause and self._blocks.get(name) is block:
            block.cause = cause
            self._show(OwnerValues(name, block.base, cause_samples(cause)))

    def _show_groups(self, groups: list[CauseGroup]) -> None:
        ids = {group.cause.id for group in groups}
        for gone in self._shown - ids:
            self._exposition.drop(SeriesScope.CAUSE, gone)
        self._shown = ids
        self._show(
            *(OwnerValues(group.cause.id, LabelSet.from_labels(*cause_labels(group.cause)), _sizes(group)) for group in groups)
        )

    def _show(self, *owners: OwnerValues) -> None:
        self._exposition.put(render_gauges(owners, self._exposition.names, encodes=self._exposition.encodes))


def failure_action(target: Target, report: ProbeReport, record: TargetRecord) -> str:
    """Return the first of the actions that the pages recommend, as the value of a label; empty if there is none."""
    failure = deciding_failure(report)
    if failure is None or failure.code is None:
        return ""
    names = names_of(target, report.steps, failure, auxiliary=record.auxiliary.values())
    return action_line(failure.code, failure.reason, names, step=failure.step)


def _linked(block: TargetBlock) -> Linked:
    failed = block.failed
    names = links_of(block.target, block.module, block.record, None) if failed is None else failed.names
    return Linked(block.target, names, failed)


def _sizes(group: CauseGroup) -> Values:
    return {
        "ekm_common_cause_info": one(1),
        "ekm_common_cause_targets": one(len(group.targets)),
        "ekm_common_cause_sql_servers": one(len(group.servers)),
    }


def probe_failure_samples(
    target: Target, module: Module, report: ProbeReport, record: TargetRecord, known: tuple[Failed | None, Cause | None]
) -> Values:
    """Return the samples of a failure in the response of /probe.

    `known` is the failure of the record and its common cause. Another failure has the cause of its target alone.
    """
    failure = deciding_failure(report)
    if failure is None:
        return action_samples("") | cause_samples(None)
    failed, cause = known
    if cause is None or failed is None or (failed.step, failed.reason) != (failure.step, failure.reason):
        cause = cause_of(Failed(step=failure.step, reason=failure.reason, names=links_of(target, module, record, report)))
    return action_samples(failure_action(target, report, record)) | cause_samples(cause)
