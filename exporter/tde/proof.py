"""Which keys SQL Server itself proved, when and by what.

A backup of an encrypted database and a start need the vault, with the secret that SQL Server stores, its proxy and its DLL.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from exporter.core.codes import BY_CODE
from exporter.core.durations import known_time
from exporter.tde.error_codes import BACKUP_MESSAGES, OPEN_MESSAGES, OTHER
from exporter.tde.findings import Kind
from exporter.tde.model import CLOSED, AsymmetricKey, Database, Instance, SqlCredential, printable
from exporter.tde.pairing import credentials_of, login_of, pair
from exporter.tde.registry import KeyVersion, key_version, thumbprint_of
from exporter.tde.sql_reading import BACKUP_TYPES, SqlServerReading, known_instance, once, rows
from exporter.tde.usage import used_keys

# An assumption: the connector may keep a token of the old secret, and Entra ID's tokens live for 60 to 90 minutes.
TWO_HOURS: Final = 7200.0
# Local times become UTC by today's offset, which daylight saving may have changed since; `opened_utc` is exact.
_DAYLIGHT_SAVING: Final = 3600.0
_NO_CODE: Final = frozenset({OTHER, *BACKUP_MESSAGES, *OPEN_MESSAGES})


class ProofSource(StrEnum):
    """What SQL Server did with the key."""

    START = "start"
    FULL_BACKUP = "full_backup"
    DIFFERENTIAL_BACKUP = "differential_backup"
    LOG_BACKUP = "log_backup"


_BACKUPS: Final = {letter: ProofSource(f"{name}_backup") for letter, name in BACKUP_TYPES.items()}


@dataclass(frozen=True, slots=True)
class KeyProof:
    """A key in use, and its last proof since its credential was altered.

    Times are Unix times, None if unknown or not proven. `login` and `credential` are empty if unknown. With `credential_missing`, SQL Server
    has none with which it can sign in for the key; `candidate` is then the only one
    of its provider. With `provider_disabled`, SQL Server uses no provider for it. `altered_at` is the latest
    time of several credentials if SQL Server does not show which one belongs to the key. `proven_from` is the latest time at which what
    proves the key began: it needs the vault then, and may end hours later. `closed` has the databases that did not open, with their state: a
    closed one whose key SQL Server does not show may be under any key. `altered_before` is when the credential was altered before `altered_at`.
    """

    thumbprint: str
    key_name: str
    login: str
    credential: str
    credential_missing: bool
    candidate: str
    provider_disabled: bool
    altered_at: float | None
    databases: tuple[str, ...]
    proven_from: float | None
    proven_at: float | None
    source: ProofSource | None
    database: str
    closed: tuple[tuple[str, str], ...] = ()
    altered_before: float | None = None

    @property
    def is_due(self) -> bool | None:
        """Whether nothing proved the present credential, None if that is unknown.

        A missing one proves nothing.
        """
        if self.credential_missing:
            return True
        return None if self.proven_at is None and self.altered_at is None else self.proven_at is None


class ReportedCode(NamedTuple):
    """A provider's code in the error log of the last 24 hours.

    The Unix times are those of its first and last line.
    """

    code: str
    first_at: float
    last_at: float

    @property
    def is_known(self) -> bool:
        """Whether it is a code that `explain` knows."""
        return self.code.isdecimal() and int(self.code) in BY_CODE


class _SignIn(NamedTuple):
    """How SQL Server signs in for a key; empty if unknown."""

    login: str
    credential: str
    altered_at: float | None = None
    is_missing: bool = False
    candidate: str = ""
    altered_before: float | None = None


class _Event(NamedTuple):
    at: float
    began_at: float
    source: ProofSource
    database: str


@once
def key_proofs(reading: SqlServerReading) -> tuple[KeyProof, ...]:
    """Return one proof for each key of a provider in use."""
    instance = known_instance(reading)
    return () if instance is None else tuple(_key_proof(reading, instance, key) for key in used_keys(instance))


def version_of(reading: SqlServerReading, thumbprint: str) -> KeyVersion | None:
    """Return the key version that the server's registry has for a thumbprint."""
    uris = () if reading.document is None else reading.document.key_uris
    return next((key_version(each.uri) for each in uris if thumbprint_of(each.thumbprint) == thumbprint), None)


def reported_codes(reading: SqlServerReading, since: float) -> tuple[ReportedCode, ...]:
    """Return the provider's codes in the error log after a Unix time, newest first."""
    return tuple(each for each in _reported(reading, since) if each.code not in _NO_CODE)


def failed_backups(reading: SqlServerReading, since: float) -> tuple[ReportedCode, ...]:
    """Return the messages about failed backups in the error log after a Unix time, newest first."""
    return tuple(each for each in _reported(reading, since) if each.code in BACKUP_MESSAGES)


def open_messages(reading: SqlServerReading, since: float) -> tuple[ReportedCode, ...]:
    """Return the messages about the DLL or a key in the error log after a Unix time, newest first."""
    return tuple(each for each in _reported(reading, since) if each.code in OPEN_MESSAGES)


