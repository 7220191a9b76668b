"""Counters and histograms of one target, the share of each vault's published request limit in use, and who uses a shared series.

The requests of other clients are unknown. The limits are in `core.limits`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any, Final

from exporter.config.settings import Module, Target
from exporter.core.limits import WINDOW_SECONDS
from exporter.core.values import OPERATIONS, Fault, KeyFacts, Mode, Outcome, Step, has_limits, operation_limit
from exporter.knowledge.codes import generation_code
from exporter.knowledge.report import ProbeReport, StepResult
from exporter.metrics.protobuf import NativeHistogram
from exporter.metrics.spec import Level, SeriesScope
from exporter.metrics.text import Labels
from exporter.state.record import TargetRecord

# A healthy vault responds in tens of milliseconds; 1 s is slow, 5 s is the service's published limit, 30 s the longest timeout.
# Each bound with the lowest level that has it: the alert on latency counts 1 s and 5 s.
STEP_BOUNDS: Final = (
    (0.005, Level.FULL),
    (0.025, Level.DEFAULT),
    (0.1, Level.DEFAULT),
    (0.25, Level.FULL),
    (0.5, Level.DEFAULT),
    (1.0, Level.MINIMAL),
    (2.5, Level.FULL),
    (5.0, Level.MINIMAL),
    (10.0, Level.FULL),
    (30.0, Level.FULL),
)
STEP_BUCKETS: Final = tuple(bound for bound, _ in STEP_BOUNDS)

# The most frequent (code, step) pairs, in classic numbers. Each exists at 0 from the start, so that `increase` in rules and dashboards
# includes the first error. Any other pair appears with its first error. `ekm_throttled_total` counts the 429 responses of every step.
COUNTED: Final[tuple[tuple[int, tuple[Step, ...]], ...]] = (
    (3011, (Step.GET_KEY, Step.WRAP_KEY, Step.UNWRAP_KEY)),
    (3077, (Step.GET_KEY, Step.WRAP_KEY, Step.UNWRAP_KEY)),
)
# The label `what` of ekm_path_changes_total: the parts of the network path that can change.
PATH_PARTS: Final = ("region", "connection", "tls_issuer")
SLOTS: Final = 6  # of ten seconds each, in a minute
# Labels that all targets share.
STEP_LABELS: Final[Mapping[Step, Labels]] = {step: (("step", step),) for step in Step}
_VERDICTS: Final[Mapping[bool, Labels]] = {True: (("verdict", "ready"),), False: (("verdict", "not_ready"),)}
_PATH_CHANGES: Final[Mapping[str, Labels]] = {part: (("what", part),) for part in PATH_PARTS}


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
    """The counters of one target, by their labels.

    `expect` creates those that must exist at 0 before the first probe. `bounds` are the buckets of the step durations.
    """

    def __init__(self, bounds: tuple[float, ...] = STEP_BUCKETS) -> None:
        self.bounds = bounds
        self.both_verdicts = True  # whether a probe can be ready as well as not ready: in mode read_only it cannot
        self.probes: int = 0
        self.failures: int = 0
        self.unsteady: int = 0
        self.verdicts: dict[Labels, int] = dict.fromkeys(_VERDICTS.values(), 0)
        self.errors = defaultdict[Labels, int](int)
        self.throttled = defaultdict[Labels, int](int)
        self.durations = defaultdict[Labels, Durations](partial(Durations, bounds))
        self.path_changes: dict[Labels, int] = dict.fromkeys(_PATH_CHANGES.values(), 0)
        self.path: dict[str, str | None] = {}

    def expect(self, target: Target, module: Module) -> None:
        """Add missing counters at 0; existing ones keep their values after a reload."""
        self.both_verdicts = module.mode is not Mode.READ_ONLY
        for step in Step if self.both_verdicts else (Step.CHALLENGE, Step.TOKEN, Step.GET_KEY):
            self.throttled.setdefault(STEP_LABELS[step], 0)
            self.durations.setdefault(STEP_LABELS[step], Durations(self.bounds))
            for code, steps in COUNTED:
                if step in steps:
                    self.errors.setdefault(_error_labels(step, generation_code(code, target.generation)), 0)

    def add(self, report: ProbeReport, record: TargetRecord, *, maintenance: bool = False, unsteady: bool = False) -> None:
        """Count one report, which `record` includes; a discarded one counts only its 429 responses.

        `unsteady` is whether it failed without a page.
        """
        for result in report.steps:
            if is_throttled(result):
                self.throttled[STEP_LABELS[result.step]] += 1
        if report.discarded:
            return
        self.probes += 1
        self.failures += not report.success
        self.unsteady += unsteady and not maintenance
        if report.readiness.ready is not None and self.both_verdicts and not maintenance:
            self.verdicts[_VERDICTS[report.readiness.ready]] += 1
        for result in report.steps:
            if result.outcome is Outcome.SKIPPED:
                continue
            if result.code is not None:
                self.errors[_error_labels(result.step, result.code)] += 1
            if not result.shared and not result.disturbed:
                self.durations[STEP_LABELS[result.step]].observe(result.duration)
        before, self.path = self.path, path_of(record)
        for part, value in self.path.items():
            self.path_changes[_PATH_CHANGES[part]] += before.get(part) not in (None, value)


@lru_cache(maxsize=1024)
def _error_labels(step: Step, code: int) -> Labels:
    """Return labels that all targets share."""
    return ("code", str(code)), ("step", step)


def path_of(record: TargetRecord) -> dict[str, str | None]:
    """Return the last known network path to the vault, by part."""
    vault = record.target.vault
    certificate = record.certificates.get(vault if ":" in vault else f"{vault}:443")
    issuer = None if certificate is None else certificate.issuer
    return dict(zip(PATH_PARTS, (record.vault.region, record.vault.connection, issuer), strict=True))


def is_throttled(result: StepResult) -> bool:
    """Return whether the endpoint responded to this probe with 429. A proxy or a shared token does not count."""
    facts = result.facts
    return (
        facts is not None
        and facts.status == HTTPStatus.TOO_MANY_REQUESTS
        and facts.fault is not Fault.PROXY_STATUS
        and not result.shared
    )


def share_of(vault: str, steps: Iterable[StepResult], key: KeyFacts | None) -> float:
    """Return the share of a vault's ten-second limit that these steps used.

    Responses with 429 do not count against the limit. A key that was never read has the lowest limit, as in `check`.
    """
    size: dict[str, Any] = {} if key is None else {"hardware": key.kty.endswith("-HSM"), "size_bits": key.size_bits}
    return sum(
        (2 if result.facts is not None and result.facts.resent else 1) / operation_limit(result.step, vault, **size)
        for result in steps
        if result.step in OPERATIONS and result.sent and not is_throttled(result)
    )


class Budgets:
    """Usage of the vaults with published limits in the last minute, in slots of ten seconds.

    Each method returns the changed ratios by vault: the largest share of a slot, 0 without requests. All times are Unix times.
    """

    def __init__(self) -> None:
        self._slots: dict[str, dict[int, float]] = {}
        self._shown: dict[str, float] = {}
        self._swept: int | None = None

    def add(self, vault: str, at: float, steps: Iterable[StepResult], key: KeyFacts | None, *, now: float) -> dict[str, float]:
        """Count requests in the slot of `at`, the time of the first one; they ended at `now`."""
        if vault not in self._slots and not has_limits(vault):
            return {}
        slots = self._slots.setdefault(vault, {})
        slots[_slot(at)] = slots.get(_slot(at), 0.0) + share_of(vault, steps, key)
        return self._changed([vault], now)

    def sweep(self, now: float) -> dict[str, float]:
        """Update the ratios for `now`. They change once per slot, so most calls return at once."""
        if self._swept == _slot(now):
            return {}
        self._swept = _slot(now)
        return self._changed(self._slots, now)

    def forget(self, vault: str) -> None:
        self._slots.pop(vault, None)
        self._shown.pop(vault, None)

    def _changed(self, vaults: Iterable[str], now: float) -> dict[str, float]:
        changed = {}
        for vault in vaults:
            # Compare in both directions: after a clock was set back, old slots lie in the future.
            slots = {slot: share for slot, share in self._slots[vault].items() if abs(slot - _slot(now)) < SLOTS}
            self._slots[vault], ratio = slots, max(slots.values(), default=0.0)
            if self._shown.get(vault) != ratio:
                changed[vault] = self._shown[vault] = ratio
        return changed


def _slot(at: float) -> int:
    return int(at // WINDOW_SECONDS)


class SeriesOwners:
    """Which targets use a credential, vault or endpoint."""

    def __init__(self) -> None:
        self._owners: dict[tuple[str, SeriesScope], tuple[str, ...]] = {}
        self._targets = Counter[tuple[SeriesScope, str]]()

    def add(self, target: str, scope: SeriesScope, owner: str) -> None:
        owners = self._owners.get((target, scope), ())
        if owner not in owners:
            self._owners[target, scope] = (*owners, owner)
            self._targets[scope, owner] += 1

    def replace(self, target: str, scope: SeriesScope, owners: Iterable[str]) -> list[str]:
        """Replace the owners of a target in one scope; return the owners without a target."""
        old = self._owners.pop((target, scope), ())
        for owner in owners:
            self.add(target, scope, owner)
        for owner in old:
            self._targets[scope, owner] -= 1
        unused = sorted(owner for owner in old if not self._targets[scope, owner])
        for owner in unused:
            del self._targets[scope, owner]
        return unused
