"""Changes between two probes of a target: state, code, region, key version, issuer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

MAX_CHANGES = 20  # changes of one target


class ChangeKind(StrEnum):
    STATE = "state"
    CODE = "code"
    REGION = "region"
    KEY_VERSION = "key_version"
    NEWEST_VERSION = "newest_version"
    ISSUER = "certificate_issuer"


@dataclass(frozen=True, slots=True)
class ObservedChange:
    """One change, found by the probe that began at `at`, a Unix time.

    `subject` is the endpoint of a certificate, else empty.
    """

    at: float
    what: ChangeKind
    before: str
    after: str
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedState:
    """The values to compare. An empty value is unknown, and no change."""

    state: str = ""
    code: str = ""
    region: str = ""
    key_version: str = ""
    newest_version: str = ""
    issuers: Mapping[str, str] = field(default_factory=dict)


def differences(before: ObservedState, after: ObservedState, at: float) -> Iterator[ObservedChange]:
    """Yield the changes between known values."""
    pairs = (
        (ChangeKind.STATE, before.state, after.state),
        (ChangeKind.CODE, before.code, after.code),
        (ChangeKind.REGION, before.region, after.region),
        (ChangeKind.KEY_VERSION, before.key_version, after.key_version),
        (ChangeKind.NEWEST_VERSION, before.newest_version, after.newest_version),
    )
    yield from (ObservedChange(at, what, old, new) for what, old, new in pairs if old and new and old != new)
    for endpoint, issuer in after.issuers.items():
        old = before.issuers.get(endpoint, issuer)
        if old != issuer:
            yield ObservedChange(at, ChangeKind.ISSUER, old, issuer, endpoint)
