"""The state of all targets, credentials and SQL Servers, with or without a state directory.

The directory has a small JSON file for each. State is disposable: a file that cannot be read or written loses its content only, and the
problem is logged once. A worker thread writes the files. One process uses a directory. Files never contain secrets.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from exporter.config.settings import Target
from exporter.knowledge.expiry import EntraAnswer, entra_answer
from exporter.knowledge.report import ProbeReport, StepResult
from exporter.knowledge.verdict import AuxiliaryResult
from exporter.runtime import process
from exporter.runtime.files import FileMissingError, FileUnreadableError, plainly, read_whole
from exporter.runtime.logging import fields
from exporter.runtime.tasks import DaemonThreadPool, PoolExhausted
from exporter.state.history import History, ProbeContext
from exporter.state.record import DamagedError, TargetRecord, is_stale_at, restore, snapshot, with_known_key

# A directory of small files for one process, safe from links and other users.
# A descriptor holds the directory, so a renamed or replaced parent has no effect. Links, pipes, sockets and devices are refused:
# reads and writes do not follow or wait for them. Every method blocks; any thread may call.

_FLAGS = process.NO_LINKS | process.OPEN_FLAGS
_LOCK, _TRIAL = "lock", "probe"


class UnsafeError(Exception):
    """Other users can change files in the directory. The text is a message for the operator."""


class PrivateDirectory:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder: int | None = None
        self._lock: int | None = None
        self.is_trusted = False  # no other user can write to it

    def open(self) -> None:
        """Create the directory if missing, and lock it; a directory that this object has opened stays as it is.

        Raise UnsafeError, OSError, or BlockingIOError if locked. After an OSError files can be read if there are any, and each
        write tries to lock the directory again.
        """
        if self._lock is not None:
            return
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._folder is None:
            self._folder = process.open_directory(self.path)
        self._refuse_other_writers()
        self.is_trusted = True
        descriptor = self._opened(_LOCK, os.O_RDWR | os.O_CREAT)
        try:
            self._take(descriptor)
            self._lock = descriptor
        finally:
            if self._lock is None:
                os.close(descriptor)

    def _take(self, descriptor: int) -> None:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UnsafeError(f"{self.path / _LOCK}: is not a regular file; remove it")
        process.lock(descriptor)
        self._replace(_TRIAL, b"")
        self.remove(_TRIAL)

    def close(self) -> None:
        """Release the lock and the directory."""
        for descriptor in (self._lock, self._folder):
            if descriptor is not None:
                os.close(descriptor)
        self._lock = self._folder = None
        self.is_trusted = False

    def read(self, name: str, *, limit: int) -> bytes:
        """Raises FileUnreadableError, nothing else."""
        return read_whole(self._place(name), limit=limit, follow=False, folder=self._folder)

    def write(self, name: str, content: bytes) -> None:
        """Replace a file completely or not at all. Raise OSError or UnsafeError.

        A killed process loses no file: the kernel has it. Only a power failure can, and waiting for the disk would cost a busy
        host a flush for each probe.
        """
        self.open()
        self._replace(name, content)

    def _replace(self, name: str, content: bytes) -> None:
        temporary = Path(name).with_suffix(".tmp").name
        self.remove(temporary)  # of a process that was killed
        descriptor = self._opened(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.replace(self._place(temporary), self._place(name), src_dir_fd=self._folder, dst_dir_fd=self._folder)

    def remove(self, name: str) -> None:
        """Remove a file if there is one. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._place(name), dir_fd=self._folder)

    def _opened(self, name: str, flags: int) -> int:
        return os.open(self._place(name), flags | _FLAGS, 0o600, dir_fd=self._folder)

    def _place(self, name: str) -> Path:
        return self.path / name if self._folder is None else Path(name)

    def _refuse_other_writers(self) -> None:
        held = self.path.stat() if self._folder is None else os.fstat(self._folder)
        reason = process.other_writers(held) or process.other_writers(self.path.lstat())
        if reason:
            raise UnsafeError(
                f"{self.path}: {reason}, so its content cannot be trusted; give it to the exporter's user alone (chown, chmod 0700)"
                " or name a new directory inside it"
            )


