"""The rule behind `ekm_vault_side_ready`, and what else follows from the results of a target: unsteadiness and auxiliary probes.

The verdict is whether SQL Server could open its databases, as far as a probe shows. A probe cannot test the SQL Server host
itself: its secret, proxy, registry and DLL.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from msgspec import Struct

from exporter.core.durations import moment
from exporter.core.values import Facts, Fault, Generation, KeyFacts, Mode, Outcome, Readiness, Step, Vantage
from exporter.knowledge.classify import classify
from exporter.knowledge.codes import generation_code
from exporter.knowledge.reason_row import Refused, Reply
from exporter.knowledge.reasons import Reason, refusing
from exporter.knowledge.report import ProbeReport, StepResult

TOO_SLOW = "this host is too slow"
# `why` of a Readiness, with its text.
WHY: Mapping[str, str] = {
    "ready": "got a token, read the pinned key version and unwrapped with it",
    "not_ready": "a step that SQL Server needs for backups, virtual log files (VLF) and starts failed",
    "version_not_pinned": "the configuration names no key version; write key: NAME/VERSION to get a verdict",
    "canary": "mode canary uses its own identity and key, not those of SQL Server",
    "read_only": "mode read_only never unwraps, so its verdict can be not ready but never ready",
    "identity_of_another_host": "a managed identity belongs to its host, and this exporter runs on another host",
    "not_tested": "the last probe did not get as far as the unwrap",
    "other_module": "the probe used another module than the target's own, so SQL Server's network path was not tested",
    "scrape_timeout": "the scrape timeout ended the probe, so the vault was not tested",
    "exporter_fault": "the exporter itself failed or cannot read its secret file, so the vault was not tested",
    "not_measured": f"not measured: {TOO_SLOW}",
    "stale": "the last probe is older than three intervals",
    "no_probe_yet": "no probe has finished yet with the current configuration",
}
# What no probe can test; shown with every verdict.
NOT_TESTED = "the secret inside SQL Server, the service account's proxy, Windows' TLS, registry and DLL"
NEEDED = (Step.CHALLENGE, Step.TOKEN, Step.GET_KEY, Step.UNWRAP_KEY)


class State(StrEnum):
    """State of a target, the most urgent first."""

    NOT_READY = "not_ready"
    FAILING = "failing"
    UNKNOWN = "unknown"
    READY = "ready"


# The legend of the pages.
STATES: Mapping[State, str] = {
    State.NOT_READY: "a step failed that SQL Server needs to open databases, to start virtual log files (VLF) and to make backups",
    State.FAILING: "a step failed, but databases open without it, or the probe gives no verdict",
    State.UNKNOWN: "nothing failed, but there is no verdict: not probed yet, not probed for three intervals, or not testable from here",
    State.READY: "a token, the pinned key version and an unwrap with it succeeded",
}


def state_of(readiness: Readiness, *, success: bool | None) -> State:
    """Return the state of a verdict; `success` is None without a probe."""
    if readiness.ready is False:
        return State.NOT_READY
    if success is False:
        return State.FAILING
    return State.READY if readiness.ready else State.UNKNOWN


def assess(
    steps: Sequence[StepResult],
    *,
    pinned: bool,
    mode: Mode,
    managed_identity: bool,
    vantage: Vantage,
    unwrapped: bool | None,
    own_module: bool = True,
) -> Readiness:
    """Return the verdict of one probe.

    A failed wrap alone does not change it: databases open by unwrap. `unwrapped` is whether the pinned version returned the
    same bytes, in this probe or in the last round trip; None if it was never tried. `own_module`: the probe used the module
    of the target.
    """
    if not own_module:
        return Readiness(ready=None, why="other_module")
    if mode is Mode.CANARY:
        return Readiness(ready=None, why="canary")
    if not pinned:
        return Readiness(ready=None, why="version_not_pinned")
    if managed_identity and vantage is Vantage.CENTRAL:
        return Readiness(ready=None, why="identity_of_another_host")
    failed = [result for result in steps if result.step in NEEDED and result.outcome is Outcome.FAILED]
    if failed and all(result.reason is not None and result.reason.row.reply is Reply.NOT_TESTED for result in failed):
        cut = any(result.reason is Reason.SCRAPE_TIMEOUT for result in failed)
        return Readiness(ready=None, why="scrape_timeout" if cut else "exporter_fault")
    if unwrapped is False or failed:
        return Readiness(ready=False, why="not_ready")
    if mode is Mode.READ_ONLY:
        return Readiness(ready=None, why="read_only")
    return Readiness(ready=True, why="ready") if unwrapped else Readiness(ready=None, why="not_tested")


def deciding_failure(report: ProbeReport) -> StepResult | None:
    """Return the failed step that decides the verdict, else the first failed step; none of a discarded result."""
    if report.discarded:
        return None
    failed = [result for result in report.steps if result.outcome is Outcome.FAILED]
    needed = [result for result in failed if result.step in NEEDED] if report.readiness.ready is False else []
    return next(iter(needed or failed), None)


def vantage_text(vantage: Vantage) -> str:
    """Return the vantage as text, which belongs to every verdict."""
    return "seen from the SQL host" if vantage is Vantage.SQL_HOST else "seen from a central host"


def why_text(readiness: Readiness) -> str:
    """Return the cause of a verdict as text."""
    return WHY[readiness.why] + _share(readiness)


def discarded_text(readiness: Readiness) -> str:
    """Return the result of a discarded probe as text."""
    return f"discarded: {TOO_SLOW}{_share(readiness)}"


def _share(readiness: Readiness) -> str:
    return "" if readiness.stolen is None else f" ({100 * readiness.stolen:.0f} % of the time lost)"


def readiness_text(readiness: Readiness, vantage: Vantage) -> str:
    """Return the verdict as text: `vault side ready, seen from the SQL host`.

    The text of an unknown verdict includes its cause.
    """
    seen = vantage_text(vantage)
    if readiness.ready is None:
        return f"vault side unknown, {seen}: {why_text(readiness)}"
    return f"vault side {'ready' if readiness.ready else 'not ready'}, {seen}"


# Unsteady: a target that is ready now, although it failed several times, with a success in between.

# Failed probes among the last ones, at least. One lost packet fails one probe, and a restart of a proxy or a moved address
# fails the two that it meets. The third failure shows that the cause comes back or lasted.
FAILURES_OF_UNSTEADY: Final = 3
# Runs of failures, at least: after a single one, the failure has ended.
RUNS_OF_UNSTEADY: Final = 2


class FailedProbe(NamedTuple):
    """What a failed probe showed: the deciding step, its code and its reason. Without a failed step, all are None."""

    step: Step | None
    code: int | None
    reason: Reason | None


NO_FAILURE: Final = FailedProbe(None, None, None)


class Unsteady(Struct, frozen=True, kw_only=True, gc=False):
    """The failed probes among the last `probes` ones. `most` is the most frequent failure, which `alike` of them have."""

    failed: int
    probes: int
    most: FailedProbe
    alike: int

    def __str__(self) -> str:
        last = f"of the last {self.probes} probes"
        if self.most.code is None:
            return f"unsteady: {self.failed} {last} failed"
        if self.alike == self.failed:
            return f"unsteady: {self.most.code} in {self.failed} {last}"
        return f"unsteady: {self.failed} {last} failed, {self.alike} with {self.most.code}"


def assess_steadiness(failed: Sequence[FailedProbe], probes: int, runs: int) -> Unsteady | None:
    """Return how unsteady a ready target is; None if it is steady.

    `failed` are the failures of its last `probes` probes, in `runs` runs.
    """
    if len(failed) < FAILURES_OF_UNSTEADY or runs < RUNS_OF_UNSTEADY:
        return None
    most, alike = Counter(reversed(failed)).most_common(1)[0]  # of equally frequent ones, the latest
    return Unsteady(failed=len(failed), probes=probes, most=most, alike=alike)


def broken_report(target: str, generation: Generation, *, started_at: float, duration: float, exception: str) -> ProbeReport:
    """Return the report of a probe that an internal error ended, without a verdict: an error inside one step fails that step only.

    The first step failed with reason `internal`, the others are skipped.
    """
    facts = Facts(fault=Fault.INTERNAL, exception=exception)
    classification = classify(Step.CHALLENGE, facts)
    first = StepResult(
        step=Step.CHALLENGE,
        outcome=Outcome.FAILED,
        code=generation_code(classification.code, generation),
        reason=classification.reason,
        facts=facts,
    )
    others = (StepResult(step=step, outcome=Outcome.SKIPPED) for step in Step if step is not Step.CHALLENGE)
    return ProbeReport(
        target=target,
        started_at=started_at,
        duration=duration,
        steps=(first, *others),
        readiness=Readiness(ready=None, why="exporter_fault"),
    )


# Auxiliary probes: kinds, results, and the rule usable or not usable. None changes the verdict of the target.


class AuxiliaryKind(StrEnum):
    """What an auxiliary probe tests."""

    NEXT = "next"  # the staged credential, through the whole round trip
    RETAINED = "retained"  # a key version that old backups need
    RECOVERY = "recovery"  # the vault that holds the restored key
    NEWEST = "newest"  # which version of the key is the newest


Identity = tuple[AuxiliaryKind, str, str]  # its kind, its name, the vault

# Entra or the connector refuses the credential. After any other failure, it may still be valid.
CREDENTIAL_REFUSED = refusing(Refused.CREDENTIAL, Refused.EXPIRED_CREDENTIAL)
# The vault refuses the caller.
CALLER_REFUSED = refusing(Refused.TOKEN, Refused.PERMISSION)
# The vault refuses the key: missing, not active, or another key than the one that encrypted the bytes.
KEY_REFUSED = refusing(Refused.KEY, Refused.KEY_STATE)


class AuxiliaryResult(Struct, frozen=True, kw_only=True, gc=False):
    """The result of one auxiliary probe.

    `at` is a Unix time. `usable` is None if unknown or not tested in this mode. `name` is unique among those of one target:
    the credential's name, the key version as NAME/VERSION, the recovery vault's host, or the key's name. `key` is the key
    version that was read.
    """

    kind: AuxiliaryKind
    name: str
    vault: str
    credential: str
    at: float
    usable: bool | None
    steps: tuple[StepResult, ...]
    key: KeyFacts | None = None

    @property
    def failure(self) -> StepResult | None:
        """The first failed step that counts."""
        return first_failure(self.kind, self.steps)

    @property
    def identity(self) -> Identity:
        """Equal for all auxiliary probes of the same credential, version or vault."""
        return self.kind, self.name, self.vault


def first_failure(kind: AuxiliaryKind, steps: Sequence[StepResult]) -> StepResult | None:
    """Return the first failed step that counts for this auxiliary probe.

    A refused wrap only counts for a staged credential, and only if the caller is refused: an expired key does not wrap either.
    """
    return next((result for result in steps if result.outcome is Outcome.FAILED and _counts(kind, result)), None)


def assess_auxiliary(
    kind: AuxiliaryKind, steps: Sequence[StepResult], key: KeyFacts | None = None, *, at: float = 0.0
) -> bool | None:
    """Return whether the tested credential, version or vault is usable, or None. `key` was read at `at`, a Unix time."""
    failure = first_failure(kind, steps)
    if failure is not None:
        refused = CREDENTIAL_REFUSED | CALLER_REFUSED | (frozenset() if kind is AuxiliaryKind.NEXT else KEY_REFUSED)
        return False if failure.reason in refused else None
    if kind is AuxiliaryKind.NEWEST and version_fault(key, at):
        return False
    last = Step.GET_KEY if kind is AuxiliaryKind.NEWEST else Step.UNWRAP_KEY
    return True if any(result.step is last and result.outcome is Outcome.OK for result in steps) else None


def version_fault(key: KeyFacts | None, at: float) -> str:
    """Return why a key version that was read cannot be used at a Unix time; empty if it can, or if none was read."""
    if key is None:
        return ""
    if key.enabled is False:
        return "the version is disabled"
    if key.expires is not None and key.expires <= at:
        return f"the version expired at {moment(key.expires)}"
    if key.not_before is not None and key.not_before > at:
        return f"the version is not valid before {moment(key.not_before)}"
    return ""


def _counts(kind: AuxiliaryKind, result: StepResult) -> bool:
    return result.step is not Step.WRAP_KEY or (kind is AuxiliaryKind.NEXT and result.reason in CALLER_REFUSED)
