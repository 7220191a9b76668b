"""Which keys SQL Server itself proved, when and by what.

A backup of an encrypted database and a start need the vault, with the secret that SQL Server stores, its proxy and its DLL.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property, partial
from itertools import product
from operator import attrgetter
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from exporter.core import first_true, grouped
from exporter.core.durations import clock_text, known_time, span_text
from exporter.knowledge.code_row import Category, ConnectorError
from exporter.knowledge.codes import BY_CODE, both_numbers
from exporter.sqlserver.calls import DECRYPT
from exporter.sqlserver.document import (
    BACKUP_MESSAGES,
    OPEN_MESSAGES,
    OTHER,
    KeyVersion,
    Row,
    cell_time,
    key_version,
    thumbprint_of,
)
from exporter.sqlserver.instance import CLOSED, AsymmetricKey, Instance, printable
from exporter.sqlserver.keys import Usage, credentials_of, is_managed, login_of, pair, used_keys
from exporter.sqlserver.logs import LogSpace, log_spaces
from exporter.sqlserver.reading import SqlServerReading, known_instance, once, rows, shown_name

# An assumption: the connector may keep a token of the old secret, and Entra ID's tokens live for 60 to 90 minutes.
TWO_HOURS: Final = 7200.0
_SAME_BACKUP: Final = 600.0  # seconds between two lines of the error log that may be of one backup
A_DAY: Final = 86400.0  # tokens of a managed identity live so long: an assumption, too
_NO_CODE: Final = frozenset({OTHER, *BACKUP_MESSAGES, *OPEN_MESSAGES})


# What SQL Server did with the key. A call is of the gate alone: which key it was follows only if there is one.
ProofSource = Literal["start", "full_backup", "differential_backup", "log_backup", "call"]
GAPS: Final = 3  # from so many gaps on, the rhythm of backups is known
# From this age on, a use is too old if its rhythm is not known. Full backups may be weekly. A node without backups proves its keys at a start alone.
OLDEST: Final[Mapping[ProofSource | None, float]] = {
    "log_backup": 90_000.0, "differential_backup": 8 * A_DAY, "full_backup": 8 * A_DAY,
    "call": 8 * A_DAY,
    "start": math.inf, None: math.inf,
}  # fmt: skip
# Backups of files and of parts of a database ask the vault as a full one does.
_BACKUPS: Final[Mapping[str, ProofSource]] = {
    "D": "full_backup", "F": "full_backup", "P": "full_backup",
    "I": "differential_backup", "G": "differential_backup", "Q": "differential_backup",
    "L": "log_backup",
}  # fmt: skip


class ReportedCode(NamedTuple):
    """A code in the error log, of the provider or of a message. The Unix times are those of its first and last line."""

    code: str
    first_at: float
    last_at: float
    backup_of: str = ""  # of a failed backup: a text that begins with the database's name; empty if unknown

    @property
    def known(self) -> ConnectorError | None:
        """The code as `explain` knows it, else None."""
        return BY_CODE.get(int(self.code)) if self.code.isdecimal() else None

    @property
    def named(self) -> str:
        """The code with its symbol, if it is known."""
        return self.code if self.known is None else f"{self.code} {self.known.symbol}"

    def is_near(self, other: ReportedCode, after: float) -> bool:
        """Whether a line of each after a time may be of the same backup. The log shows the first and the last one."""
        return any(
            min(one, two) > after and abs(one - two) <= _SAME_BACKUP
            for one, two in product((self.first_at, self.last_at), (other.first_at, other.last_at))
        )

    @property
    def is_refusal(self) -> bool:
        """Whether Entra ID refused a secret."""
        return self.known is not None and self.known.category is Category.IDENTITY


class KeyUse(NamedTuple):
    """What SQL Server did with a key: when it ended and began, for which database. Unix times.

    `set_at` is when that key was set for the database or its encryption began, None if unknown; `started_at` the start of the service after
    which the database opened, None of a backup or if unknown. `row` has what msdb shows of backups of this type.
    """

    at: float
    began_at: float
    source: ProofSource
    database: str
    set_at: float | None = None
    started_at: float | None = None
    row: Row = MappingProxyType({})

    def proves(self, change: float, grace: float = TWO_HOURS) -> bool:
        """Whether it shows that the key can be had since a change: a start has no older token, all else may."""
        return self.began_at >= change + grace or (self.started_at is not None and self.started_at > change)

    def text(self, now: float) -> str:
        if self.source == "call":
            return f"{span_text(now - self.at)} ago, successful {DECRYPT}"
        done = "start that opened" if self.source == "start" else f"{self.source.replace('_', ' ')} of"
        return f"{span_text(now - self.at)} ago, {done} [{self.database}]"

    @property
    def gap(self) -> int | None:
        """The second-longest gap between two backups of this kind in seconds, None if few are known. The longest one may be an outage."""
        gaps, second = self.row.get("gaps"), self.row.get("second_seconds")
        return second if isinstance(gaps, int) and isinstance(second, int) and gaps >= GAPS else None


def version_of(reading: SqlServerReading, thumbprint: str) -> KeyVersion | None:
    """Return the key version that the server's registry has for a thumbprint."""
    uris = reading.document.key_uris
    return next((key_version(each.uri) for each in uris if thumbprint_of(each.thumbprint) == thumbprint), None)


