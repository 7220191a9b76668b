"""The files of an installation: what a given configuration changes, the changes, and their way back."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

CONFIGURATION, PARTS, SECRETS = "ekm.yml", "targets.d", "secrets"
SETTINGS = "service.json"
DATA = (CONFIGURATION, PARTS, SECRETS, "state", "logs", SETTINGS)  # with the previous ones, all but the program
OLD = ".old"
_TRIES, _PAUSE = 20, 0.1  # seconds; a running exporter may be reading the file


def changed_files(base: Path, source: Path | None) -> dict[str, bytes | None]:
    """Return the files that differ from those of the installation; None is one to delete.

    `source` is a configuration; the folders `targets.d` and `secrets` next to it belong to it. Raises OSError.
    """
    if source is None or _is_same(source.parent, base):
        return {}
    wanted: dict[str, bytes | None] = {CONFIGURATION: source.read_bytes()}
    if (source.parent / PARTS).is_dir():
        wanted |= dict.fromkeys(_files(base, PARTS, "*.yml"))
        wanted |= _files(source.parent, PARTS, "*.yml")
    wanted |= _files(source.parent, SECRETS, "*")
    return {name: content for name, content in wanted.items() if content != _content(base / name)}


def contents(base: Path, names: Iterable[str]) -> dict[str, bytes | None]:
    """Return what files have now; with it, `write_files` undoes a change. Raises OSError."""
    return {name: _content(base / name) for name in names}


def write_files(base: Path, changes: Mapping[str, bytes | None]) -> None:
    """Make the changes. Raises OSError."""
    for name, content in changes.items():
        path = base / name
        if content is None:
            path.unlink(missing_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, content)


def keep_previous(base: Path, previous: Mapping[str, bytes | None]) -> None:
    """Write the previous configuration to `ekm.yml.old` and `targets.d.old`. Raises OSError."""
    if any(name.startswith(PARTS) for name in previous):
        shutil.rmtree(base / (PARTS + OLD), ignore_errors=True)
        unchanged = {name: content for name, content in _files(base, PARTS, "*.yml").items() if name not in previous}
        previous = {**previous, **unchanged}
    for name, content in previous.items():
        first, _, rest = name.partition("/")
        if content is not None and first in (CONFIGURATION, PARTS):
            path = base / (first + OLD) / rest
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def remove_data(base: Path) -> None:
    """Delete configuration, secrets, state and logs, and the folder itself if nothing else is in it. Raises OSError."""
    for name in DATA:
        for path in (base / name, base / (name + OLD)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    if base.is_dir() and not any(base.iterdir()):
        base.rmdir()


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file at once: a reader finds the old content or the new one. Raises OSError."""
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    for left in reversed(range(_TRIES)):
        try:
            new.replace(path)
        except PermissionError:
            if not left:
                new.unlink()
                raise
            time.sleep(_PAUSE)
        else:
            return


def _files(folder: Path, name: str, pattern: str) -> dict[str, bytes | None]:
    return {f"{name}/{path.name}": path.read_bytes() for path in sorted((folder / name).glob(pattern)) if path.is_file()}


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _is_same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()