def last_backup(reading: SqlServerReading, databases: Iterable[str], since: float) -> tuple[float, float] | None:
    """Return start and end of the latest backup of the databases that began after a Unix time, None without one."""
    found = _backups(reading, frozenset(databases), since - TWO_HOURS)
    return max(((each.began_at, each.at) for each in found), default=None)


def _reported(reading: SqlServerReading, since: float) -> list[ReportedCode]:
    found = (
        ReportedCode(str(row.get("code")), first, last)
        for row in rows(reading, "errors")
        if (first := _time(row.get("first_utc"))) is not None
        and (last := _time(row.get("last_utc"))) is not None
        and last > since
    )
    return sorted(found, key=lambda each: -each.last_at)


def _key_proof(reading: SqlServerReading, instance: Instance, key: AsymmetricKey) -> KeyProof:
    hidden = tuple(one.name for one in instance.databases if one.hidden)
    databases = tuple(one.name for one in instance.databases if one.thumbprint == key.thumbprint) or hidden
    sign_in = _sign_in(reading, instance, key)
    names = frozenset(databases)  # a SQL Server may have thousands
    events = (*_openings(reading, instance, names, sign_in.altered_at), *_backups(reading, names, sign_in.altered_at))
    last = max(events, default=None)
    return KeyProof(
        thumbprint=key.thumbprint,
        key_name=key.name,
        login=sign_in.login,
        credential=sign_in.credential,
        credential_missing=sign_in.is_missing,
        candidate=sign_in.candidate,
        provider_disabled=_is_disabled(instance, key),
        altered_at=sign_in.altered_at,
        databases=databases,
        proven_from=max((each.began_at for each in events), default=None),
        proven_at=None if last is None else last.at,
        source=None if last is None else last.source,
        database="" if last is None else last.database,
        altered_before=sign_in.altered_before,
        closed=tuple((one.name, one.state) for one in instance.databases if _is_closed(one, key)),
    )


def _is_closed(database: Database, key: AsymmetricKey) -> bool:
    return database.state in CLOSED and database.thumbprint in ("", key.thumbprint)


def _is_disabled(instance: Instance, key: AsymmetricKey) -> bool:
    """Whether the key's provider is disabled, or the option for all providers is off now."""
    if instance.ekm is not None and not instance.ekm.in_use:
        return True
    return any(one.name == key.provider and not one.enabled for one in instance.providers)


def _sign_in(reading: SqlServerReading, instance: Instance, key: AsymmetricKey) -> _SignIn:
    candidates = credentials_of(instance, key)
    if not candidates:
        # The provider has no credential at all, unless they are unknown.
        is_missing = not key.credential and "credentials" not in instance.errors
        return _SignIn(login_of(instance, key), key.credential, is_missing=is_missing)
    version = version_of(reading, key.thumbprint)
    pairing = pair(instance, key, None if version is None else version.vault)
    if pairing.kind is Kind.CREDENTIAL_MISSING:
        return _SignIn(pairing.login, "", is_missing=True, candidate=candidates[0].name if len(candidates) == 1 else "")
    certain = pairing.kind is not Kind.CREDENTIAL_GUESSED
    altered_at = _altered([pairing.credential] if certain else candidates)
    before = known_time(pairing.credential.earlier_utc) if certain else None
    return _SignIn(key.login or pairing.login, pairing.credential.name, altered_at, altered_before=before)


def _altered(credentials: Iterable[SqlCredential]) -> float | None:
    return max((at for one in credentials if (at := known_time(one.modified_utc)) is not None), default=None)


def _openings(
    reading: SqlServerReading, instance: Instance, databases: frozenset[str], altered_at: float | None
) -> Iterator[_Event]:
    """Yield each database that opened since a start with the present secret.

    Rows that were read before that start do not count.
    """
    started_at = known_time(instance.started_utc)
    if started_at is None or reading.read_at.get("opened", 0.0) < started_at or (altered_at or 0.0) >= started_at:
        return
    for row in rows(reading, "opened"):
        name, opened_at = printable(str(row.get("database"))), _time(row.get("opened_utc"))
        if name in databases and opened_at is not None and opened_at >= started_at - _DAYLIGHT_SAVING:
            yield _Event(opened_at, opened_at, ProofSource.START, name)


def _backups(reading: SqlServerReading, databases: frozenset[str], altered_at: float | None) -> Iterator[_Event]:
    """Yield each backup that needed this key and the present secret.

    No token of an earlier secret was left when it started.
    """
    earliest = -math.inf if altered_at is None else altered_at + TWO_HOURS
    set_at = {printable(str(row.get("database"))): _time(row.get("set_utc")) for row in rows(reading, "opened")}
    for row in rows(reading, "backups"):
        name, source = printable(str(row.get("database"))), _BACKUPS.get(str(row.get("type")))
        started_at, finished_at = _time(row.get("started_utc")), _time(row.get("finished_utc"))
        if name not in databases or source is None or started_at is None or finished_at is None:
            continue
        if started_at >= max(earliest, set_at.get(name) or -math.inf):
            yield _Event(finished_at, started_at, source, name)


def _time(cell: str | int | None) -> float | None:
    return known_time(str(cell))
