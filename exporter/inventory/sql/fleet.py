"""Read many SQL Servers at the same time, each on a thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed

from exporter.core.inventory.document import Document
from exporter.core.inventory.server_name import ServerName
from exporter.inventory.sql.reading import Access, read_server

Progress = Callable[[int, int], None]  # read, of them failed


def read_servers(servers: Sequence[ServerName], access: Access, *, parallel: int, progress: Progress) -> Iterator[Document]:
    """Return the documents in the order of the servers. Ctrl-C waits only for batches that run."""
    executor = ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="sql")
    try:
        running = [executor.submit(read_server, server, access) for server in servers]
        failed = 0
        for number, one in enumerate(as_completed(running), start=1):
            failed += one.result().failure is not None
            progress(number, failed)
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    executor.shutdown()
    return map(Future.result, running)
