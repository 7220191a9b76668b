"""The keys that the targets of a configuration cover, retained versions and recovery vaults included."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from exporter.config.loader import RawTarget, read_with_includes, retained_vault
from exporter.config.yaml import ProblemList
from exporter.core.key_reference import KeyReference
from exporter.inventory.azure.plan import Coverage
from exporter.inventory.sources import SourceError
from exporter.runtime.files import real_path


def read_coverage(files: Iterable[Path], own: Collection[Path]) -> Coverage:
    """Read these files and their includes, without the files in `own`.

    Raises SourceError if a file cannot be read: its targets would seem to be missing.
    """
    mine = {real_path(path) for path in own}
    keys: set[tuple[str, str]] = set()
    names: set[str] = set()
    credentials: dict[str, str] = {}
    declared: set[str] = set()
    for path in files:
        problems = ProblemList()
        loaded = read_with_includes(path, problems)
        if not loaded.complete:
            raise SourceError(f"{problems.errors[0]}: correct it, because its targets are unknown")
        for part in loaded.parts:
            if real_path(part.location.file) in mine:
                continue
            declared |= set(part.get("credentials") or {})
            for section in part.get("targets") or ():
                raw = RawTarget(section, part.get("target_defaults"))
                keys |= set(_keys(raw))
                names |= {raw.get("name")} - {None}
                if raw.vault is not None and raw.get("credential") is not None:
                    credentials.setdefault(raw.vault, raw.get("credential"))
    return Coverage(frozenset(keys), frozenset(names), credentials, frozenset(declared))


def _keys(raw: RawTarget) -> Iterator[tuple[str, str]]:
    """Yield vault and key name of each key that the probes of a target use."""
    key: KeyReference | None = raw.get("key")
    if key is not None:
        yield from ((vault, key.name.lower()) for vault in (raw.vault, raw.get("recovery_vault")) if vault is not None)
    for section in raw.get("retained_versions") or ():
        old: KeyReference | None = section.get("key")
        vault = retained_vault(section, raw)
        if old is not None and vault is not None:
            yield vault, old.name.lower()
