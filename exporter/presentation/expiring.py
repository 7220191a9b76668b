"""Expiry dates of credentials and key versions, for pages and API."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from exporter.config.model import Target
from exporter.core.credential_expiry import CredentialExpiry, Source
from exporter.state.records import TargetRecord


class EndingKind(StrEnum):
    """What expires."""

    CREDENTIAL = "credential"
    KEY = "key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """One expiry date. `at` is a Unix time; `name` is a credential or `vault/key`."""

    kind: EndingKind
    name: str
    at: float
    source: str


def credential_ending(ends: Iterable[CredentialExpiry]) -> Ending | None:
    """Return the expiry of one credential.

    The earliest date of a lookup takes precedence over the declared date, as in the alerts.
    """
    dated = sorted(
        ((end.source is Source.DECLARED, end.expires_at, end) for end in ends if end.expires_at is not None),
        key=lambda each: each[:2],
    )
    if not dated:
        return None
    _, at, end = dated[0]
    return Ending(kind=EndingKind.CREDENTIAL, name=end.credential, at=at, source=end.source.value)


def key_ending(target: Target, record: TargetRecord | None) -> Ending | None:
    """Return the expiry of the key version, last known."""
    if record is None or record.key is None or record.key.expires is None:
        return None
    return Ending(kind=EndingKind.KEY, name=f"{target.vault}/{target.key}", at=record.key.expires, source="vault")


def next_ending(target: Target, record: TargetRecord | None, ends: Iterable[CredentialExpiry]) -> Ending | None:
    """Return the earliest expiry of the target's credential and key version."""
    return min(_of_target(target, record, ends), key=lambda ending: ending.at, default=None)


def _of_target(target: Target, record: TargetRecord | None, ends: Iterable[CredentialExpiry]) -> Iterator[Ending]:
    yield from (ending for ending in (credential_ending(ends), key_ending(target, record)) if ending is not None)