@once
def lines_of(reading: SqlServerReading) -> tuple[ReportedCode, ...]:
    """Return what is known of the error log, the latest first."""
    return tuple(
        sorted(
            (
                ReportedCode(str(row.get("code")), first, last, printable(str(row.get("backup_of", ""))))
                for row in rows(reading, "errors")
                if (first := cell_time(row, "first_utc")) is not None and (last := cell_time(row, "last_utc")) is not None
            ),
            key=lambda each: -each.last_at,
        )
    )


@once
def server_proofs(reading: SqlServerReading) -> tuple[ServerProof, ...]:
    """Return the proof of each key of a provider in use, under the names of its series."""
    instance = known_instance(reading)
    return () if instance is None else tuple(_server_proof(reading, instance, key) for key in used_keys(instance))


def _server_proof(reading: SqlServerReading, instance: Instance, key: AsymmetricKey) -> ServerProof:
    proof = _signed_in(reading, instance, key)
    # Without a credential, its uses are old ones. One that was altered at an unknown time is not proven by any use.
    grace, changed = proof.grace, -math.inf if proof.credential_missing else unknown_is_late(proof.altered_at)
    events = [
        use
        for use in key_uses(reading).get(key.thumbprint, ())
        if use.proves(changed, grace) and use.proves(-math.inf if use.set_at is None else use.set_at, grace)
    ]
    last = max(events, key=lambda use: use[:2], default=None)
    return replace(
        proof,
        # The option for all providers counts as it is now.
        provider_disabled=(instance.ekm is not None and not instance.ekm.in_use)
        or any(one.name == key.provider and not one.enabled for one in instance.providers),
        databases=tuple(one.name for one in instance.databases if one.thumbprint == key.thumbprint)
        or tuple(one.name for one in instance.databases if one.hidden),
        proven_from=max((each.began_at for each in events), default=None),
        proven_at=None if last is None else last.at,
        source=None if last is None else last.source,
        database="" if last is None else last.database,
        closed=tuple(
            (one.name, one.state) for one in instance.databases if one.state in CLOSED and one.thumbprint in ("", key.thumbprint)
        ),
    )


def column_proofs(reading: SqlServerReading, usages: Iterable[Usage]) -> tuple[ServerProof, ...]:
    """Return the proof, without uses, of each key of a server that none of its databases needs.

    Columns are opened under the caller's login, so with any credential of the provider: there is only one.
    """
    return tuple(
        ServerProof(
            server=shown_name(reading),
            reading=reading,
            thumbprint=each.key.thumbprint,
            key_name=each.key.name,
            credential=each.credential.name,
            altered_at=known_time(each.credential.modified_utc),
            grace=A_DAY if is_managed(each.credential) else TWO_HOURS,
        )
        for each in usages
        if each.is_for_columns
    )


