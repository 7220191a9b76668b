"""The directory of `--state.dir`: a small JSON file per target, credential or SQL Server.

State is disposable: a file that cannot be read or written loses its content only, and the problem is logged once. A worker
thread writes the files. One process uses a directory. Files never contain secrets.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
from collections.abc import Callable, Mapping
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any

from exporter.runtime.files import FileMissingError, FileUnreadableError, plainly
from exporter.runtime.thread_pool import DaemonThreadPool, PoolExhausted
from exporter.state.private_directory import PrivateDirectory, UnsafeError

VERSION = 1
LARGEST = 1024 * 1024  # bytes; the exporter writes no larger file
# A disk error, a full disk or a missing right can end; after any other error the name is wrong.
_UNWRITABLE = frozenset(getattr(errno, name, 0) for name in ("EROFS", "EACCES", "EPERM", "ENOSPC", "EDQUOT", "EIO", "ESTALE"))
CLOSING_SECONDS = 2.0  # time for pending writes when the exporter stops

Document = Mapping[str, Any]


class StateDirError(Exception):
    """The state directory cannot be used; the text is a message for the operator."""


class DocumentKind(StrEnum):
    TARGET = "target"
    CREDENTIAL = "credential"
    SQL_SERVER = "sql_server"


class StateFiles:
    """Documents by kind and name.

    `open` and `load` block; use the other methods from one event loop.

    `on_problem` receives a sentence for each damaged file, and one when writes start to fail.
    """

    def __init__(self, folder: Path, *, pool: DaemonThreadPool, on_problem: Callable[[str], None]) -> None:
        self._directory = PrivateDirectory(folder)
        self._pool = pool
        self._on_problem = on_problem
        self._pending: dict[str, bytes | None] = {}  # None removes the file
        self._failed: dict[str, bytes | None] = {}  # of the last batch; written again with the next one
        self._written: dict[str, bytes] = {}  # digests, to skip unchanged documents
        self._writer: asyncio.Task[None] | None = None
        self._failing = False

    def open(self) -> None:
        """Create the directory if missing, and lock it.

        A directory that cannot be written is a problem, reported once; the exporter reads it, and writes when that is possible.
        Raise StateDirError for one that is unsafe, no directory, or used by another process.
        """
        folder = self._directory.path
        try:
            self._directory.open()
        except BlockingIOError:
            problem = f"{folder}: another exporter uses this state directory: give each exporter its own"
        except UnsafeError as error:
            problem = str(error)
        except OSError as error:
            if error.errno in _UNWRITABLE:
                self._failing = True
                self._on_problem(
                    f"{folder}: cannot be written: {plainly(error)}: the exporter uses what it can read there and keeps nothing new"
                    " until it can write: correct the mount, the rights or the space"
                )
                return
            problem = (
                f"{folder}: the state directory cannot be used: {plainly(error)}: name one that the exporter may create and write"
            )
        else:
            return
        self._directory.close()
        raise StateDirError(problem)

    @property
    def is_writable(self) -> bool:
        """Whether the last write succeeded."""
        return not self._failing

    def load(self, kind: DocumentKind, name: str) -> Document | None:
        """Return the document with this name; None if it is missing or damaged."""
        if not self._directory.is_trusted:
            return None
        file = _file(kind, name)
        try:
            return _read(self._directory.read(file, limit=LARGEST), kind, name)
        except FileMissingError:
            return None
        except FileUnreadableError as error:
            self._on_problem(f"{self._directory.path / file}: cannot be read and is ignored: {error}")
        except ValueError as error:
            self._on_problem(f"{self._directory.path / file}: {error}; the file is ignored")
        return None

    def put(self, kind: DocumentKind, name: str, document: Document) -> None:
        """Schedule a write of plain JSON; the last document of a name wins."""
        file = _file(kind, name)
        text = json.dumps({**document, "version": VERSION, "kind": kind, "name": name}, allow_nan=False).encode()
        digest = sha256(text).digest()
        if self._written.get(file) != digest:
            self._written[file] = digest
            self._schedule(file, text)

    def remove(self, kind: DocumentKind, name: str) -> None:
        """Schedule the removal of the file with this name."""
        file = _file(kind, name)
        self._written.pop(file, None)
        self._schedule(file, None)

    async def aclose(self) -> None:
        """Finish pending writes and release the directory, within CLOSING_SECONDS.

        A dead mount can hang a close too; the end of the process then releases the directory.
        """
        with contextlib.suppress(TimeoutError, PoolExhausted):
            async with asyncio.timeout(CLOSING_SECONDS):
                if self._writer is not None:
                    await asyncio.gather(self._writer, return_exceptions=True)
                await self._pool.run(self._directory.close)

    def _schedule(self, file: str, text: bytes | None) -> None:
        self._pending[file] = text
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_pending(), name="state files")

    async def _write_pending(self) -> None:
        """Write in batches: documents that arrive during a write form the next batch, with those that could not be written."""
        while self._pending:
            batch, self._pending = self._failed | self._pending, {}
            try:
                failures = await self._pool.run(_write_all, self._directory, batch)
            except Exception as error:  # noqa: BLE001 - state is disposable: no thread, no file
                failures = dict.fromkeys(batch, str(error))
            self._failed = {file: batch[file] for file in failures}
            for file in failures:
                self._written.pop(file, None)
            self._report(failures)

    def _report(self, failures: dict[str, str]) -> None:
        if failures and not self._failing:
            file, why = next(iter(failures.items()))
            self._on_problem(f"{self._directory.path / file}: cannot be written and will be missing after a restart: {why}")
        self._failing = bool(failures)


def _file(kind: DocumentKind, name: str) -> str:
    return f"{kind}-{sha256(name.encode()).hexdigest()}.json"


def _read(content: bytes, kind: DocumentKind, name: str) -> Document:
    """Return the document. Raise ValueError with the problem."""
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


def _write_all(directory: PrivateDirectory, batch: Mapping[str, bytes | None]) -> dict[str, str]:
    """Write all files and return the errors by file. Blocks."""
    failures = {}
    for file, text in batch.items():
        try:
            if text is None:
                directory.remove(file)
            else:
                directory.write(file, text)
        except OSError as error:
            failures[file] = plainly(error)
        except UnsafeError as error:  # of a directory that someone created after the start
            failures[file] = str(error)
    return failures
