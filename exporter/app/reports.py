"""Passes each report to the state, the metrics, the log and the auxiliary probes.

If one receiver fails, the others still get the report.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import ParamSpec, TypeVar

from exporter import __version__
from exporter.app.options import RunOptions
from exporter.config.consequences.usage import configured_auxiliary
from exporter.config.settings import Config, Target
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
    """Pass results to the store, the metrics and the log.

    Use it from one event loop. `on_internal_error` receives the exceptions of these receivers.
    """

    def __init__(
        self, store: StateStore, recorder: Recorder, log: ProbeLog, *, on_internal_error: Callable[[Exception], None]
    ) -> None:
        self._store, self._recorder, self._log, self._on_internal_error = store, recorder, log, on_internal_error

    def add(
        self, config: Config, target: Target, report: ProbeReport, *, runner: AuxiliaryRunner, next_probe_at: float | None
    ) -> None:
        """Pass on the report of one probe."""
        context = ProbeContext(target, config.modules[target.module], config.credentials[target.credential])
        record = self._pass(self._store.record, context, report, next_probe_at=next_probe_at)
        record = record or self._store.state.expect(target)
        self._pass(self._recorder.record, report, record)
        if not report.discarded:
            self._pass(self._log.record, target, report)
        self._pass(_run_auxiliary, runner, config, target, report, record)

    def add_auxiliary(self, target: Target, result: AuxiliaryResult) -> None:
        """Pass on the result of one auxiliary probe."""
        self._pass(self._recorder.spend, target.name, result)
        record = self._pass(self._store.add_auxiliary, target, result)
        self._pass(self._recorder.auxiliary_recorded, target.name, record or self._store.state.expect(target))
        self._pass(self._log.auxiliary_recorded, target, result)

    def _pass(self, receiver: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return receiver(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - an error of one receiver must not stop the others
            self._on_internal_error(error)
            return None


def _run_auxiliary(runner: AuxiliaryRunner, config: Config, target: Target, report: ProbeReport, record: TargetRecord) -> None:
    today = datetime.fromtimestamp(report.started_at, UTC).date()
    interval = config.modules[target.module].auxiliary_interval
    if runner.has_due(target.name, configured_auxiliary(target, today), interval=interval):
        runner.start_due(target, report, auxiliary_probes(config, target, record.key, today), interval=interval)


def recorder_for(config: Config, options: RunOptions) -> Recorder:
    """Return the recorder of an exporter that starts."""
    recorder = Recorder(
        config, version=__version__, mode=options.mode, per_target_gauges=options.scheduler, level=options.metrics_level
    )
    if options.shard is not None:
        recorder.shard(options.shard.index, options.shard.count)
    return recorder