def unknown_is_late(at: float | None) -> float:
    """Return the time of a change; one at an unknown time is after each use."""
    return math.inf if at is None else at


def _signed_in(reading: SqlServerReading, instance: Instance, key: AsymmetricKey) -> ServerProof:
    """Return how SQL Server signs in for a key, as a proof without uses; empty if unknown."""
    candidates = credentials_of(instance, key)
    unproven = partial(ServerProof, server=shown_name(reading), reading=reading, thumbprint=key.thumbprint, key_name=key.name)
    if not candidates:
        # The provider has no credential at all, unless they are unknown.
        is_missing = not key.credential and "credentials" not in instance.errors
        return unproven(login=login_of(instance, key), credential=key.credential, credential_missing=is_missing)
    version = version_of(reading, key.thumbprint)
    pairing = pair(instance, key, None if version is None else version.vault)
    if pairing.kind == "credential_missing":
        candidate = candidates[0].name if len(candidates) == 1 else ""
        return unproven(login=pairing.login, credential_missing=True, candidate=candidate)
    counting = candidates if pairing.kind == "credential_guessed" else [pairing.credential]
    latest = max(unknown_is_late(known_time(one.modified_utc)) for one in counting)
    return unproven(
        login=key.login or pairing.login,
        credential=pairing.credential.name,
        altered_at=None if latest == math.inf else latest,
        grace=A_DAY if is_managed(pairing.credential) else TWO_HOURS,
    )


@once
def key_uses(reading: SqlServerReading) -> Mapping[str, tuple[KeyUse, ...]]:
    """Return what this node did with each key, by thumbprint, proven or not. A database whose key SQL Server does not show proves nothing."""
    instance = known_instance(reading)
    keys = (
        {} if instance is None else {one.name: one.thumbprint for one in instance.databases if one.thumbprint and not one.hidden}
    )
    set_at = {printable(str(row.get("database"))): cell_time(row, "set_utc") for row in rows(reading, "opened")}
    uses = [use for use in (*_openings(reading), *finished_backups(reading)) if use.database in keys]
    found = grouped((keys[use.database], use._replace(set_at=set_at.get(use.database))) for use in uses)
    return {key: tuple(those) for key, those in found.items()}


def _openings(reading: SqlServerReading) -> Iterator[KeyUse]:
    """Yield each database that opened. Rows that were read before the last start are of an earlier one."""
    started_at = started(reading)
    if reading.read_at.get("opened", 0.0) < (started_at or 0.0):
        return
    for row in rows(reading, "opened"):
        name, opened_at = printable(str(row.get("database"))), cell_time(row, "opened_utc")
        if opened_at is not None:
            since = started_at if opened_at >= (started_at or math.inf) else None
            yield KeyUse(opened_at, opened_at, "start", name, started_at=since)


@once
def finished_backups(reading: SqlServerReading) -> tuple[KeyUse, ...]:
    """Return the last finished backup of each database by type."""
    return tuple(
        KeyUse(finished_at, began_at, source, printable(str(row.get("database"))), row=row)
        for row in rows(reading, "backups")
        if (source := _BACKUPS.get(str(row.get("type")))) is not None
        and (began_at := cell_time(row, "started_utc")) is not None
        and (finished_at := cell_time(row, "finished_utc")) is not None
    )


def started(reading: SqlServerReading) -> float | None:
    """Return when the service started, as a Unix time."""
    instance = known_instance(reading)
    return None if instance is None else known_time(instance.started_utc)


# What one SQL Server proved of one key, and in sentences. Times are Unix times. Names were bounded and made printable when they were read.

_HOUR: Final = 3600.0  # the age from which a text has the time of its reading
# What a proof follows from: backups alone do not show that databases have another key since, or the key another credential.
_SECTIONS: Final = ("backups", "errors", "keys", "credentials", "encryption")


