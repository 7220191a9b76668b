"""Everything that expires: credentials, key versions, backups and TLS certificates; also as a calendar feed (RFC 5545)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256

from msgspec import Struct
from msgspec.structs import replace

from exporter.config.settings import Config, Target
from exporter.config.usage import probing_credentials, with_lookup_credentials
from exporter.core.values import Mode
from exporter.knowledge.expiry import CredentialExpiry, Source, start_of, wrong_dates
from exporter.runtime.loop import yield_with_pauses
from exporter.state.record import TargetRecord

DAY = 86400.0
_OCTETS = 75  # of one line of the calendar, without its line break
_TARGETS = 10  # named in a description
_ROWS_PER_SLICE = 250  # targets or expiry dates between two turns of other tasks
BACKUP_AGE = 180 * DAY  # an older declared backup is reported by EkmKeyCareDue


class EndingKind(StrEnum):
    """What expires."""

    CREDENTIAL = "credential"
    OTHER_CREDENTIAL = "other_credential"
    KEY = "key"
    BACKUP = "backup"
    TLS = "tls_certificate"


# Alerts by kind: the time before the expiry at which each starts, the earliest alert last.
ALERTS: Mapping[EndingKind, tuple[tuple[float, str], ...]] = {
    EndingKind.CREDENTIAL: (
        (0.0, "EkmCredentialExpired"),
        (DAY, "EkmCredentialExpiresIn1Day"),
        (30 * DAY, "EkmCredentialExpires"),
    ),
    EndingKind.OTHER_CREDENTIAL: ((30 * DAY, "EkmCredentialExpires"),),
    EndingKind.KEY: ((30 * DAY, "EkmKeyStateInvalid"),),
    EndingKind.BACKUP: ((0.0, "EkmKeyCareDue"),),
    EndingKind.TLS: ((14 * DAY, "EkmTlsCertificateExpires"),),
}
# Days before the expiry from which a page shows it as expiring soon.
SOON: Mapping[EndingKind, float] = {kind: 14 * DAY if kind is EndingKind.TLS else 30 * DAY for kind in EndingKind}
NOUNS: Mapping[EndingKind, str] = {
    EndingKind.CREDENTIAL: "credential",
    EndingKind.OTHER_CREDENTIAL: "credential that SQL Server does not use",
    EndingKind.KEY: "key version",
    EndingKind.BACKUP: "backup of the key",
    EndingKind.TLS: "TLS certificate",
}


class Ending(Struct, frozen=True, kw_only=True):
    """One expiry date.

    `at` is a Unix time. `name` is a credential, `vault/key` or an endpoint; `targets` are the names of those that use it.
    """

    kind: EndingKind
    name: str
    at: float
    source: str
    targets: tuple[str, ...] = ()
    wrong: str = ""  # which dates of other sources Entra ID contradicts

    def has_expired(self, now: float) -> bool:
        """Whether it has expired at `now`. A backup never does: it is only old."""
        return self.at <= now and self.kind is not EndingKind.BACKUP

    def is_soon(self, now: float) -> bool:
        return self.at - now < SOON[self.kind]

    def alert(self, now: float) -> str | None:
        """Return the alert about this expiry at `now`; None before the first one."""
        return next((name for before, name in ALERTS[self.kind] if self.at - now <= before), None)


def credential_ending(expiries: Iterable[CredentialExpiry], *, kind: EndingKind = EndingKind.CREDENTIAL) -> Ending | None:
    """Return the expiry of one credential.

    Entra ID takes precedence. Then the earliest date of a lookup takes precedence over the declared date, as in the alerts.
    """
    known = tuple(expiries)
    dated = [(each.expires_at, each) for each in known if each.expires_at is not None and not each.wrong]
    if not dated:
        return None
    at, expiry = min(dated, key=lambda each: (each[1].source is not Source.ENTRA, each[1].source is Source.DECLARED, each[0]))
    return Ending(kind=kind, name=expiry.credential, at=at, source=expiry.source.value, wrong=wrong_dates(known))


def key_ending(target: Target, record: TargetRecord | None) -> Ending | None:
    """Return the expiry of the key version, last known."""
    if record is None or record.key is None or record.key.expires is None:
        return None
    return Ending(kind=EndingKind.KEY, name=f"{target.vault}/{target.key}", at=record.key.expires, source="vault")


def next_ending(target: Target, record: TargetRecord | None, expiries: Iterable[CredentialExpiry]) -> Ending | None:
    """Return the earliest expiry of the target's credential and key version."""
    found = filter(None, (credential_ending(expiries), key_ending(target, record)))
    return min(found, key=lambda ending: ending.at, default=None)