VERSION = 2
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
        document = {**document, "version": VERSION, "kind": kind, "name": name}
        try:
            text = msgspec.json.encode(document)
        except UnicodeEncodeError:  # a lone surrogate in a text of SQL Server
            text = json.dumps(msgspec.to_builtins(document)).encode()
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


OPENING_SECONDS = 5.0  # a slower directory is not used
LOADING_SECONDS = 10.0  # slower documents are not used

HISTORY_BYTES = 64 * 1024 * 1024  # of all targets together

_log = logging.getLogger(__name__)
_READERS = 4  # a read that hangs occupies one of them
_THREADS = _READERS + 1  # and one writer

_Key = tuple[DocumentKind, str]


class StateStore:
    """The records of all targets, kept over a restart if there is a directory. Use it from one event loop."""

    def __init__(self, folder: Path | None = None, *, history_limit: int, history_bytes: int = HISTORY_BYTES) -> None:
        """Keep `history_limit` probes and as many failures for each target."""
        self._limit, self._bytes, self._folder = history_limit, history_bytes, folder
        self._records: dict[str, TargetRecord] = {}
        self._answers: dict[str, EntraAnswer | None] = {}  # by credential
        self._probes = 0
        self._recalled: dict[_Key, Document | None] = {}
        self._pool = DaemonThreadPool(_THREADS, name="ekm-state")  # starts its threads when they are needed
        self._files = None if folder is None else StateFiles(folder, pool=self._pool, on_problem=_report)

    @property
    def has_folder(self) -> bool:
        """Whether there is a state directory."""
        return self._folder is not None

    @property
    def is_writable(self) -> bool:
        """Whether the directory keeps what is written."""
        return self._files is not None and self._files.is_writable

    async def open(self, targets: Iterable[str], credentials: Iterable[str], sql_servers: Iterable[str] = ()) -> None:
        """Open the directory and preload from it, within a time limit. Raise StateDirError."""
        if self._files is None:
            return
        files, self._files = self._files, None  # a thread may hold it even after a time-out or a stop
        try:
            async with asyncio.timeout(OPENING_SECONDS):
                await self._pool.run(files.open)
        except (TimeoutError, PoolExhausted):
            _report(
                f"{self._folder} did not answer within {OPENING_SECONDS:g} s: nothing is kept until a restart; check its mount"
            )
            return
        self._files = files
        await self.preload(targets, credentials, sql_servers)

    async def preload(self, targets: Iterable[str], credentials: Iterable[str] = (), sql_servers: Iterable[str] = ()) -> None:
        """Read the documents of an earlier process within `LOADING_SECONDS`."""
        if self._files is None:
            return
        unseen = [name for name in targets if (record := self._records.get(name)) is None or record.last is None]
        wanted = [(DocumentKind.TARGET, name) for name in unseen]
        wanted += [(DocumentKind.CREDENTIAL, name) for name in credentials]
        wanted += [(DocumentKind.SQL_SERVER, address) for address in sql_servers]
        if not wanted:
            return
        todo, found = deque(wanted), dict[_Key, Document | None]()
        try:
            async with asyncio.timeout(LOADING_SECONDS):
                await asyncio.gather(*(self._pool.run(_load_all, self._files, todo, found) for _ in range(_READERS)))
        except (TimeoutError, PoolExhausted):
            todo.clear()
            unread = len(wanted) - len(found)
            _report(
                f"{unread} of {len(wanted)} files in {self._folder} could not be read in time and are ignored; check its mount"
            )
        self._recalled = found.copy()

    def recall(self, target: Target) -> TargetRecord:
        """Return the record of a target, with the preloaded facts of an earlier process."""
        record = self.expect(target)
        document = self.recall_document(DocumentKind.TARGET, target.name)
        if document is not None and record.last is None:  # otherwise the facts of this process are newer
            try:
                restore(record, document)
            except DamagedError as error:
                _report(f"what was kept of {target.name} {error} and is ignored")
        return record

    def record(
        self, target: Target, report: ProbeReport, *, next_probe_at: float | None = None, context: ProbeContext | None = None
    ) -> TargetRecord:
        """Add one finished probe of a target as it was configured when the probe started."""
        record = self.expect(target)
        report = with_known_key(report, record.key)
        record.add_report(report)
        record.next_probe_at = next_probe_at
        self._add_answer(target.credential, report.steps, report.started_at)
        self._probes += 1
        record.history.add(report, self._probes, most_bytes=self._bytes / len(self._records), context=context)
        if self._files is not None:
            self._files.put(DocumentKind.TARGET, target.name, snapshot(record))
        return record

    def expect(self, target: Target) -> TargetRecord:
        """Return the record of a target; create it if missing. Facts about a previous vault or key are dropped."""
        record = self._records.get(target.name)
        if record is None or record.target.vault != target.vault:
            record = self._records[target.name] = TargetRecord(target, History(self._limit))
        elif record.target != target:
            record.update_target(target)
        return record

    def add_auxiliary(self, target: Target, result: AuxiliaryResult) -> TargetRecord:
        """Add the result of one auxiliary probe."""
        record = self.expect(target)
        record.add_auxiliary(result)
        self._add_answer(result.credential, result.steps, result.at)
        if self._files is not None:
            self._files.put(DocumentKind.TARGET, target.name, snapshot(record))
        return record

    def entra_answer(self, credential: str) -> EntraAnswer | None:
        """Return the newest answer of Entra ID to a credential, over all targets; None without one."""
        return self._answers.get(credential)

    def _add_answer(self, credential: str, steps: Sequence[StepResult], at: float) -> None:
        before = self._answers.get(credential)
        if before is None or at >= before.at:
            self._answers[credential] = entra_answer(steps, at, before)

    def get(self, name: str) -> TargetRecord | None:
        return self._records.get(name)

    def invalidate_verdict(self, name: str) -> None:
        """Drop the verdict of a target, if there is one."""
        if name in self._records:
            self._records[name].invalidate_verdict()

    def unmeasured(self, now: float) -> dict[str, float]:
        """Return the targets that are not measured at `now`, and the share of the time that this host lost.

        Drop their last results, those of auxiliary probes too.
        """
        found = {}
        for name, record in self._records.items():
            if record.discarded is not None and record.unmeasured_at(now):
                record.last = None
                record.auxiliary.clear()
                found[name] = record.discarded.stolen or 0.0
        return found

    def stale(self, now: float) -> set[str]:
        """Return the names of targets whose verdict is too old at `now`."""
        return {
            name
            for name, record in self._records.items()
            if record.last is not None and is_stale_at(record.target, record.last.started_at, now)
        }

    def recall_document(self, kind: DocumentKind, name: str) -> Document | None:
        """Return the preloaded document."""
        return self._recalled.pop((kind, name), None)

    def keep_document(self, kind: DocumentKind, name: str, document: Document) -> None:
        """Write the document of a credential or SQL Server."""
        if self._files is not None:
            self._files.put(kind, name, document)

    def forget_document(self, kind: DocumentKind, name: str) -> None:
        """Remove a file."""
        if self._files is not None:
            self._files.remove(kind, name)

    def forget(self, name: str) -> None:
        """Remove a target with its record and its file."""
        self._records.pop(name, None)
        self.forget_document(DocumentKind.TARGET, name)

    async def aclose(self) -> None:
        if self._files is not None:
            await self._files.aclose()
        self._pool.close()


def _load_all(files: StateFiles, todo: deque[_Key], found: dict[_Key, Document | None]) -> None:
    """Load documents until none is left. Blocks; several threads share the queue."""
    while True:
        try:
            kind, name = todo.popleft()
        except IndexError:
            return
        found[kind, name] = files.load(kind, name)


def _report(problem: str) -> None:
    _log.warning("state", extra=fields(problem=problem))
