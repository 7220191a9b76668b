"""The state of all targets and credentials, with or without a directory in which it outlives a restart.

For: one place that both takes a report in and keeps what should not be forgotten.
Not for: what is kept (see `snapshots`), or how files are written (see `files`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from exporter.config.model import Target
from exporter.core.auxiliary import AuxiliaryResult
from exporter.core.model import ProbeReport
from exporter.runtime.logging import fields
from exporter.runtime.thread_pool import DaemonThreadPool, PoolExhausted
from exporter.state.files import Document, DocumentKind, StateFiles
from exporter.state.history import ProbeContext
from exporter.state.records import TargetRecord, TargetRecords
from exporter.state.snapshots import DamagedError, restore, snapshot

OPENING_SECONDS = 5.0  # a directory that has not answered by then is not used
LOADING_SECONDS = 10.0  # documents that have not been read by then are not used

_log = logging.getLogger(__name__)
_READERS = 4  # a document that hangs keeps one of them
_THREADS = _READERS + 1  # and one writer

_Key = tuple[DocumentKind, str]


class StateStore:
    """Used from one event loop. Without a directory it forgets everything with the process."""

    def __init__(self, state: TargetRecords, folder: Path | None) -> None:
        self.state = state
        self._folder = folder
        self._recalled: dict[_Key, Document | None] = {}
        self._pool = DaemonThreadPool(_THREADS, name="ekm-state") if folder is not None else None
        self._files = StateFiles(folder, pool=self._pool, on_problem=_say) if folder is not None and self._pool else None

    async def open(self, targets: Iterable[str], credentials: Iterable[str]) -> None:
        """Takes hold of the directory and preloads from it, unless it does not answer in time. Raises StateDirError."""
        if self._files is None or self._pool is None:
            return
        try:
            async with asyncio.timeout(OPENING_SECONDS):
                await self._pool.run(self._files.open)
        except (TimeoutError, PoolExhausted):
            self._files = None
            _say(f"{self._folder} did not answer within {OPENING_SECONDS:g} s: nothing is kept until a restart; check its mount")
        await self.preload(targets, credentials)

    async def preload(self, targets: Iterable[str], credentials: Iterable[str] = ()) -> None:
        """Reads what an earlier process kept, for `recall` and `recall_credential`. Takes `LOADING_SECONDS` at most."""
        if self._files is None or self._pool is None:
            return
        wanted = [(DocumentKind.TARGET, name) for name in targets if not self._is_seen(name)]
        wanted += [(DocumentKind.CREDENTIAL, name) for name in credentials]
        if not wanted:
            return
        todo, found = deque(wanted), dict[_Key, Document | None]()
        try:
            async with asyncio.timeout(LOADING_SECONDS):
                await asyncio.gather(*(self._pool.run(_load_all, self._files, todo, found) for _ in range(_READERS)))
        except (TimeoutError, PoolExhausted):
            todo.clear()
            unread = len(wanted) - len(found)
            _say(f"{unread} of {len(wanted)} files in {self._folder} could not be read in time and are ignored; check its mount")
        self._recalled = found.copy()

    def recall(self, target: Target) -> TargetRecord:
        """The target's record, with what an earlier process knew of it, as far as that was preloaded."""
        record = self.state.expect(target)
        document = self._recalled.pop((DocumentKind.TARGET, target.name), None)
        if record.last is not None:  # then what this process knows is newer
            return record
        if document is not None:
            try:
                restore(record, document)
            except DamagedError as error:
                _say(f"what was kept of {target.name} {error} and is ignored")
        return record

    def record(self, asked: ProbeContext, report: ProbeReport, *, next_probe_at: float | None) -> TargetRecord:
        """Takes in one finished probe."""
        target = asked.target
        record = self.state.record(target, report, next_probe_at=next_probe_at, asked=asked)
        if self._files is not None:
            self._files.put(DocumentKind.TARGET, target.name, snapshot(record))
        return record

    def looked(self, target: Target, look: AuxiliaryResult) -> TargetRecord:
        """Takes in one look beside the main probe."""
        record = self.state.add_auxiliary(target, look)
        if self._files is not None:
            self._files.put(DocumentKind.TARGET, target.name, snapshot(record))
        return record

    def recall_credential(self, name: str) -> Document | None:
        """What an earlier process kept of a credential, if that was preloaded."""
        return self._recalled.pop((DocumentKind.CREDENTIAL, name), None)

    def keep_credential(self, name: str, document: Document) -> None:
        if self._files is not None:
            self._files.put(DocumentKind.CREDENTIAL, name, document)

    def forget(self, name: str) -> None:
        """A target is gone, and what was known of it goes with it."""
        self.state.forget(name)
        if self._files is not None:
            self._files.remove(DocumentKind.TARGET, name)

    async def aclose(self) -> None:
        if self._files is not None:
            await self._files.aclose()
        if self._pool is not None:
            self._pool.close()

    def _is_seen(self, name: str) -> bool:
        record = self.state.get(name)
        return record is not None and record.last is not None


def _load_all(files: StateFiles, todo: deque[_Key], found: dict[_Key, Document | None]) -> None:
    """Blocks. Several threads share the documents that are still to be read."""
    while True:
        try:
            kind, name = todo.popleft()
        except IndexError:
            return
        found[kind, name] = files.load(kind, name)


def _say(problem: str) -> None:
    _log.warning("state", extra=fields(problem=problem))
