"""Read many SQL Servers at the same time, each on a thread that ends with the process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from exporter.core.sql_addresses import SqlAddress
from exporter.sqlservers.failure import timeout_failure
from exporter.sqlservers.reading import SqlServerAccess, read_server
from exporter.tde.document import Document

Progress = Callable[[int, int], None]  # read, of them failed
_WAIT_SECONDS = 0.5  # Windows delivers Ctrl-C only between waits


def read_servers(servers: Sequence[SqlAddress], access: SqlServerAccess, *, parallel: int, progress: Progress) -> list[Document]:
    """Return the documents in the order of the servers. Ctrl-C abandons those that are being read.

    A thread that outlasts the time of a server, in a resolver or in the driver, is abandoned too.
    """
    return _Fleet(servers, access, progress).run(parallel)


class _Fleet:
    """One run: `waiting` has the numbers of the servers that no thread has begun, `begun` when each began."""

    def __init__(self, servers: Sequence[SqlAddress], access: SqlServerAccess, progress: Progress) -> None:
        self._servers, self._access, self._progress = servers, access, progress
        self._waiting: SimpleQueue[int] = SimpleQueue()
        self._done: SimpleQueue[tuple[int, Document | BaseException]] = SimpleQueue()
        self._begun: dict[int, float] = {}
        self._found: dict[int, Document] = {}

    def run(self, parallel: int) -> list[Document]:
        for number in range(len(self._servers)):
            self._waiting.put(number)
        for _ in range(min(parallel, len(self._servers))):
            self._start_thread()
        while len(self._found) < len(self._servers):
            try:
                number, outcome = self._done.get(timeout=_WAIT_SECONDS)
            except Empty:
                self._abandon()
                continue
            if isinstance(outcome, BaseException):
                raise outcome
            self._take(number, outcome)
        return [self._found[number] for number in range(len(self._servers))]

    def _start_thread(self) -> None:
        threading.Thread(target=self._work, name="sql", daemon=True).start()

    def _work(self) -> None:
        while True:
            try:
                number = self._waiting.get_nowait()
            except Empty:
                return
            self._begun[number] = time.monotonic()
            try:
                self._done.put((number, read_server(self._servers[number], self._access)))
            except BaseException as error:  # noqa: BLE001 - an internal error, which the caller raises
                self._done.put((number, error))

    def _take(self, number: int, document: Document) -> None:
        self._found.setdefault(number, document)
        self._progress(len(self._found), sum(one.failure is not None for one in self._found.values()))

    def _abandon(self) -> None:
        """Report the servers whose thread should have ended two queries ago, and start another thread for each."""
        latest = time.monotonic() - self._access.whole_seconds - 2 * self._access.seconds
        for number, begun in tuple(self._begun.items()):
            if number not in self._found and begun < latest:
                failure = str(timeout_failure(self._access.seconds, self._access.words))
                self._take(number, Document(address=self._servers[number].text, failure=failure))
                self._start_thread()
