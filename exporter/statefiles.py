"""The directory of `--state.dir`: one small JSON file per target or credential, for what should outlive a restart.

For: reading at the start, writing off the event loop, one process per directory, and putting up with damage. State is
disposable: a file that cannot be read or written costs what it held, and is said once.
Not for: what is in a document (see `snapshots`), secrets: none may get here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any

from exporter.threads import DaemonPool

VERSION = 1
LARGEST = 1024 * 1024  # bytes; anything longer was not written here
CLOSING_SECONDS = 2.0  # for what is still to be written when the exporter stops

Document = Mapping[str, Any]


class StateDirError(Exception):
    """The state directory cannot be used; the text is for people."""


class Kind(StrEnum):
    TARGET = "target"
    CREDENTIAL = "credential"


class StateFiles:
    """Documents by kind and name. `open` and `load` block and are for the start; the rest is used from one event loop.

    `on_problem` gets a sentence for each file that is damaged, and one when writing begins to fail.
    """

    def __init__(self, folder: Path, *, pool: DaemonPool, on_problem: Callable[[str], None]) -> None:
        self._folder = folder
        self._pool = pool
        self._on_problem = on_problem
        self._lock: int | None = None
        self._pending: dict[Path, bytes | None] = {}  # None: to be removed
        self._written: dict[Path, bytes] = {}  # digests, so that an unchanged document costs no write
        self._writer: asyncio.Task[None] | None = None
        self._failing = False

    def open(self) -> None:
        """Make the directory if need be, and lock it. Raises StateDirError, also if another process uses it."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _locked(self._folder / "lock")
            _write(self._folder / "probe.tmp", b"")
            (self._folder / "probe.tmp").unlink()
        except BlockingIOError:
            raise StateDirError(f"{self._folder}: another exporter uses this state directory") from None
        except OSError as error:
            self._unlock()
            raise StateDirError(f"{self._folder}: the state directory cannot be used: {error.strerror or error}") from None

    def load(self, kind: Kind, name: str) -> Document | None:
        """What was kept under this name; None if nothing was, or it is damaged."""
        path = self._path(kind, name)
        try:
            with path.open("rb") as file:
                return _read(file.read(LARGEST + 1), kind, name)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._on_problem(f"{path}: cannot be read and is ignored: {error.strerror or error}")
        except ValueError as error:
            self._on_problem(f"{path}: {error}; the file is ignored")
        return None

    def put(self, kind: Kind, name: str, document: Document) -> None:
        """Have this written soon; of several documents for one name the last counts. It must be plain JSON."""
        path = self._path(kind, name)
        text = json.dumps({**document, "version": VERSION, "kind": kind, "name": name}, allow_nan=False).encode()
        digest = sha256(text).digest()
        if self._written.get(path) != digest:
            self._written[path] = digest
            self._schedule(path, text)

    def remove(self, kind: Kind, name: str) -> None:
        """Have this name's file removed soon."""
        path = self._path(kind, name)
        self._written.pop(path, None)
        self._schedule(path, None)

    async def aclose(self) -> None:
        """Write what is pending, for a moment at most, and let the directory go."""
        if self._writer is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSING_SECONDS):
                    await asyncio.gather(self._writer, return_exceptions=True)
        self._unlock()

    def _schedule(self, path: Path, text: bytes | None) -> None:
        self._pending[path] = text
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_pending(), name="state files")

    async def _write_pending(self) -> None:
        """Batches form by themselves: whatever comes while a thread writes is the next one."""
        while self._pending:
            batch, self._pending = self._pending, {}
            try:
                failures = await self._pool.run(_write_all, batch)
            except Exception as error:  # noqa: BLE001 - state is disposable: no thread, no file
                failures = dict.fromkeys(batch, str(error))
            for path in failures:
                self._written.pop(path, None)
            self._say(failures)

    def _say(self, failures: dict[Path, str]) -> None:
        if failures and not self._failing:
            path, why = next(iter(failures.items()))
            self._on_problem(f"{path}: cannot be written, so a restart will forget what it should hold: {why}")
        self._failing = bool(failures)

    def _path(self, kind: Kind, name: str) -> Path:
        return self._folder / f"{kind}-{sha256(name.encode()).hexdigest()}.json"

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _read(content: bytes, kind: Kind, name: str) -> Document:
    """Raises ValueError with what is wrong."""
    if len(content) > LARGEST:
        raise ValueError("is longer than any state file")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise ValueError("is damaged") from None
    if not isinstance(document, dict):
        raise ValueError("is damaged")  # noqa: TRY004 - what a file holds is a value, not a type error
    if document.get("version") != VERSION:
        raise ValueError("was written by another version of the exporter")
    if (document.get("kind"), document.get("name")) != (kind, name):
        raise ValueError("belongs to something else")
    return document


def _write_all(batch: Mapping[Path, bytes | None]) -> dict[Path, str]:
    """Blocks. Returns what went wrong, by path."""
    failures = {}
    for path, text in batch.items():
        try:
            if text is None:
                path.unlink(missing_ok=True)
            else:
                temporary = path.with_suffix(".tmp")
                _write(temporary, text)
                temporary.replace(path)
        except OSError as error:
            failures[path] = error.strerror or str(error)
    return failures


def _write(path: Path, text: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)


def _locked(path: Path) -> int:
    """A descriptor that holds the lock until it is closed, be it by the end of the process. Raises BlockingIOError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - exists only there

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415 - exists only there

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, (BlockingIOError, PermissionError)):  # the second is what Windows says
            raise BlockingIOError from None
        raise
    return descriptor
