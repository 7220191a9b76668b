"""Read many SQL Servers at the same time, each on a thread that ends with the process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from exporter.core.inventory.document import Document
from exporter.core.inventory.server_name import ServerName
from exporter.inventory.sql.reading import Access, read_server

Progress = Callable[[int, int], None]  # read, of them failed
_WAIT_SECONDS = 0.5  # Windows delivers Ctrl-C only between waits


def read_servers(servers: Sequence[ServerName], access: Access, *, parallel: int, progress: Progress) -> list[Document]:
    """Return the documents in the order of the servers. Ctrl-C abandons those that are being read."""
    waiting: SimpleQueue[int] = SimpleQueue()
    done: SimpleQueue[tuple[int, Document | BaseException]] = SimpleQueue()

    def work() -> None:
        while True:
            try:
                number = waiting.get_nowait()
            except Empty:
                return
            try:
                done.put((number, read_server(servers[number], access)))
            except BaseException as error:  # noqa: BLE001 - an internal error, which the caller raises
                done.put((number, error))

    for number in range(len(servers)):
        waiting.put(number)
    for _ in range(min(parallel, len(servers))):
        threading.Thread(target=work, name="sql", daemon=True).start()
    return _collect(len(servers), done, progress)


def _collect(total: int, done: SimpleQueue[tuple[int, Document | BaseException]], progress: Progress) -> list[Document]:
    found: dict[int, Document] = {}
    failed = 0
    while len(found) < total:
        try:
            number, outcome = done.get(timeout=_WAIT_SECONDS)
        except Empty:
            continue
        if isinstance(outcome, BaseException):
            raise outcome
        found[number] = outcome
        failed += outcome.failure is not None
        progress(len(found), failed)
    return [found[number] for number in range(total)]
