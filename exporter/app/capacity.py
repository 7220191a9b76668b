"""What the system must grant before the first probe: open files and threads.

A shortage during a probe skips that probe. One during an import would end the process, so what is needed is counted before.
"""

from __future__ import annotations

import itertools
import logging

from exporter.config.settings import Config
from exporter.core.probe_starts import files_of, slots_within
from exporter.runtime import process
from exporter.runtime.logging import fields
from exporter.web.server.listener import most_clients

_log = logging.getLogger(__name__)

FEWEST_THREADS = 16  # one for each part that blocks, and some for names
SQL_FILES = 12  # readings of SQL Servers at once, and requests for their tokens
_LOOP_FILES = 3
_OTHER_FILES = 16  # of the state directory, imports, expiry lookups and preflight checks


class CapacityError(Exception):
    """The system grants too little. The message is one line, names the limit and how much is needed."""


def require_threads() -> None:
    """Raise CapacityError if the system grants too few threads."""
    granted = process.threads_granted(FEWEST_THREADS)
    if granted < FEWEST_THREADS:
        raise CapacityError(
            f"the system grants this process {granted} more threads, and it needs at least {FEWEST_THREADS}: raise the limit "
            "(ulimit -u, TasksMax= of systemd, the process limit of a container)"
        )


def files_left(config: Config, *, listeners: int) -> int | None:
    """Raise the limit of open files, and return how many are left for probes and SQL Servers; None without a limit.

    Raises CapacityError if they are too few for one probe.
    """
    process.raise_file_limit()
    limit = process.file_limit()
    if limit is None:
        return None
    taken = process.open_files(limit) + _LOOP_FILES + listeners + _OTHER_FILES
    left = limit - most_clients(limit) - taken
    fewest = files_of(1) + _sql_files(config)
    if left < fewest:
        needed = next(each for each in itertools.count(limit + 1) if each - most_clients(each) - taken >= fewest)
        raise CapacityError(
            f"the process may open {limit} files, and needs at least {needed}: raise the limit (ulimit -n, LimitNOFILE= of systemd)"
        )
    return left


def probes_at_once(config: Config, files: int | None) -> int:
    """Return how many probes may run at once with so many files; logs if these are fewer than configured."""
    wanted = config.settings.concurrency
    if files is None:
        return wanted
    granted = max(1, min(wanted, slots_within(files - _sql_files(config))))
    if granted < wanted:
        extra = fields(concurrency=granted, wanted=wanted, limit=process.file_limit())
        _log.warning("fewer probes at once: the limit of open files is low", extra=extra)
    return granted


def _sql_files(config: Config) -> int:
    return SQL_FILES if config.sql_servers else 0
