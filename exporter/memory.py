"""The state of all targets and credentials, with or without a directory in which it outlives a restart.

For: one place that both takes a report in and keeps what should not be forgotten.
Not for: what is kept (see `snapshots`), or how files are written (see `statefiles`).
"""

from __future__ import annotations

import logging
from pathlib import Path

from exporter.config.model import Target
from exporter.core.beside import Look
from exporter.core.model import ProbeReport
from exporter.history import Asked
from exporter.logs import fields
from exporter.snapshots import DamagedError, restore, snapshot
from exporter.state import State, TargetRecord
from exporter.statefiles import Document, Kind, StateFiles
from exporter.threads import DaemonPool

_log = logging.getLogger(__name__)
_THREADS = 1  # one writer; reading is done before anything runs


class Memory:
    """Used from one event loop. Without a directory it forgets everything with the process."""

    def __init__(self, state: State, folder: Path | None) -> None:
        self.state = state
        self._pool = DaemonPool(_THREADS, name="ekm-state") if folder is not None else None
        self._files = StateFiles(folder, pool=self._pool, on_problem=_say) if folder is not None and self._pool else None

    def open(self) -> None:
        """Takes hold of the directory. Raises StateDirError; blocks."""
        if self._files is not None:
            self._files.open()

    def recall(self, target: Target) -> TargetRecord:
        """The target's record, with what an earlier process knew of it. Blocks on a small file."""
        record = self.state.expect(target)
        seen = record.last is not None  # then what this process knows is newer
        document = None if self._files is None or seen else self._files.load(Kind.TARGET, target.name)
        if document is not None:
            try:
                restore(record, document)
            except DamagedError as error:
                _say(f"what was kept of {target.name} {error} and is ignored")
        return record

    def record(self, asked: Asked, report: ProbeReport, *, next_probe_at: float | None) -> TargetRecord:
        """Takes in one finished probe."""
        target = asked.target
        record = self.state.record(target, report, next_probe_at=next_probe_at, asked=asked)
        if self._files is not None:
            self._files.put(Kind.TARGET, target.name, snapshot(record))
        return record

    def looked(self, target: Target, look: Look) -> TargetRecord:
        """Takes in one look beside the main probe."""
        record = self.state.looked(target, look)
        if self._files is not None:
            self._files.put(Kind.TARGET, target.name, snapshot(record))
        return record

    def recall_credential(self, name: str) -> Document | None:
        """What an earlier process kept of a credential. Blocks on a small file."""
        return None if self._files is None else self._files.load(Kind.CREDENTIAL, name)

    def keep_credential(self, name: str, document: Document) -> None:
        if self._files is not None:
            self._files.put(Kind.CREDENTIAL, name, document)

    def forget(self, name: str) -> None:
        """A target is gone, and what was known of it goes with it."""
        self.state.forget(name)
        if self._files is not None:
            self._files.remove(Kind.TARGET, name)

    async def aclose(self) -> None:
        if self._files is not None:
            await self._files.aclose()
        if self._pool is not None:
            self._pool.close()


def _say(problem: str) -> None:
    _log.warning("state", extra=fields(problem=problem))