class ProofState(StrEnum):
    """How a SQL Server stands with a key, the most urgent first."""

    CLOSED = "closed"
    PROVIDER_DISABLED = "provider_disabled"
    NO_CREDENTIAL = "no_credential"
    FAILING = "failing"
    STOPPED = "stopped"
    DUE = "due"
    PROVEN = "proven"
    UNKNOWN = "unknown"

    @property
    def is_bad(self) -> bool:
        """Whether SQL Server cannot get the key itself, whatever a probe shows."""
        return self.is_seen_inside or self in (ProofState.CLOSED, ProofState.FAILING)

    @property
    def is_seen_inside(self) -> bool:
        """Whether only SQL Server itself shows the cause. It is a cause of its own even while no target is ready."""
        return self in (ProofState.PROVIDER_DISABLED, ProofState.NO_CREDENTIAL)

    @property
    def is_open(self) -> bool:
        """Whether there is something to do: a proof is missing."""
        return self not in (ProofState.PROVEN, ProofState.UNKNOWN)


@dataclass(frozen=True, kw_only=True)  # without slots: what follows from the reading is found once
class ServerProof:
    """A key in use by one SQL Server, and its last proof since its credential was altered. `server` is its name in texts.

    Times are Unix times, None if unknown or not proven. `login` and `credential` are empty if unknown. With `credential_missing`, SQL Server
    has none with which it can sign in for the key; `candidate` is then the only one of its provider. With `provider_disabled`, SQL Server uses
    no provider for it. `altered_at` is the latest time of several credentials if SQL Server does not show which one belongs to the key; while it is unknown, nothing is proven.
    `proven_from` is the latest time at which what proves the key began: it needs the vault then, and may end hours later. `closed` has the
    databases that did not open, with their state: a closed one whose key SQL Server does not show may be under any key. A use of the key proves a
    change from `grace` seconds after it on: no older token is left then.
    """

    server: str
    reading: SqlServerReading
    thumbprint: str
    key_name: str
    login: str = ""
    credential: str = ""
    credential_missing: bool = False
    candidate: str = ""
    provider_disabled: bool = False
    altered_at: float | None = None
    databases: tuple[str, ...] = ()
    proven_from: float | None = None
    proven_at: float | None = None
    source: ProofSource | None = None
    database: str = ""
    closed: tuple[tuple[str, str], ...] = ()
    grace: float = TWO_HOURS

    @property
    def is_due(self) -> bool | None:
        """Whether nothing proved the present credential, None if that is unknown. A missing one proves nothing."""
        if self.credential_missing:
            return True
        return None if self.proven_at is None and self.altered_at is None else self.proven_at is None

    @cached_property
    def logs(self) -> tuple[LogSpace, ...]:
        """The logs of the key's databases."""
        known = {log.database: log for log in log_spaces(self.reading)}
        return tuple(known[name] for name in self.databases if name in known)

    @property
    def known_since(self) -> float | None:
        """The time of the last proof, else of the change that made one due."""
        return self.altered_at if self.proven_at is None else self.proven_at

    @property
    def free_of_codes_at(self) -> float:
        """The start of the last proof, or of a later backup: a long backup hides no code that follows it."""
        if self.worked is not None:
            return self.worked[0]
        return (self.altered_at if self.proven_from is None else self.proven_from) or 0.0

    @cached_property
    def worked(self) -> tuple[float, float] | None:
        """The start and end of the latest backup since the credential was altered, if it proves nothing yet; None without one."""
        altered = self.altered_at
        if altered is None or self.proven_at is not None:
            return None
        return max(
            (
                (each.began_at, each.at)
                for each in key_uses(self.reading).get(self.thumbprint, ())
                if each.source != "start" and each.began_at >= altered
            ),
            default=None,
        )

    @property
    def _lines_of_its_fault(self) -> list[ReportedCode]:
        since = 0.0 if self.closed else self.free_of_codes_at
        return [each for each in lines_of(self.reading) if each.last_at > since]

    @cached_property
    def codes(self) -> tuple[ReportedCode, ...]:
        """The provider's codes since the last proof began, the latest first.

        A backup of another database hides no code of one that did not open.
        """
        return tuple(each for each in self._lines_of_its_fault if each.code not in _NO_CODE)

    @cached_property
    def messages(self) -> tuple[ReportedCode, ...]:
        """The messages without a code about the DLL or a key, the latest first: of databases that did not open, or of failed backups.

        Without a failed backup near it, a message may be of a restore of another server's backup.
        """
        found = (each for each in self._lines_of_its_fault if each.code in OPEN_MESSAGES)
        return tuple(
            each for each in found if self.closed or any(each.is_near(one, self.free_of_codes_at) for one in self._failed_backups)
        )

    @property
    def latest(self) -> ConnectorError | None:
        """The latest code, None without one that is known."""
        return self.codes[0].known if self.codes else None

    @property
    def signs(self) -> tuple[ReportedCode, ...]:
        """The codes, else the messages that have none."""
        return self.codes or self.messages

    @cached_property
    def _failed_backups(self) -> tuple[ReportedCode, ...]:
        """The messages about failed backups since then that may be of the key's databases, of any cause."""
        return tuple(
            each
            for each in lines_of(self.reading)
            if each.code in BACKUP_MESSAGES and each.last_at > self.free_of_codes_at and self.may_be_of_key(each)
        )

    def may_be_of_key(self, line: ReportedCode) -> bool:
        """Whether a failed backup may be of a database under the key: the line names one, or none that is known."""
        every = () if (instance := known_instance(self.reading)) is None else instance.databases
        named = max((one for one in every if begins_with(line.backup_of, one.name)), key=lambda one: len(one.name), default=None)
        return not line.backup_of if named is None else named.hidden or named.name in self.databases

    @cached_property
    def fails_for_long(self) -> bool:
        """Whether backups failed for an hour, and none of its databases finished since.

        The log does not name the databases of failed backups: without a code or a message, the cause may be another one, or another database's.
        """
        first = min((each.first_at for each in self._failed_backups), default=math.inf)
        last = max((each.last_at for each in self._failed_backups), default=0.0)
        return last - max(first, self.free_of_codes_at) >= _HOUR

    @cached_property
    def failed(self) -> tuple[ReportedCode, ...]:
        """The messages about failed backups since then, if the provider is their cause, or may be."""
        # Without a provider or a credential SQL Server fails before the provider has a code.
        is_its_fault = self.codes or self.credential_missing or self.provider_disabled
        is_open = not self.closed and (self.messages or self.fails_for_long)
        return self._failed_backups if is_its_fault or is_open else ()

    @property
    def since(self) -> float | None:
        """The first code or failed backup since the last proof began.

        Without one, it is `known_since`. Of a closed database, it is the first line of the error log about the cause.
        """
        began = [code.first_at for code in (*self.codes, *self.messages, *self.failed)]
        if self.closed:
            return min(began, default=self.known_since)
        return max(min(began), self.free_of_codes_at) if began else self.known_since

    @cached_property
    def state(self) -> ProofState:
        """What its last reading shows."""
        return ProofState.CLOSED if self.closed else self.cause

    def state_at(self, now: float) -> ProofState:
        """What it shows now: what was read too long ago proves nothing."""
        is_old = "backups" not in self.reading.read_at or self.age(now) > A_DAY
        return ProofState.UNKNOWN if self.state is ProofState.PROVEN and is_old else self.state

    @cached_property
    def cause(self) -> ProofState:
        """Its state, but of a closed database what closes it, if that is known."""
        is_proven = self.source is not None and self.proven_at is not None
        return first_true(
            (self.provider_disabled, ProofState.PROVIDER_DISABLED),
            (self.credential_missing, ProofState.NO_CREDENTIAL),
            (self.codes or (self.messages and not self.closed), ProofState.FAILING),
            (self.closed, ProofState.CLOSED),
            (not is_proven and self.is_due, ProofState.DUE),
            (not is_proven, ProofState.UNKNOWN),
            (self.is_old or self.fails_for_long, ProofState.STOPPED),
            default=ProofState.PROVEN,
        )

    @property
    def is_old(self) -> bool:
        """Whether a further backup is missing since the last proof."""
        return self.reading.read_at.get("backups", 0.0) - (self.proven_at or math.inf) > OLDEST[self.source]

    def age(self, now: float) -> float:
        """Return the age of what it follows from, in seconds; what was never read proves nothing."""
        return max((now - at for name, at in self.reading.read_at.items() if name in _SECTIONS), default=0.0)

    @property
    def has_stopped(self) -> bool:
        """Whether SQL Server proves the key no more: since a day, if its credential was altered then."""
        if self.state is not ProofState.DUE:
            return self.state.is_open
        return self.reading.read_at.get("backups", 0.0) - (self.known_since or math.inf) > A_DAY

    @cached_property
    def first_full(self) -> LogSpace | None:
        """The log that is full first, None if that is unknown."""
        return min((log for log in self.logs if log.full_in is not None), key=attrgetter("full_in", "database"), default=None)

    @cached_property
    def next_file(self) -> LogSpace | None:
        """The log whose next virtual log file is due first, None if that is unknown."""
        return min(
            (log for log in self.logs if log.next_file_in is not None), key=attrgetter("next_file_in", "database"), default=None
        )


