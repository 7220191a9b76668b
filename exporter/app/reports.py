"""Passes each report on: to the state, the metrics, the log and the auxiliary probes.

For: that one receiver which fails loses no report for the others; its error is counted and logged.
Not for: making reports (see `probing.prober`), or what a receiver does with them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import ParamSpec, TypeVar

from exporter.config.model import Config, Target
from exporter.core.auxiliary import AuxiliaryResult
from exporter.core.model import ProbeReport
from exporter.metrics.recorder import Recorder
from exporter.presentation.probe_log import ProbeLog
from exporter.probing.auxiliary_plan import auxiliary_probes
from exporter.probing.auxiliary_runner import AuxiliaryRunner
from exporter.state.history import ProbeContext
from exporter.state.records import TargetRecord
from exporter.state.store import StateStore

P = ParamSpec("P")
T = TypeVar("T")


class Reports:
    """Used from one event loop. `on_bug` is called with what a receiver raises."""

    def __init__(self, memory: StateStore, recorder: Recorder, log: ProbeLog, *, on_bug: Callable[[Exception], None]) -> None:
        self._memory, self._recorder, self._log, self._on_bug = memory, recorder, log, on_bug

    def add(
        self, config: Config, target: Target, report: ProbeReport, *, looker: AuxiliaryRunner, next_probe_at: float | None
    ) -> None:
        """Pass on one finished probe of a target of this configuration."""
        asked = ProbeContext(target, config.modules[target.module], config.credentials[target.credential])
        record = self._pass(self._memory.record, asked, report, next_probe_at=next_probe_at)
        record = record or self._memory.state.expect(target)
        self._pass(self._recorder.record, report, record)
        if not report.inconclusive:
            self._pass(self._log.record, target, report)
        self._pass(_follow, looker, config, target, report, record)

    def add_look(self, target: Target, look: AuxiliaryResult) -> None:
        """Pass on one look beside the main probe."""
        self._pass(self._recorder.spent, target.name, look)
        record = self._pass(self._memory.looked, target, look)
        self._pass(self._recorder.looked, target.name, record or self._memory.state.expect(target))
        self._pass(self._log.looked, target, look)

    def _pass(self, receiver: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return receiver(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - whatever one receiver raises, the others get theirs
            self._on_bug(error)
            return None


def _follow(looker: AuxiliaryRunner, config: Config, target: Target, report: ProbeReport, record: TargetRecord) -> None:
    today = datetime.fromtimestamp(report.started_at, UTC).date()
    interval = config.modules[target.module].auxiliary_interval
    looker.after_probe(target, report, auxiliary_probes(config, target, record.key, today), interval=interval)
