"""Where targets of a configuration differ from the keys that a SQL Server uses.

What is not known is no difference: a section that was never read, a key without KeyUri under a target without a thumbprint.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, Literal, Protocol

from exporter.core import counted, grouped, quoting
from exporter.core.names import Match, ServerNames, entry_key, match_entry, server_name
from exporter.core.values import KeyFacts
from exporter.sqlserver.document import KeyVersion
from exporter.sqlserver.instance import Findings
from exporter.sqlserver.keys import KeyUris, has_modulus, used_keys
from exporter.sqlserver.reading import SqlServerReading, known_instance, names_of, once


class DeclaredKey(Protocol):
    """A key of a vault; `key_version` is None without a pin."""

    @property
    def vault(self) -> str: ...

    @property
    def key_name(self) -> str: ...

    @property
    def key_version(self) -> str | None: ...


class DeclaredTarget(DeclaredKey, Protocol):
    """What a configuration declares of a target."""

    @property
    def name(self) -> str: ...

    @property
    def thumbprint(self) -> str | None: ...

    @property
    def instances(self) -> Sequence[Mapping[str, str]]: ...

    @property
    def retained_versions(self) -> Sequence[DeclaredKey]: ...


class DeclaredTargets:
    """The targets of a whole configuration.

    `key_of` returns the last known key of a target by its name, as the vault returned it; `names`, those of a SQL Server, told apart from the
    others that are known.
    """

    def __init__(
        self,
        targets: Iterable[DeclaredTarget],
        key_of: Callable[[str], KeyFacts | None] = lambda _target: None,
        names: Callable[[SqlServerReading], ServerNames] = names_of,
    ) -> None:
        self._key_of, self.names = key_of, names
        every = tuple(targets)
        pinned = [(version, target) for target in every if (version := pinned_version(target)) is not None]
        self._by_entry = grouped((entry_key(entry), (target, entry)) for target in every for entry in target.instances)
        self._by_version = grouped(pinned)
        self._by_thumbprint = grouped((target.thumbprint, target) for _, target in pinned if target.thumbprint is not None)

    def listing(self, reading: SqlServerReading) -> dict[str, tuple[DeclaredTarget, Match]]:
        """Return by name the targets that may list a SQL Server, each with its best entry."""
        server, found = self.names(reading), dict[str, tuple[DeclaredTarget, Match]]()
        for target, entry in chain.from_iterable(self._by_entry.get(key, ()) for key in server.entry_keys):
            matched = max(match_entry(entry, server), found.get(target.name, (target, Match.NO))[1])
            if matched:
                found[target.name] = target, matched
        return found

    def modulus(self, target: DeclaredTarget) -> bytes:
        """Return the modulus of the key that a target pins; empty if unknown."""
        key = self._key_of(target.name)
        if key is None or KeyVersion(target.vault, key.name, key.version) != pinned_version(target):
            return b""
        return key.modulus

    def pinning(self, version: KeyVersion | None, thumbprint: str) -> Sequence[DeclaredTarget]:
        """Return the targets that pin a key, whatever they list. Its thumbprint counts if the version is unknown."""
        return self._by_thumbprint.get(thumbprint, ()) if version is None else self._by_version.get(version, ())


def pinned_version(key: DeclaredKey) -> KeyVersion | None:
    return None if key.key_version is None else KeyVersion(key.vault, key.key_name, key.key_version)


def names_key(target: DeclaredKey, version: KeyVersion | None) -> bool:
    """Whether the target has the key of this version, in whatever version."""
    return version is not None and KeyVersion(target.vault, target.key_name, version.version) == version


def pins(target: DeclaredKey, version: KeyVersion | None, thumbprint: str, known: Collection[str]) -> bool | None:
    """Whether a target pins a key of a SQL Server, None if that is unknown. `known` are the thumbprints of the target's key.

    KeyUri counts first: a probe uses it, and never the thumbprint.
    """
    if version is not None:
        # Without a pin, the newest version may be this one.
        return None if target.key_version is None and names_key(target, version) else pinned_version(target) == version
    return thumbprint in known if known and target.key_version is not None else None


MOST_DIFFERENCES: Final = 50  # of one SQL Server
_MOST_COMPARED: Final = 200  # keys of one SQL Server, by their public keys
_NEEDED: Final = frozenset({"instance", "keys", "encryption", "databases"})  # sections


# How the configuration differs, the most urgent first.
DifferenceKind = Literal["key_not_probed", "other_version", "server_not_listed", "other_thumbprint", "key_not_used"]
_THE_KEY: Final = "{used} for {databases}"
_PIN: Final = '`key: {uri}` and `thumbprint: "{thumbprint}"`'
_RETAIN: Final = "while backups need the old version, list `{{key: {pinned}}}` under `retained_versions`"
# Of each kind, in that order: what differs, and the first action.
TEXTS: Final[Mapping[DifferenceKind, tuple[str, str]]] = {
    "key_not_probed": (
        f"{{server}} uses {_THE_KEY}, and no target probes that key",
        'add a target: `{{name: NAME, key: {uri}, thumbprint: "{thumbprint}", credential: CREDENTIAL, instances: [{entry}]}}`',
    ),
    "other_version": (
        f"target {{target}} pins {{pinned}}, but {{server}} uses {_THE_KEY}, so the verdict is not about the key in use",
        f"if the databases moved on purpose, write {_PIN} to target {{target}}, and {_RETAIN} of that target",
    ),
    "server_not_listed": (
        f"{{server}} uses {_THE_KEY}; target {{other}} probes that key, but does not list the SQL Server",
        "add `- {entry}` to the `instances` of target {other}",
    ),
    "other_thumbprint": (
        "target {target} declares another thumbprint for {pinned} than {server} has: {thumbprint}",
        'write `thumbprint: "{thumbprint}"` to target {target}',
    ),
    "key_not_used": (
        f"{{server}} has no key any more that target {{target}} pins ({{pinned}}): it uses {_THE_KEY}, which target {{other}} probes",
        f"remove `{{entry}}` from the `instances` of target {{target}}, and {_RETAIN} of target {{other}}",
    ),
}
_ORDER: Final = {kind: place for place, kind in enumerate(TEXTS)}
_MOVE: Final = "move `{entry}` from the `instances` of target {target} to those of target {other}, which probes the key in use"
_NO_URI: Final = "KEYURI"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One difference between the targets and a SQL Server.

    `target` is the one that it is about, empty for `key_not_probed`. `other` is a target that probes the key in use, empty without one.
    `thumbprint` and `key_uri` are those of the key in use, which protects `databases`; `key_uri` is empty if unknown. `pinned` is the
    KeyUri that `target` pins.
    """

    kind: DifferenceKind
    sql_instance: str
    host: str
    target: str
    other: str
    thumbprint: str
    key_uri: str
    databases: tuple[str, ...]
    pinned: str

    @property
    def subject(self) -> str:
        """The target whose configuration differs; empty for `key_not_probed`."""
        return self.target or self.other

    @property
    def sentence(self) -> str:
        """What differs, without a full stop."""
        return TEXTS[self.kind][0].format_map(self._words())

    @property
    def action(self) -> str:
        """What to write into the configuration, without a full stop."""
        text = _MOVE if self.kind == "other_version" and self.other else TEXTS[self.kind][1]
        where = f". {_NO_URI} is in the registry of the SQL Server's host, under {self.thumbprint}"
        return text.format_map(self._words()) + ("" if self.key_uri or "{uri}" not in text else where)

    def _words(self) -> Mapping[str, str]:
        labels = {"sql_instance": self.sql_instance, "host": self.host}
        entry = ", ".join(f"{name}: {quoting.yaml(value)}" for name, value in labels.items())
        thumbprint = quoting.plain(self.thumbprint, "THUMBPRINT")
        return {
            "server": quoting.prose(server_name(labels)),
            "entry": f"{{{entry}}}",
            "target": self.target,
            "other": self.other,
            "thumbprint": thumbprint,
            "uri": quoting.yaml(self.key_uri) if self.key_uri else _NO_URI,
            "used": quoting.prose(self.key_uri) or f"the key of thumbprint {thumbprint}",
            "databases": counted(len(self.databases), "database"),
            "pinned": quoting.yaml(self.pinned),
        }


