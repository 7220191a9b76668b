"""Log lines about probes: each change of state, and each new failure.

Repeated failures are counted and summed up at intervals, so that an outage does not fill a disk. A changed result of an
auxiliary probe is one line. With the level debug, every probe is a line.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from exporter.config.settings import Target
from exporter.core.limits import FirstProbes
from exporter.core.names import server_names
from exporter.core.values import Facts, marked
from exporter.knowledge.codes import BY_CODE
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import ProbeReport, StepResult
from exporter.knowledge.verdict import AuxiliaryResult, Identity, deciding_failure
from exporter.runtime.logging import PROBES, Value, fields

_log = logging.getLogger(PROBES)
SUMMARY_SECONDS = 600.0
DELAYED_SECONDS = 60.0  # between two lines about delayed first probes
_LOGGED = marked(Facts, "log")
_NAMED = 10  # SQL Servers named on one line


@dataclass(slots=True)
class _Failing:
    """The last log line about a failing target. Times are Unix times of probes."""

    what: tuple[object, ...]
    since: float
    logged_at: float
    probes: int = 1
    unlogged: int = 0


class ProbeLog:
    """Writes one line per state change and per new failure.

    It stores a few values per failing target and none per healthy target.
    """

    def __init__(self, *, logger: logging.Logger = _log) -> None:
        self._logger = logger
        self._failing: dict[str, _Failing] = {}
        self._unusable: dict[str, set[Identity]] = {}
        self._delayed_at: float | None = None
        self._has_unmeasured = False

    def forget(self, target_name: str) -> None:
        self._failing.pop(target_name, None)
        self._unusable.pop(target_name, None)

    def first_probes(self, found: FirstProbes, now: float) -> None:
        """Log once a minute that this host is too busy for the first probes, and once that all targets have a result."""
        if found.delayed and (self._delayed_at is None or now - self._delayed_at >= DELAYED_SECONDS):
            self._delayed_at, left = now, found.seconds_left
            known = {"without_result": found.missing, "targets": found.targets, "delayed": found.delayed}
            pace = {} if left is None else {"results_per_minute": round(60 * found.pace), "all_in_seconds": round(left)}
            self._logger.warning("first probes are delayed: this host is too busy", extra=fields(**known, **pace))
        elif self._delayed_at is not None and not found.missing:
            self._delayed_at = None
            self._logger.info("all targets have a result", extra=fields(targets=found.targets))

    def unmeasured(self, found: Mapping[str, float], targets: int) -> None:
        """Log once that targets are not measured, and once that all are again. `found` has the share of the time that was lost."""
        if found and not self._has_unmeasured:
            lost = round(max(found.values()), 3)
            extra = fields(not_measured=len(found), targets=targets, time_lost=lost)
            self._logger.warning("not measured: this host is too slow, results are discarded", extra=extra)
        elif self._has_unmeasured and not found:
            self._logger.info("all targets are measured again", extra=fields(targets=targets))
        self._has_unmeasured = bool(found)

    def auxiliary_recorded(self, target: Target, result: AuxiliaryResult) -> None:
        """Log a failed or recovered auxiliary probe; an unknown result changes nothing."""
        unusable = self._unusable.setdefault(target.name, set())
        if result.usable is False and result.identity not in unusable:
            unusable.add(result.identity)
            failure = {} if result.failure is None else step_fields(result.failure)
            self._logger.warning("auxiliary probe failed", extra=fields(**_auxiliary_fields(target, result), **failure))
        elif result.usable and result.identity in unusable:
            unusable.discard(result.identity)
            self._logger.info("auxiliary probe recovered", extra=fields(**_auxiliary_fields(target, result)))
        if not unusable:
            del self._unusable[target.name]

    def record(self, target: Target, report: ProbeReport) -> None:
        """Log what changed with this probe of the target."""
        failure = deciding_failure(report)
        if failure is None:
            self._recovered(target, report)
        else:
            self._failed(target, report, failure)

    def _recovered(self, target: Target, report: ProbeReport) -> None:
        before = self._failing.pop(target.name, None)
        level, message = (logging.DEBUG, "probe succeeded") if before is None else (logging.INFO, "probe succeeded again")
        if not self._logger.isEnabledFor(level):  # the usual case: skip building a line that is not logged
            return
        outage = (
            {} if before is None else {"failed_probes": before.probes, "failed_for": round(report.started_at - before.since, 3)}
        )
        self._logger.log(level, message, extra=fields(**_target_fields(target, report), **outage))

    def _failed(self, target: Target, report: ProbeReport, failure: StepResult) -> None:
        now = report.started_at
        what = (failure.step, failure.code, failure.reason, report.readiness.ready)
        before = self._failing.get(target.name)
        if before is None:
            self._failing[target.name] = _Failing(what, since=now, logged_at=now)
            self._write("probe failed", target, report, failure)
            return
        before.probes += 1
        if before.what != what:
            before.what, before.logged_at, before.unlogged = what, now, 0
            self._write("probe failure changed", target, report, failure, failed_probes=before.probes)
        elif now - before.logged_at >= SUMMARY_SECONDS:
            unlogged, before.logged_at, before.unlogged = before.unlogged + 1, now, 0
            self._write(
                "probe still fails", target, report, failure,
                failed_probes=before.probes, failed_for=round(now - before.since, 3), since_last_line=unlogged,
            )  # fmt: skip
        else:
            before.unlogged += 1
            if self._logger.isEnabledFor(logging.DEBUG):
                self._logger.debug("probe failed again", extra=fields(**_target_fields(target, report), **step_fields(failure)))

    def _write(self, message: str, target: Target, report: ProbeReport, failure: StepResult, **more: Value) -> None:
        level = logging.ERROR if failure.reason is Reason.INTERNAL else logging.WARNING
        self._logger.log(level, message, extra=fields(**_target_fields(target, report), **step_fields(failure), **more))


def _target_fields(target: Target, report: ProbeReport) -> dict[str, Value]:
    return {
        "target": target.name,
        "vault": target.vault,
        "key": target.key,
        "sql_servers": _servers(target),
        "vault_side_ready": report.readiness.ready,
        "duration": round(report.duration, 4),
    }


def _auxiliary_fields(target: Target, result: AuxiliaryResult) -> dict[str, Value]:
    return {
        "target": target.name,
        "vault": result.vault,
        "what": result.kind.value,
        "name": result.name,
        "credential": result.credential,
        "sql_servers": _servers(target),
    }


def _servers(target: Target) -> str | None:
    """Return the declared SQL Servers of the target, each once; None without any."""
    names = list(server_names(target.instances).values())
    return ",".join(names[:_NAMED]) + (",..." if len(names) > _NAMED else "") or None


def step_fields(result: StepResult) -> dict[str, Value]:
    """Return the facts of a failed step as log fields, None for a missing fact. Each fact was masked when it was read."""
    entry = None if result.code is None else BY_CODE.get(result.code)
    labels: dict[str, Value] = {
        "step": result.step.value,
        "code": result.code,
        "counterpart": None if entry is None else entry.counterpart,
        "symbol": None if entry is None else entry.symbol,
        "reason": None if result.reason is None else result.reason.value,
    }
    # A text or sign that says nothing is left out, a number is not.
    known = {shown: getattr(result.facts, name, None) for name, shown in _LOGGED.items()}
    return labels | {shown: None if value == "" or value is False else value for shown, value in known.items()}