def begins_with(text: str, name: str) -> bool:
    """Whether a text begins with the name of a database, as a whole."""
    return text.casefold().startswith(name.casefold()) and not re.match(r"\w", text[len(name) :])


def proof_text(server: ServerProof, now: float) -> str:
    """Return when and by what SQL Server proved the key, or that it did not."""
    return "; ".join(filter(None, (_proof(server, now), worked_text(server, now)))) + read_text(server, now)


def worked_text(server: ServerProof, now: float) -> str:
    """Return that a backup finished since the change, and when one proves the key; empty without such a backup, or with another fault."""
    if server.worked is None or server.state is not ProofState.DUE or server.altered_at is None:
        return ""
    proves = clock_text(server.altered_at + server.grace, now)
    return (
        f"a backup finished at {clock_text(server.worked[1], now)} since, and one that begins at {proves} or later proves the key"
    )


def read_text(server: ServerProof, now: float) -> str:
    """Return the age of the reading in brackets; empty if it is of the last hour."""
    age = server.age(now)
    return f" (read {span_text(age)} ago)" if age > _HOUR else ""


def _proof(proof: ServerProof, now: float) -> str:
    lacks = "its EKM provider is disabled, so SQL Server cannot use the key" if proof.provider_disabled else ""
    if proof.credential_missing and not lacks:
        lacks = f"{login_text(proof)} has no credential, so SQL Server cannot sign in to the vault"
    if proof.source is not None and proof.proven_at is not None:
        done = KeyUse(proof.proven_at, proof.proven_at, proof.source, proof.database).text(now)
        return f"{done}, but {lacks}" if lacks else done
    if lacks:
        return f"not proven: {lacks}"
    if proof.altered_at is not None:
        return f"not proven since the credential was altered at {clock_text(proof.altered_at, now)}"
    return "not known: SQL Server does not show when the credential was altered"


def login_text(proof: ServerProof) -> str:
    return f"login [{proof.login}]" if proof.login else "the key's login"


def codes_text(server: ServerProof, now: float) -> str:
    """Return what the error log shows since the last proof. That is codes of the provider, and failed backups."""
    if server.since is None or not (server.codes or server.messages or server.failed):
        return ""
    since = clock_text(server.since, now)
    codes = [code.code if code.known is None else both_numbers(code.known.code) for code in server.codes]
    named = " and ".join([*codes, *(f"message {message.code}" for message in server.messages)])
    if not named:
        return f"backups fail since {since}"
    return f"its error log shows {named} since {since}{', and backups fail' if server.failed else ''}"