@dataclass(frozen=True, slots=True)
class _Key:
    """An asymmetric key of a SQL Server; `version` is None if unknown. `databases` are those that are certainly under it."""

    thumbprint: str
    version: KeyVersion | None
    public_key: str = ""  # empty if unknown
    databases: tuple[str, ...] = ()


def is_comparable(reading: SqlServerReading) -> bool:
    """Whether the keys in use are known. They are if each section that shows them was read at some time."""
    return reading.read_at.keys() >= _NEEDED


def find_differences(reading: SqlServerReading, declared: DeclaredTargets) -> tuple[Difference, ...]:
    """Return the differences of a SQL Server, the most urgent first. There are at most `MOST_DIFFERENCES`."""
    found = (
        Difference(
            kind=kind,
            sql_instance=reading.sql_instance,
            host=reading.host,
            target="" if target is None else target.name,
            other="" if other is None else other.name,
            thumbprint=key.thumbprint,
            key_uri="" if key.version is None else key.version.uri,
            databases=key.databases,
            pinned="" if target is None or (pinned := pinned_version(target)) is None else pinned.uri,
        )
        for kind, key, target, other in _Comparison(reading, declared).found()
    )
    return tuple(sorted(found, key=lambda each: (_ORDER[each.kind], each.target, each.thumbprint))[:MOST_DIFFERENCES])


