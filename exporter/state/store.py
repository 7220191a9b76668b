"""The state of all targets, credentials and SQL Servers, with or without a state directory."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from exporter.config.settings import Target
from exporter.core.auxiliary import AuxiliaryResult
from exporter.core.model import ProbeReport
from exporter.runtime.logging import fields
from exporter.runtime.thread_pool import DaemonThreadPool, PoolExhausted
from exporter.state.files import Document, DocumentKind, StateFiles
from exporter.state.history import ProbeContext
from exporter.state.records import TargetRecord, TargetRecords
from exporter.state.snapshots import DamagedError, restore, snapshot

OPENING_SECONDS = 5.0  # a slower directory is not used
LOADING_SECONDS = 10.0  # slower documents are not used

_log = logging.getLogger(__name__)
_READERS = 4  # a read that hangs occupies one of them
_THREADS = _READERS + 1  # and one writer

_Key = tuple[DocumentKind, str]


class StateStore:
    """The records of targets, kept over a restart if there is a directory. Use it from one event loop."""

    def __init__(self, state: TargetRecords, folder: Path | None) -> None:
        self.state = state
        self._folder = folder
        self._recalled: dict[_Key, Document | None] = {}
        self._pool = DaemonThreadPool(_THREADS, name="ekm-state") if folder is not None else None
        self._files = StateFiles(folder, pool=self._pool, on_problem=_report) if folder is not None and self._pool else None

    @property
    def has_folder(self) -> bool:
        """Whether there is a state directory."""
        return self._folder is not None

    @property
    def is_writable(self) -> bool:
        """Whether the directory keeps what is written."""
        return self._files is not None and self._files.is_writable

    async def open(self, targets: Iterable[str], credentials: Iterable[str], sql_servers: Iterable[str] = ()) -> None:
        """Open the directory and preload from it, within a time limit.

        Raise StateDirError.
        """
        if self._files is None or self._pool is None:
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
        if self._files is None or self._pool is None:
            return
        wanted = [(DocumentKind.TARGET, name) for name in targets if not self._is_seen(name)]
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
        record = self.state.expect(target)
        document = self._recalled.pop((DocumentKind.TARGET, target.name), None)
        if record.last is not None:  # the facts of this process are newer
            return record
        if document is not None:
            try:
                restore(record, document)
            except DamagedError as error:
                _report(f"what was kept of {target.name} {error} and is ignored")
        return record

    def record(self, context: ProbeContext, report: ProbeReport, *, next_probe_at: float | None) -> TargetRecord:
        """Add one finished probe."""
        target = context.target
        record = self.state.record(target, report, next_probe_at=next_probe_at, context=context)
        if self._files is not None:
            self._files.put(DocumentKind.TARGET, target.name, snapshot(record))
        return record

    def add_auxiliary(self, target: Target, result: AuxiliaryResult) -> TargetRecord:
        """Add the result of one auxiliary probe."""
        record = self.state.add_auxiliary(target, result)
        if self._files is not None:
            self._files.put(DocumentKind.TARGET, target.name, snapshot(record))
        return record

    def recall_document(self, kind: DocumentKind, name: str) -> Document | None:
        """Return the preloaded document of a credential or SQL Server."""
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
        self.state.forget(name)
        self.forget_document(DocumentKind.TARGET, name)

    async def aclose(self) -> None:
        if self._files is not None:
            await self._files.aclose()
        if self._pool is not None:
            self._pool.close()

    def _is_seen(self, name: str) -> bool:
        record = self.state.get(name)
        return record is not None and record.last is not None


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
