"""Changes between two probes of a target: state, code, reason, region, key version, issuer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from exporter.core.steadiness import NO_FAILURE, FailedProbe

MAX_CHANGES = 20  # changes of one target


class ChangeKind(StrEnum):
    STATE = "state"
    CODE = "code"
    REASON = "reason"
    REGION = "region"
    KEY_VERSION = "key_version"
    NEWEST_VERSION = "newest_version"
    ISSUER = "certificate_issuer"


_VERSIONS = (ChangeKind.KEY_VERSION, ChangeKind.NEWEST_VERSION)


@dataclass(frozen=True, slots=True)
class ObservedChange:
    """One change, found by the probe that began at `at`, a Unix time.

    `subject` is the endpoint of a certificate, else empty. `failure` is the failure after a change of state, code or reason, or the one
    that has ended.
    """

    at: float
    what: ChangeKind
    before: str
    after: str
    subject: str = ""
    failure: FailedProbe = NO_FAILURE

    @property
    def kind(self) -> tuple[object, ...]:
        """What changes of several targets have in common if they are one; each key has versions of its own."""
        versions = self.what in _VERSIONS
        return (
            (self.what,)
            if versions
            else (self.what, self.before, self.after, self.subject, self.failure.code, self.failure.reason)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedState:
    """The values to compare. An empty value is unknown, and no change."""

    state: str = ""
    failure: FailedProbe = NO_FAILURE
    region: str = ""
    key_version: str = ""
    newest_version: str = ""
    issuers: Mapping[str, str] = field(default_factory=dict)


def differences(before: ObservedState, after: ObservedState, at: float) -> Iterator[ObservedChange]:
    """Yield the changes between known values: state, code and reason as one."""
    failure = before.failure if after.failure == NO_FAILURE else after.failure
    verdict = (
        (ChangeKind.STATE, before.state, after.state),
        (ChangeKind.CODE, str(before.failure.code or ""), str(after.failure.code or "")),
        (ChangeKind.REASON, before.failure.reason or "", after.failure.reason or ""),
    )
    facts = (
        (ChangeKind.REGION, before.region, after.region),
        (ChangeKind.KEY_VERSION, before.key_version, after.key_version),
        (ChangeKind.NEWEST_VERSION, before.newest_version, after.newest_version),
    )
    yield from (ObservedChange(at, *each, failure=failure) for each in [*_changed(verdict)][:1])
    yield from (ObservedChange(at, *each) for each in _changed(facts))
    for endpoint, issuer in after.issuers.items():
        old = before.issuers.get(endpoint, issuer)
        if old != issuer:
            yield ObservedChange(at, ChangeKind.ISSUER, old, issuer, endpoint)


def _changed(pairs: Iterable[tuple[ChangeKind, str, str]]) -> Iterator[tuple[ChangeKind, str, str]]:
    return (each for each in pairs if each[1] and each[2] and each[1] != each[2])