_Found = tuple[DifferenceKind, _Key, DeclaredTarget | None, DeclaredTarget | None]  # kind, key in use, target, other target


class _Comparison:
    """One SQL Server and the targets that list it. Without known keys, there is nothing to compare."""

    def __init__(self, reading: SqlServerReading, declared: DeclaredTargets) -> None:
        self._declared = declared
        self._every, self._in_use, used = _keys_of(reading)
        listing = declared.listing(reading).values() if self._in_use else ()
        self._listing = [target for target, _ in listing]
        # The thumbprints of each target: those of its public key, else the declared one.
        self._thumbprints = {target.name: self._thumbprints_of(target) for target in self._listing}
        self._certain = [target for target, matched in listing if matched is Match.CERTAIN]
        # Targets that pin a key under which no database of the SQL Server can be.
        self._stale = [target for target in self._certain if self._has_none(target, (*used, *self._in_use))]

    def found(self) -> Iterator[_Found]:
        for key in self._in_use:
            pins = [(target, self._pins(target, key)) for target in self._listing]
            if all(pinned is not None for _, pinned in pins):
                probing = [target for target, pinned in pins if pinned]
                yield from self._probed_differences(key, probing) if probing else self._unprobed_differences(key)

    def _probed_differences(self, key: _Key, probing: Sequence[DeclaredTarget]) -> Iterator[_Found]:
        for target in probing:
            if target in self._certain and target.thumbprint not in (None, key.thumbprint):
                yield "other_thumbprint", key, target, None
        for target in self._stale:
            version = pinned_version(target)
            other = next((each for each in probing if names_key(each, version)), None)
            if other is not None and self._has_none(target, self._every) and not self._is_retained(version):
                yield "key_not_used", key, target, other

    def _unprobed_differences(self, key: _Key) -> Iterator[_Found]:
        if self._is_retained(key.version):
            return
        pinning = self._declared.pinning(key.version, key.thumbprint)
        elsewhere = [target for target in pinning if target.name not in self._thumbprints]
        other = next(iter(elsewhere), None)
        older = [target for target in self._stale if names_key(target, key.version)] or self._stale
        for target in older:
            yield "other_version", key, target, other
        if not older and all(target.instances for target in elsewhere):  # one without instances may be for any SQL Server
            yield "key_not_probed" if other is None else "server_not_listed", key, None, other

    def _thumbprints_of(self, target: DeclaredTarget) -> frozenset[str]:
        modulus = self._declared.modulus(target)
        keys = self._every[:_MOST_COMPARED] if modulus else ()
        found = frozenset(key.thumbprint for key in keys if has_modulus(key.public_key, modulus))
        return found or frozenset(filter(None, [target.thumbprint]))

    def _pins(self, target: DeclaredTarget, key: _Key) -> bool | None:
        return pins(target, key.version, key.thumbprint, self._thumbprints[target.name])

    def _has_none(self, target: DeclaredTarget, keys: Iterable[_Key]) -> bool:
        """Whether a target with a pin certainly pins none of the keys."""
        return target.key_version is not None and all(self._pins(target, key) is False for key in keys)

    def _is_retained(self, version: KeyVersion | None) -> bool:
        """Whether a target that pins a key in use has the version for old backups."""
        retained = (each for one in self._listing if one not in self._stale for each in one.retained_versions)
        return version is not None and any(pinned_version(each) == version for each in retained)


@once
def _keys_of(reading: SqlServerReading) -> tuple[tuple[_Key, ...], ...]:
    """Return the keys that a SQL Server has, those that certainly protect a database, and those that may; none if they are unknown."""
    instance = known_instance(reading) if is_comparable(reading) else None
    if instance is None:
        return (), (), ()
    uris = KeyUris([instance], (), Findings())
    databases = grouped((one.thumbprint, one.name) for one in instance.databases if one.thumbprint and one.encrypted)
    every = {
        key.thumbprint: _Key(
            key.thumbprint, uris.version_of(instance, key), key.public_key, tuple(databases.get(key.thumbprint, ()))
        )
        for key in instance.keys
    }
    # A database may be under a key that the server does not show.
    certain = tuple(every.get(each) or _Key(each, None, databases=tuple(names)) for each, names in databases.items())
    return tuple(every.values()), certain, tuple(every[key.thumbprint] for key in used_keys(instance))
