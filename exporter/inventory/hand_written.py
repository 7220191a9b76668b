"""Targets and credentials that other files than the inventory's declare."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from exporter.config.loader import RawTarget, read_with_includes, retained_vault
from exporter.config.yaml import ProblemList, Section
from exporter.core.key_reference import KeyReference
from exporter.runtime.files import real_path
from exporter.tde.plan import HandWritten, HandWrittenTarget
from exporter.tde.registry import KeyVersion


def read_hand_written(files: Iterable[Path], own: Collection[Path]) -> HandWritten:
    """Read these files and their includes, without the files in `own`.

    What is unusable in them is left out: `check` reports it.
    """
    mine = {real_path(path) for path in own}
    targets: dict[str, HandWrittenTarget] = {}
    credentials: set[str] = set()
    for path in files:
        for part in read_with_includes(path, ProblemList()).parts:
            if real_path(part.location.file) not in mine:
                credentials |= set(part.get("credentials") or {})
                targets |= {target.where: target for target in _targets(part)}
    return HandWritten(tuple(targets.values()), frozenset(credentials))


def includes_folder(config: Path, folder: Path) -> bool:
    """Whether the configuration includes `*.yml` of the folder."""
    pattern = real_path(folder / "x.yml")
    return any(Path(pattern).match(real_path(one)) for one in read_with_includes(config, ProblemList()).patterns)


def _targets(part: Section) -> Iterator[HandWrittenTarget]:
    for section in part.get("targets") or ():
        raw = RawTarget(section, part.get("target_defaults"))
        name, vault = raw.get("name"), raw.vault
        key: KeyReference | None = raw.get("key")
        if name is not None and vault is not None and key is not None:
            yield HandWrittenTarget(
                name=name,
                vault=vault,
                key_name=key.name,
                key_version=key.version,
                thumbprint=raw.get("thumbprint"),
                instances=tuple(raw.get("instances") or ()),
                where=section.location.where,
                retained=tuple(_retained(raw)),
            )


def _retained(raw: RawTarget) -> Iterator[KeyVersion]:
    for section in raw.get("retained_versions") or ():
        key: KeyReference | None = section.get("key")
        vault = retained_vault(section, raw)
        if key is not None and vault is not None and key.version is not None:
            yield KeyVersion(vault, key.name, key.version)