async def all_endings(
    config: Config,
    record_of: Callable[[str], TargetRecord | None],
    expiries_of: Callable[[str], Iterable[CredentialExpiry]],
    *,
    soon_at: float | None = None,
) -> list[Ending]:
    """Return every known expiry once, the earliest first; with the Unix time `soon_at` those that are soon then.

    Other tasks run in between.
    """
    used, own = set[str](), set[str]()
    # By kind and name; the users of a credential by its name too.
    found, users = dict[tuple[EndingKind, str], Ending](), defaultdict[object, list[str]](list)
    async for target in yield_with_pauses(config.targets.values(), _ROWS_PER_SLICE):
        used.update(probing_credentials(target))
        own.update((target.credential,) if config.modules[target.module].mode is not Mode.CANARY else ())
        users[target.credential].append(target.name)
        for ending in filter(None, _of_target(target, record_of(target.name))):
            key = (ending.kind, ending.name)
            if key not in found or ending.at < found[key].at:
                found[key] = ending
            users[key].append(target.name)
    for name in with_lookup_credentials(config, used):
        kind = EndingKind.CREDENTIAL if name in own else EndingKind.OTHER_CREDENTIAL
        if (expiry := credential_ending(expiries_of(name), kind=kind)) is not None:
            found[kind, name], users[kind, name] = expiry, users[name]
    wanted = ((key, ending) for key, ending in found.items() if soon_at is None or ending.is_soon(soon_at))
    listed = [replace(ending, targets=tuple(users[key])) async for key, ending in yield_with_pauses(wanted, _ROWS_PER_SLICE)]
    return sorted(listed, key=lambda ending: (ending.at, ending.kind, ending.name))


def _of_target(target: Target, record: TargetRecord | None) -> Iterator[Ending | None]:
    """Yield the expiry of the key version, the age of its declared backup, and the expiry of the certificates of its hosts."""
    yield key_ending(target, record)
    if target.backup_on is not None:
        at = start_of(target.backup_on) + BACKUP_AGE
        yield Ending(kind=EndingKind.BACKUP, name=f"{target.vault}/{target.key_name}", at=at, source="declared")
    for host, certificate in () if record is None else record.certificates.items():
        yield Ending(kind=EndingKind.TLS, name=host, at=certificate.not_after, source="endpoint")


def calendar(endings: Iterable[Ending], *, now: float) -> Iterator[str]:
    """Yield the calendar, one event at a time. Every line ends with CRLF."""
    yield _lines(
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//ekm-exporter//expiry//EN",
        "CALSCALE:GREGORIAN",
        "X-WR-CALNAME:ekm-exporter: expiry dates",
        "REFRESH-INTERVAL;VALUE=DURATION:PT6H",
    )
    yield from (_event(ending, now) for ending in endings)
    yield _lines("END:VCALENDAR")


def uid(ending: Ending) -> str:
    """Return the identity of an expiry, which a later date does not change."""
    identity = f"{ending.kind}\n{ending.name}"
    return f"{sha256(identity.encode()).hexdigest()[:32]}@ekm-exporter"


def _event(ending: Ending, now: float) -> str:
    at = datetime.fromtimestamp(ending.at, UTC)
    start = f"DTSTART;VALUE=DATE:{at:%Y%m%d}" if ending.source == Source.DECLARED else f"DTSTART:{at:%Y%m%dT%H%M%SZ}"
    noun = NOUNS[ending.kind]
    ends = "is 180 days old" if ending.kind is EndingKind.BACKUP else "expires"
    return _lines(
        "BEGIN:VEVENT",
        f"UID:{uid(ending)}",
        f"DTSTAMP:{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}",
        start,
        f"SUMMARY:{_escaped(f'{ending.name}: {noun} {ends}')}",
        f"DESCRIPTION:{_escaped(_description(ending))}",
        f"CATEGORIES:{ending.kind.value.upper().replace('_', '-')}",
        "TRANSP:TRANSPARENT",
        "END:VEVENT",
    )


def _description(ending: Ending) -> str:
    named = ", ".join(ending.targets[:_TARGETS])
    more = f" and {len(ending.targets) - _TARGETS} more" if len(ending.targets) > _TARGETS else ""
    wrong = f" Entra ID contradicts: {ending.wrong}." if ending.wrong else ""
    return f"Source: {ending.source}.{wrong}" + (f"\nTargets: {named}{more}" if named else "")


def _escaped(text: str) -> str:
    """Escape a text value; control characters other than line breaks are removed."""
    shown = text if text.isprintable() else "".join(letter for letter in text if letter == "\n" or letter.isprintable())
    return shown.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,").replace("\n", "\\n")


def _lines(*lines: str) -> str:
    return "".join(f"{_folded(line)}\r\n" for line in lines)


def _folded(line: str) -> str:
    """Fold a line after at most 75 octets, never inside a character."""
    if len(line) <= _OCTETS and line.isascii():
        return line
    folded, size = "", 0
    for letter in line:
        width = len(letter.encode())
        if size + width > _OCTETS:
            folded, size = f"{folded}\r\n ", 1  # the space that begins the next line
        folded, size = folded + letter, size + width
    return folded
