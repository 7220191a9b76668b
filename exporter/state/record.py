"""Record of each target between probes: last report, runs of failures, facts, changes and history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum, StrEnum
from itertools import pairwise, takewhile
from typing import Annotated, Any, Final, NamedTuple, TypeVar

from msgspec import Meta, Struct, convert, json
from msgspec.structs import replace

from exporter.config.settings import Target
from exporter.core.values import Facts, KeyFacts, Outcome, PeerCertificate, Readiness, Step, UnixTime, VaultHeaders, marked
from exporter.knowledge.codes import BY_CODE
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import ProbeReport
from exporter.knowledge.verdict import (
    NO_FAILURE,
    WHY,
    AuxiliaryKind,
    AuxiliaryResult,
    FailedProbe,
    State,
    Unsteady,
    assess_steadiness,
    deciding_failure,
    state_of,
)
from exporter.state.history import History

# Failed probes as the record of a target keeps them, also over a restart.

LETTERS = {State.NOT_READY: "n", State.FAILING: "f", State.UNKNOWN: "u", State.READY: "r"}
_FAILED = LETTERS[State.NOT_READY] + LETTERS[State.FAILING]


class FailureSummary(Struct, frozen=True, gc=False):
    """Summary of a failure that is kept over a restart. `at` is a Unix time."""

    at: UnixTime
    step: str
    code: int | None
    reason: str | None
    http_status: int | None
    request_id: str | None


def failure_summary(report: ProbeReport) -> FailureSummary:
    """Return the summary of a failed probe."""
    failure, (step, code, reason) = deciding_failure(report), failed_probe(report)  # none if nothing succeeded either
    facts = Facts() if failure is None or failure.facts is None else failure.facts
    return FailureSummary(report.started_at, step or "", code, reason, facts.status, facts.request_id)


def failed_among(recent: str) -> int:
    """Return how many of the probes failed, whose states are `recent`."""
    return sum(map(recent.count, _FAILED))


def failed_probe(report: ProbeReport | None) -> FailedProbe:
    """Return what decides a report, if any."""
    failure = None if report is None else deciding_failure(report)
    return NO_FAILURE if failure is None else FailedProbe(failure.step, failure.code, failure.reason)


# Changes between two probes of a target: state, code, reason, region, key version, issuer.

MAX_CHANGES = 20  # changes of one target


class ChangeKind(StrEnum):
    STATE = "state"
    CODE = "code"
    REASON = "reason"
    REGION = "region"
    KEY_VERSION = "key_version"
    NEWEST_VERSION = "newest_version"
    ISSUER = "certificate_issuer"


_VERDICT = (ChangeKind.STATE, ChangeKind.CODE, ChangeKind.REASON)  # the first values that are compared
_VERSIONS = (ChangeKind.KEY_VERSION, ChangeKind.NEWEST_VERSION)


class ObservedChange(Struct, frozen=True, gc=False):
    """One change, found by the probe that began at `at`, a Unix time.

    `subject` is the endpoint of a certificate, else empty. `failure` is the failure after a change of state, code or reason, or the one
    that has ended.
    """

    at: UnixTime
    what: ChangeKind
    before: str
    after: str
    subject: str = ""
    failure: FailedProbe = NO_FAILURE

    @property
    def kind(self) -> tuple[object, ...]:
        """What changes of several targets have in common if they are one; each key has versions of its own."""
        if self.what in _VERSIONS:
            return (self.what,)
        return self.what, self.before, self.after, self.subject, self.failure.code, self.failure.reason


# The failure of a probe, and the values to compare, by what changes and its subject. An empty value is unknown, and no change.
_Observed = tuple[FailedProbe, Mapping[tuple[ChangeKind, str], str]]


STALE_INTERVALS = 3  # a verdict older than this many intervals is unknown
UNMEASURED_INTERVALS = 2  # if this host discards results, a result older than this many intervals is none
SUMMARIES = 10  # failures kept over a restart
RECENT = 40  # states of the last probes

_Result = TypeVar("_Result", ProbeReport, AuxiliaryResult)


class Scope(Enum):
    """What a fact of a record is about. If that is another one now, the fact is dropped, as are those of later scopes."""

    VAULT = "vault"
    KEY = "key"
    RECOVERY_VAULT = "recovery vault"


def subjects(target: Target) -> tuple[str, str, str | None]:
    """Return the vault, the key and the recovery vault of a target: one for each scope."""
    return target.vault, target.key, target.recovery_vault


def same_scopes(before: Sequence[object], target: Target) -> set[Scope]:
    """Return the scopes in which the subjects are still those of the target."""
    return {scope for scope, *_ in takewhile(lambda each: each[1] == each[2], zip(Scope, before, subjects(target), strict=True))}


_VAULT, _KEY, _RECOVERY_VAULT = (Meta(extra={"scope": scope}) for scope in Scope)
_State = Annotated[str, Meta(max_length=RECENT, pattern=f"^[{''.join(LETTERS.values())}]*$")]


class Kept(Struct, kw_only=True):
    """The facts of a record that are kept over a restart, each with what it is about. Times are Unix times, unknown is None."""

    last_success_at: Annotated[UnixTime | None, _VAULT] = None  # when the last good one began
    verdict: Annotated[Readiness | None, _KEY] = None
    verdict_at: Annotated[UnixTime | None, _KEY] = None
    state: Annotated[State | None, _KEY] = None  # of the last probe
    state_since: Annotated[UnixTime | None, _KEY] = None  # when the first probe with this state began
    is_first_seen: Annotated[bool, _KEY] = False  # the state may be older: no result came shortly before `state_since`
    # When the last probe began whose unwrap succeeded, with any configuration: a fact about the key.
    key_unwrapped_at: Annotated[UnixTime | None, _KEY] = None
    recent: Annotated[_State, _KEY] = ""  # the states of the last probes, oldest first, as `LETTERS`
    recent_failures: Annotated[tuple[FailedProbe, ...], _KEY] = ()  # those of `recent` that failed, oldest first
    key: Annotated[KeyFacts | None, _KEY] = None
    vault: Annotated[VaultHeaders, _VAULT] = VaultHeaders()
    # That the vault reported with the last probe that its key proved: no other server can set it.
    region: Annotated[str | None, _VAULT] = None
    tenant: Annotated[str | None, _VAULT] = None
    newest_version: Annotated[str | None, _KEY] = None  # of the key, last known
    proof_at: Annotated[UnixTime | None, _RECOVERY_VAULT] = None  # last successful unwrap in the recovery vault
    purge_at: Annotated[UnixTime | None, _KEY] = None  # time of the permanent deletion of a deleted key
    certificates: Annotated[dict[str, PeerCertificate], _VAULT] = {}  # of vault and Entra, by host:port
    # Tuples: an empty one takes no memory, an empty deque takes 760 bytes in each record of a fleet.
    last_failures: Annotated[tuple[FailureSummary, ...], Meta(max_length=SUMMARIES), _VAULT] = ()  # the newest last
    changes: Annotated[tuple[ObservedChange, ...], Meta(max_length=MAX_CHANGES), _VAULT] = ()  # the newest last


class TargetRecord(Kept):
    """Record of one target. Last known facts are kept while probes fail."""

    target: Target
    history: History
    last: ProbeReport | None = None
    credential: str | None = None  # of the last probe
    probes: int = 0
    failures: int = 0
    consecutive_failures: int = 0
    consecutive_blocking: int = 0  # of those in which a step other than wrap_key failed
    consecutive_unready: int = 0
    last_probe_at: float | None = None  # when the last probe began
    next_probe_at: float | None = None
    # When the first of the ready probes began, without a gap, a restart or another verdict.
    ready_since: Annotated[float | None, _KEY] = None
    # When the last probe that was not ready began, since the start of the exporter.
    not_ready_at: Annotated[float | None, _KEY] = None
    # When the last probe began whose unwrap succeeded, not with another configuration.
    unwrapped_at: Annotated[float | None, _KEY] = None
    discarded: Readiness | None = None  # of the last probe, if its result was discarded
    discarded_since: float | None = None  # when the first probe began whose result was discarded, of those in a row
    auxiliary: dict[tuple[AuxiliaryKind, str, str], AuxiliaryResult] = {}

    def add_report(self, report: ProbeReport) -> None:
        """Add a report. Of a discarded one nothing else is kept here: only the history has it."""
        if report.discarded:
            self.discarded, self.discarded_since = report.readiness, self.discarded_since or report.started_at
            return
        self.discarded = self.discarded_since = None
        before, at, readiness = self._observed(), report.started_at, report.readiness
        self._add_state(report, at, readiness)
        self.last, self.last_probe_at, self.credential = report, at, self.target.credential
        self.verdict, self.verdict_at = readiness, at
        self.probes += 1
        if report.success:
            self.consecutive_failures, self.last_success_at = 0, at
        else:
            self.failures += 1
            self.consecutive_failures += 1
            self.last_failures = (*self.last_failures, failure_summary(report))[-SUMMARIES:]
        # A step other than wrap_key failed: databases open without it.
        blocks = any(result.outcome is Outcome.FAILED and result.step is not Step.WRAP_KEY for result in report.steps)
        self.consecutive_blocking = self.consecutive_blocking + 1 if blocks else 0
        if readiness.ready is False:
            self.consecutive_unready += 1
        elif readiness.ready or report.success:  # a failed probe without a verdict does not change a run
            self.consecutive_unready = 0
        self.key, self.tenant = report.key or self.key, report.tenant or self.tenant
        self.purge_at, self.vault = report.purge_after(self.purge_at), headers_after(self.vault, report)
        self.region = self.vault.region if report.success or readiness.ready else self.region
        for facts in (result.facts for result in report.steps):
            if facts is not None and facts.endpoint is not None and facts.certificate is not None:
                self.certificates[facts.endpoint] = facts.certificate
        self._add_changes(before, at)

    def add_auxiliary(self, result: AuxiliaryResult) -> None:
        """Add the result of one auxiliary probe."""
        before = self._observed()
        self.auxiliary[result.identity] = with_known_key(result, self.key)
        if result.kind is AuxiliaryKind.NEWEST and result.key is not None:
            self.newest_version = result.key.version
        if result.kind is AuxiliaryKind.RECOVERY and result.usable:
            self.proof_at = result.at
        self._add_changes(before, result.at)

    @property
    def staged_usable(self) -> bool | None:
        """Whether the staged credential works; None if that is unknown, or without one."""
        result = self.auxiliary.get((AuxiliaryKind.NEXT, self.target.next_credential or "", self.target.vault))
        return None if result is None else result.usable

    def update_target(self, target: Target) -> None:
        """Apply a changed target; drop facts about another key or recovery vault."""
        same, empty = same_scopes(subjects(self.target), target), TargetRecord(target, self.history)
        for name, scope in FACTS.items():
            if scope not in same:
                setattr(self, name, getattr(empty, name))
        self.target = target

    def invalidate_verdict(self) -> None:
        """Drop the verdict after the configuration changed; the last probe is kept."""
        self.verdict = self.verdict_at = self.ready_since = self.unwrapped_at = None
        if self.last is not None:
            self.last = replace(self.last, readiness=Readiness(ready=None, why="no_probe_yet"))

    def unmeasured_at(self, now: float) -> bool:
        """Whether this host has been too slow for a result, at `now`, a Unix time."""
        since = self.last_probe_at or self.discarded_since
        return self.discarded is not None and since is not None and now - since > UNMEASURED_INTERVALS * self.target.interval

    @property
    def rotation_pending(self) -> bool | None:
        """Whether a newer key version than the pinned one exists; None if unknown."""
        if self.target.key_version is None or self.newest_version is None:
            return None
        return self.newest_version != self.target.key_version

    def _observed(self) -> _Observed:
        failure = failed_probe(self.last)
        values = {
            ChangeKind.STATE: self.state or "",
            ChangeKind.CODE: str(failure.code or ""),
            ChangeKind.REASON: failure.reason or "",
            ChangeKind.REGION: self.vault.region or "",
            ChangeKind.KEY_VERSION: "" if self.key is None else self.key.version,
            ChangeKind.NEWEST_VERSION: self.newest_version or "",
        }
        issuers = {(ChangeKind.ISSUER, endpoint): shown.issuer for endpoint, shown in self.certificates.items()}
        return failure, {(what, ""): str(value) for what, value in values.items()} | issuers

    def _add_changes(self, before: _Observed, at: float) -> None:
        """Add the changes between known values: state, code and reason as one."""
        (ended, known), (failure, values) = before, self._observed()
        changed = [
            ObservedChange(
                at, what, old, value, subject, (failure if failure.step else ended) if what in _VERDICT else NO_FAILURE
            )
            for (what, subject), value in values.items()
            if value and (old := known.get((what, subject))) and old != value
        ]
        verdict = [each for each in changed if each.what in _VERDICT]
        if changed:
            self.changes = (*self.changes, *verdict[:1], *changed[len(verdict) :])[-MAX_CHANGES:]

    def _add_state(self, report: ProbeReport, at: float, readiness: Readiness) -> None:
        """Extend or end the run of ready probes and the present state."""
        if readiness.ready is False:
            self.not_ready_at = at
        if any(result.step is Step.UNWRAP_KEY and result.outcome is Outcome.OK for result in report.steps):
            self.unwrapped_at = self.key_unwrapped_at = at
        # A verdict other than ready ends the run of ready probes, and so does a pause in which one becomes stale.
        if not readiness.ready:
            self.ready_since = None
        elif self.ready_since is None or self.last is None or is_stale_at(self.target, self.last.started_at, at):
            self.ready_since = at
        state, previous = state_of(readiness, success=report.success), self.last_probe_at or self.verdict_at
        if state is not self.state:
            self.is_first_seen = self.state is None or previous is None or is_stale_at(self.target, previous, at)
            self.state, self.state_since = state, at
        self.recent = (self.recent + LETTERS[state])[-RECENT:]
        failures = self.recent_failures
        if LETTERS[state] in _FAILED:  # equal failures in a row are one object, since a fleet keeps thousands
            found = failed_probe(report)
            failures = (*failures, failures[-1] if failures[-1:] == (found,) else found)
        self.recent_failures = failures[len(failures) - failed_among(self.recent) :]


# The scope of each fact of a record.
FACTS: Final[dict[str, Scope]] = marked(TargetRecord, "scope")


def unsteady_at(record: TargetRecord | None, now: float) -> Unsteady | None:
    """Return how unsteady a target is that is ready at `now`, a Unix time; None for any other target."""
    if record is None or record.last is None or record.state is not State.READY or not record.recent_failures:
        return None
    if not readiness_at(record.target, record, now).ready:
        return None
    runs = sum(later in _FAILED and letter not in _FAILED for letter, later in pairwise(" " + record.recent))
    return assess_steadiness(record.recent_failures, len(record.recent), runs)


def is_stale_at(target: Target, at: float, now: float) -> bool:
    """Whether a probe that began at `at` is too old at `now`, both Unix times."""
    return now - at > STALE_INTERVALS * target.interval


def readiness_at(target: Target, record: TargetRecord | None, now: float) -> Readiness:
    """Return the verdict at `now`, a Unix time: unknown without a result, or if the last result is too old."""
    if record is not None and record.discarded is not None and record.unmeasured_at(now):
        return record.discarded
    if record is None or record.last is None:
        return Readiness(ready=None, why="no_probe_yet")
    return Readiness(ready=None, why="stale") if is_stale_at(target, record.last.started_at, now) else record.last.readiness


def with_known_key(result: _Result, key: KeyFacts | None) -> _Result:
    """Return the result with the known object of an equal key: a fleet keeps one key for each target, not three."""
    return replace(result, key=key) if result.key is not key and result.key == key else result


def headers_after(known: VaultHeaders, report: ProbeReport) -> VaultHeaders:
    """Return the last known vault headers after a report: a missing one keeps its last value."""
    for result in report.steps:
        headers = None if result.facts is None or result.step is Step.TOKEN else result.facts.vault
        if headers is not None and headers != known:
            known = VaultHeaders(
                region=headers.region or known.region,
                service_version=headers.service_version or known.service_version,
                connection=headers.connection or known.connection,
            )
    return known


# When a failure began and ended, as far as the records of a target show it.

ENDED_SECONDS: Final = 3600.0  # for which a page shows that a failure has ended


def beginning_of(record: TargetRecord, at: float, *, unsteady: bool) -> tuple[float, bool]:
    """Return when the failure of a target began, whose last probe began at `at`; of an unsteady one, the first of the recent ones.

    That is a Unix time, and whether no result came shortly before it: the failure may be older.
    """
    if not unsteady:
        return (at, True) if record.state_since is None else (record.state_since, record.is_first_seen)
    first = next((place for place, letter in enumerate(record.recent) if letter in _FAILED), 0)
    failed = failed_among(record.recent)
    if failed <= len(record.last_failures):
        return record.last_failures[-failed].at, first == 0
    return at - (len(record.recent) - 1 - first) * record.target.interval, first == 0


class Ended(NamedTuple):
    """The last failure of a target that is ready again. `began` and `at` are Unix times: the first failed probe, the first ready one."""

    step: Step
    reason: Reason | None
    began: float
    at: float


def ended_at(record: TargetRecord | None, now: float) -> Ended | None:
    """Return the failure that ended within the last hour before `now`; None without one, and for an unsteady target."""
    if record is None or record.state is not State.READY or record.state_since is None:
        return None
    before = record.recent.rstrip(LETTERS[State.READY])
    at, run = record.state_since, len(before) - len(before.rstrip(_FAILED))  # failed in a row, just before the ready ones
    if not run or now - at > ENDED_SECONDS or unsteady_at(record, now) is not None:
        return None
    step, _, reason = record.recent_failures[-1]
    if step is None:
        return None
    began = record.last_failures[-run].at if run <= len(record.last_failures) else _began(record, at, run)
    return Ended(step, reason, began, at)


def _began(record: TargetRecord, ended: float, run: int) -> float:
    """Return when a run of more failures than are kept began: with its change of state, or as many intervals before its end."""
    changed = (each.at for each in reversed(record.changes) if each.what is ChangeKind.STATE and each.before == State.READY)
    return next(changed, ended - run * record.target.interval)


# The document of a target that the state directory keeps, and back. It names the vault and the keys that its facts are about, because
# the configuration may change while the exporter is down. Counters are left out: Prometheus expects them to start at 0.


class DamagedError(ValueError):
    """The document is not one that `snapshot` made."""


class _Document(Struct):
    subjects: tuple[str, str, str | None]
    facts: Kept


def snapshot(record: TargetRecord) -> dict[str, Any]:
    """A document of values that `msgspec` encodes as JSON."""
    return {
        "subjects": subjects(record.target),
        "facts": Kept(**{name: getattr(record, name) for name in Kept.__struct_fields__}),
    }


def restore(record: TargetRecord, document: Mapping[str, Any]) -> None:
    """Restore facts about the same vault and key into a record without a probe. Raises DamagedError, and then changes nothing."""
    try:
        found = convert(document, _Document)
        json.encode(found)  # a lone surrogate cannot be printed
    except (ValueError, RecursionError) as error:  # of msgspec too; its text may hold the value
        raise DamagedError(f"is damaged ({type(error).__name__})") from None
    _check(found.facts)
    same = same_scopes(found.subjects, record.target)
    for name in Kept.__struct_fields__:
        if FACTS[name] in same:
            setattr(record, name, getattr(found.facts, name))


def _check(facts: Kept) -> None:
    """Raise DamagedError for states of other failures, and for a code or verdict of another version that no page can explain."""
    failed = (*facts.recent_failures, *(each.failure for each in facts.changes))
    codes = {*(each.code for each in failed), *(each.code for each in facts.last_failures)} - {None}
    is_shown = facts.verdict is None or (facts.verdict.why in WHY and facts.verdict.stolen is None)  # a discarded one is not kept
    if len(facts.recent_failures) != failed_among(facts.recent) or not codes <= BY_CODE.keys() or not is_shown:
        raise DamagedError("is damaged (states, codes or verdict)")
