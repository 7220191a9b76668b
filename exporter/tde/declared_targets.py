"""What a configuration declares: the pin of each target, and its SQL Servers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from exporter.core.model import KeyFacts
from exporter.tde.identity import DEFAULT_INSTANCE, is_same_host, is_same_instance
from exporter.tde.registry import KeyVersion


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

    `instance_names` has the name of the instance of each SQL Server of the configuration, None if it is unknown. `key_of` returns
    the last known key of a target by its name, as the vault returned it.
    """

    def __init__(
        self,
        targets: Iterable[DeclaredTarget],
        instance_names: Iterable[str | None],
        key_of: Callable[[str], KeyFacts | None] = lambda _target: None,
    ) -> None:
        self._key_of = key_of
        self._names = Counter(None if name is None else name.casefold() for name in instance_names)
        self._by_instance: dict[str, list[tuple[DeclaredTarget, str]]] = {}  # with the host, empty if none is declared
        self._by_thumbprint: dict[str, list[DeclaredTarget]] = {}
        self._by_version: dict[KeyVersion, list[DeclaredTarget]] = {}
        for target in targets:
            for entry in target.instances:
                name, host = entry.get("sql_instance", "").casefold(), entry.get("host", "").casefold()
                self._by_instance.setdefault(name, []).append((target, host))
            if (version := pinned_version(target)) is not None:
                self._by_version.setdefault(version, []).append(target)
                if target.thumbprint is not None:
                    self._by_thumbprint.setdefault(target.thumbprint, []).append(target)

    def listing(self, sql_instance: str, host: str) -> dict[str, tuple[DeclaredTarget, bool]]:
        """Return by name the targets that may list a SQL Server, and whether they certainly do.

        Without a host, an entry is certain if the configuration has one SQL Server of that instance.
        """
        own, computer = sql_instance.casefold(), host.casefold()
        is_alone = self._names[own] + self._names[None] <= 1
        found: dict[str, tuple[DeclaredTarget, bool]] = {}
        for name in instance_labels(own, computer):
            for target, declared in self._by_instance.get(name, ()):
                if not declared or is_same_host(declared, computer):
                    is_certain = bool(declared) or is_alone or found.get(target.name, (target, False))[1]
                    found[target.name] = target, is_certain
        return found

    def modulus(self, target: DeclaredTarget) -> bytes:
        """Return the modulus of the key that a target pins; empty if unknown."""
        key = self._key_of(target.name)
        is_pinned = key is not None and KeyVersion(target.vault, key.name, key.version) == pinned_version(target)
        return key.modulus if key is not None and is_pinned else b""

    def pinning(self, version: KeyVersion | None, thumbprint: str) -> Sequence[DeclaredTarget]:
        """Return the targets that pin a key, whatever they list.

        Its thumbprint counts if the version is unknown.
        """
        return self._by_thumbprint.get(thumbprint, ()) if version is None else self._by_version.get(version, ())


def instance_labels(sql_instance: str, host: str) -> frozenset[str]:
    """Return what a target may have as `sql_instance` of a SQL Server, in lower case."""
    own = sql_instance.casefold()
    return frozenset({own, DEFAULT_INSTANCE} if is_same_instance(DEFAULT_INSTANCE, own, host.casefold()) else {own})


def pinned_version(key: DeclaredKey) -> KeyVersion | None:
    """Return the pinned version, None without a pin."""
    return None if key.key_version is None else KeyVersion(key.vault, key.key_name, key.key_version)


def names_key(target: DeclaredKey, version: KeyVersion | None) -> bool:
    """Whether the target has the key of this version, in whatever version."""
    return version is not None and KeyVersion(target.vault, target.key_name, version.version) == version


def is_same_key(target: DeclaredKey, other: DeclaredKey) -> bool:
    """Whether both have one key, in whatever versions; the other one has a pin."""
    return names_key(target, pinned_version(other))
