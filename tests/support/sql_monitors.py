"""Configurations with SQL Servers, documents of them, and fakes for the tests of their monitor."""

import asyncio
from dataclasses import replace
from pathlib import Path

from exporter.config.settings import SecretSource, Settings, SqlServer
from exporter.sqlserver.document import Document, completed
from exporter.sqlserver.errors import lockout_after
from exporter.sqlserver.last_reading import document_of, updated
from exporter.sqlserver.monitor import SqlServerMonitor
from tests.support import factories
from tests.support.sql_inventory import rows_of

WALL = 1_800_000_000.0
INTERVAL = 300.0
LOGS = [{"database": "sales", "used_kb": 10}]


def now():
    return asyncio.get_running_loop().time()


def a_server(address="n1", **changes):
    known = {"user": "ekm", "password": SecretSource(file=Path("sql-password"))}
    return SqlServer(address=address, **(known | changes))


def servers_of(count):
    return [a_server(f"n{number}") for number in range(count)]


def a_config(*servers, interval=INTERVAL, credentials=()):
    config = factories.a_config(
        factories.a_target(), credentials=credentials, settings=Settings(sql_interval=interval, timeout=10.0)
    )
    return factories.with_sql_servers(config, *servers)


def a_document(name="N1\\SQLPRD01", *, address="n1", errors=(), **sections):
    """A whole reading of one server; `errors` names the sections that were refused."""
    rows = {**rows_of(name), "logs": LOGS, **sections}
    kept = {section: tuple(found) for section, found in rows.items() if section not in errors}
    return completed(Document(address=address, sections=kept, errors=dict.fromkeys(errors, "message 300: denied")))


def failed(text="does not answer", *, refused=0):
    return Document(address="n1", failure=text, refused_login=refused)


def reading_of(readings, address):
    """What is known of one server, None if it is not read."""
    return next((reading for reading in readings.readings() if reading.address == address), None)


async def restored_at_each_step(work, recorded):
    """The numbers of readings that another task sees while a monitor restores servers."""
    seen, task = [], asyncio.ensure_future(work)
    while not task.done():
        await asyncio.sleep(0)
        seen.append(len(recorded.readings))
    await task
    return sorted({*seen} - {0})


class FakeReader:
    """Answers readings without a thread. `answers` by address are used in turn; the last one repeats.

    An answer is a document, an exception, None for a held lockout, or a number: the server hangs for so many seconds.
    """

    def __init__(self):
        self.answers, self.busy = {}, set()
        self.readings, self.states, self.under_way, self.most, self.takes = [], [], 0, 0, 0.5
        self.cancelled, self.computed, self.closed = [], [], False

    def is_busy(self, address):
        return address in self.busy

    async def read(self, state, at):
        address = state.server.address
        self.readings.append((now(), address))
        self.states.append(replace(state))
        answers = self.answers.setdefault(address, [a_document()])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(answer if isinstance(answer, float) else self.takes)
        except asyncio.CancelledError:
            self.cancelled.append(address)
            raise
        finally:
            self.under_way -= 1
        if isinstance(answer, BaseException):
            raise answer
        return None if answer is None else self._attempt(state, answer, at)

    async def compute(self, function, *args):
        self.computed.append(function.__name__)
        await asyncio.sleep(0)
        return function(*args)

    def _attempt(self, state, answer, at):
        document = failed("not read to its end") if isinstance(answer, float) else answer
        lockout = lockout_after("ekm", b"secret", at) if document.refused_login else None
        reading = updated(state.reading, state.server, document, at, refused=lockout is not None)
        return replace(state, reading=reading, lockout=lockout), document_of(reading, lockout)

    def times(self, address="n1"):
        return [at for at, found in self.readings if found == address]

    def close(self):
        self.closed = True


class Recorded:
    """Records the monitor's callbacks, and is its state directory."""

    def __init__(self):
        self.readings, self.forgotten, self.errors, self.documents = [], [], [], {}
        self.preparations = []  # exceptions to raise first, and functions to return

    @property
    def callbacks(self):
        return {
            "compare": self._compare,
            "on_forgotten": self.forgotten.append,
            "on_internal_error": self.errors.append,
            "load": self.documents.get,
            "store": self.documents.__setitem__,
        }

    def _compare(self, reading):
        first = self.preparations.pop(0) if self.preparations else None
        if isinstance(first, Exception):
            raise first
        return first or (lambda: not self.readings.append(reading))


def a_monitor(config, reader, recorded, **more):
    how = {"clock": lambda: WALL + now(), "draw": lambda: 0.5, **recorded.callbacks, **more}
    return SqlServerMonitor(config, reader, **how)
