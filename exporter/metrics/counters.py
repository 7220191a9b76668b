"""Counters and histograms of one target."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from exporter.config.settings import Module, Target
from exporter.core.codes import generation_code
from exporter.core.faults import Fault
from exporter.core.model import Mode, Outcome, ProbeReport, Step, StepResult
from exporter.metrics.definitions import COUNTED, PATH_PARTS, STEP_BUCKETS
from exporter.metrics.native_histogram import NativeHistogram
from exporter.metrics.text_format import Sample
from exporter.state.records import TargetRecord

_THROTTLED: Final = int(HTTPStatus.TOO_MANY_REQUESTS)


def steps_of(module: Module) -> tuple[Step, ...]:
    """Return the steps that a probe in the mode of the module can run."""
    return (Step.CHALLENGE, Step.TOKEN, Step.GET_KEY) if module.mode is Mode.READ_ONLY else tuple(Step)


@dataclass(slots=True)
class Durations:
    """One histogram: a sum in seconds, and counts in classic and native buckets.

    Counts are not cumulative; the last one is above all bounds.
    """

    bounds: tuple[float, ...] = STEP_BUCKETS
    counts: array[int] = field(init=False)
    total: float = 0.0
    native: NativeHistogram = field(default_factory=NativeHistogram)

    def __post_init__(self) -> None:
        self.counts = array("I", [0] * (len(self.bounds) + 1))

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds
        self.native.observe(seconds)


class TargetCounters:
    """The counters of one target.

    `expect` creates those that must exist at 0 before the first probe. `bounds` are the buckets of the step durations.
    """

    def __init__(self, bounds: tuple[float, ...] = STEP_BUCKETS) -> None:
        self.bounds = bounds
        self.both_verdicts = True  # whether a probe can be ready as well as not ready: in mode read_only it cannot
        self.probes = 0
        self.failures = 0
        self.verdicts = {"ready": 0, "not_ready": 0}
        self.errors: dict[tuple[Step, int], int] = {}
        self.throttled: dict[Step, int] = {}
        self.durations: dict[Step, Durations] = {}
        self.path_changes: dict[str, int] = dict.fromkeys(PATH_PARTS, 0)
        self.path: dict[str, str | None] = {}

    def expect(self, target: Target, module: Module) -> None:
        """Add missing counters at 0; existing ones keep their values after a reload."""
        self.both_verdicts = module.mode is not Mode.READ_ONLY
        for step in steps_of(module):
            self.throttled.setdefault(step, 0)
            self.durations.setdefault(step, Durations(self.bounds))
            for code, steps in COUNTED:
                if step in steps:
                    self.errors.setdefault((step, generation_code(code, target.generation)), 0)

    def add(self, report: ProbeReport, *, maintenance: bool = False) -> None:
        """Count one report; a discarded one counts only its 429 responses."""
        for result in report.steps:
            if is_throttled(result):
                self.throttled[result.step] = self.throttled.get(result.step, 0) + 1
        if report.discarded:
            return
        self.probes += 1
        self.failures += not report.success
        if report.readiness.ready is not None and self.both_verdicts and not maintenance:
            self.verdicts["ready" if report.readiness.ready else "not_ready"] += 1
        for result in report.steps:
            self._add_step(result)

    def _add_step(self, result: StepResult) -> None:
        if result.outcome is Outcome.SKIPPED:
            return
        if result.code is not None:
            pair = (result.step, result.code)
            self.errors[pair] = self.errors.get(pair, 0) + 1
        if not result.shared and not result.disturbed:
            if result.step not in self.durations:
                self.durations[result.step] = Durations(self.bounds)
            self.durations[result.step].observe(result.duration)

    def path_after(self, record: TargetRecord) -> None:
        """Count the parts of the network path that changed since the last report."""
        before, self.path = self.path, path_of(record)
        for part, value in self.path.items():
            self.path_changes[part] += before.get(part) not in (None, value)

    def sums(self) -> tuple[int, ...]:
        """Return the sum of each family of `SAMPLES`."""
        counted = (self.verdicts, self.errors, self.throttled, self.path_changes)
        return (self.probes, self.failures, *[sum(counts.values()) for counts in counted])


# The samples of all counter families, in the order of `TargetCounters.sums`.
SAMPLES: Final[Mapping[str, Callable[[TargetCounters], list[Sample]]]] = {
    "ekm_probes_total": lambda of: [((), of.probes)],
    "ekm_probe_failures_total": lambda of: [((), of.failures)],
    "ekm_probe_verdicts_total": lambda of: [((("verdict", verdict),), count) for verdict, count in of.verdicts.items()],
    "ekm_errors_total": lambda of: [((("code", str(code)), ("step", step)), count) for (step, code), count in of.errors.items()],
    "ekm_throttled_total": lambda of: [((("step", step),), count) for step, count in of.throttled.items()],
    "ekm_path_changes_total": lambda of: [((("what", what),), count) for what, count in of.path_changes.items()],
}


def path_of(record: TargetRecord) -> dict[str, str | None]:
    """Return the last known network path to the vault, by part."""
    vault = record.target.vault
    certificate = record.certificates.get(vault if ":" in vault else f"{vault}:443")
    issuer = None if certificate is None else certificate.issuer
    return dict(zip(PATH_PARTS, (record.vault.region, record.vault.connection, issuer), strict=True))


def is_throttled(result: StepResult) -> bool:
    """Return whether the endpoint responded to this probe with 429.

    A proxy or a shared token does not count.
    """
    facts = result.facts
    return facts is not None and facts.status == _THROTTLED and facts.fault is not Fault.PROXY_STATUS and not result.shared
