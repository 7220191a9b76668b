"""300 SQL Servers that the exporter reads between its probes, ten databases each; one in ten never answers a login.

The rate is that of a reading every five minutes. Slices with and without the section `sql_servers` alternate in one process, by reloads;
ratios compare the least disturbed ones. A relay counts the bytes. The processor time of a real SQL Server is not measured.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from bench.accuracy import error, waits
from bench.figures import Figure, percentile
from bench.processes import python, started
from bench.programs import Bench, Fleet, Running, exporter
from bench.querying import Watch, counts, metrics, received, total, values
from bench.sizes import Sizes
from bench.steady import lag_p99
from exporter.core import durations
from exporter.core.names import parse_sql_address
from exporter.sqlserver.read import SqlServerAccess, read_server
from exporter.sqlserver.script import batches, proof_batches
from exporter.sqlserver.tds import Result, SqlConnection, SqlLogin, make_context

WAIT = 0.02  # seconds before each response of a vault
_LAG = "ekm_exporter_schedule_lag_seconds"
_SETTLES = 1.0  # seconds after a reload
_DATABASES = 10  # of each SQL Server
_SILENT = 10  # one SQL Server of so many never answers a login


@dataclass(slots=True)
class Slices:
    """One value for each slice: milliseconds, and percent of a core."""

    lag_p99: list[float] = field(default_factory=list)
    lag: list[float] = field(default_factory=list)
    error: list[float] = field(default_factory=list)
    error_p99: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def take(self, bench: Bench, running: Running, seconds: float) -> None:
        counts(bench)
        before, watch = metrics(running.url), Watch(bench, running.pid)
        time.sleep(seconds)
        spent, after, waited = watch.stop(), metrics(running.url), counts(bench)["waited"]
        lag, starts = (total(after, name) - total(before, name) for name in (f"{_LAG}_sum", f"{_LAG}_count"))
        errors = [abs(one - waited) for one in waits(after)]
        self.lag_p99.append(1000 * lag_p99(after, before))
        self.lag.append(1000 * lag / starts)
        self.error.append(error(waits(after), waited))
        self.error_p99.append(1000 * percentile(errors, 0.99))
        self.cpu.append(100 * spent.cpu / spent.wall)


def simulated(servers: int) -> str:
    """The configuration of a simulator with so many SQL Servers, of ten databases each."""
    lines = ["credentials:", "  tde: {type: connector_secret, secret_file: secret}", "targets:"]
    for first in range(0, servers, _DATABASES):
        numbers = range(first, min(first + _DATABASES, servers))
        instances = ", ".join(f"{{sql_instance: SQL{number:05}, host: n{number}}}" for number in numbers)
        lines += [
            f"  - {{name: d{first + each}, vault: contoso-{first}, key: Key/{first:032x}, credential: tde, instances: [{instances}]}}"
            for each in range(_DATABASES)
        ]
    return "\n".join(lines) + "\n"


@contextmanager
def sql_servers(bench: Bench, servers: int) -> Iterator[Path]:
    """Run simulated SQL Servers, and yield the folder with their addresses, password and authority."""
    config, out = bench.fresh("simulator.yml"), bench.fresh("simulator")
    (bench.folder / "secret").write_text("0" * 31 + "1not-a-secret", encoding="utf-8")
    config.write_text(simulated(servers), encoding="utf-8")
    ports = ("--sim.port", 0, "--sim.management-port", 0)
    command = python("exporter", "simulate", "--sql", "--config.file", config, "--out", out, *ports)
    with started(*command, pattern=r"(http://127\.0\.0\.1:\d+)/sim/fault", log=bench.fresh("simulator.log")) as (_, url):
        for number in range(0, servers, _SILENT):
            fault = json.dumps({"sql": f"N{number}\\SQL{number:05}", "fault": "sql_silent"}).encode()
            urllib.request.urlopen(urllib.request.Request(f"{url}/sim/fault", fault), timeout=60).close()  # noqa: S310 - loopback
        yield out


def section(folder: Path) -> str:
    """The lines of the configuration that name the SQL Servers."""
    files = f"user: ekm, password_file: {folder / 'sql-password'}, ca_file: {folder / 'ca.pem'}"
    lines = [f"sql_server_defaults: {{{files}}}", "sql_servers:"]
    return "\n".join([*lines, *(f'  - {{address: "{address}"}}' for address in addresses(folder))]) + "\n"


def addresses(folder: Path) -> list[str]:
    return re.findall(r"^\S+", (folder / "sql-servers.txt").read_text(encoding="utf-8"), re.MULTILINE)


def measure(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    fleet = Fleet(targets=sizes.sql_fleet, interval=sizes.sql_slice / 1.1)
    without, reading = Slices(), Slices()
    with sql_servers(bench, sizes.sql_fleet) as folder, exporter(bench, fleet) as running:
        config = bench.newest("ekm.yml")
        plain = config.read_text(encoding="utf-8")
        lines = plain.replace("global: {", f"global: {{sql_interval: {durations.write(sizes.sql_interval)}, ", 1)
        time.sleep(sizes.sql_slice)
        for _ in range(2 * sizes.runs):
            time.sleep(_SETTLES)
            without.take(bench, running, sizes.sql_slice)
            config.write_text(lines + section(folder), encoding="utf-8")
            received(f"{running.url}/-/reload", method="POST")
            time.sleep(_SETTLES)
            reading.take(bench, running, sizes.sql_slice)
            text = metrics(running.url)
            config.write_text(plain, encoding="utf-8")
            received(f"{running.url}/-/reload", method="POST")
        cost = list(one_reading(folder))
    yield from figures(without, reading, sizes, text)
    yield from cost


def figures(without: Slices, reading: Slices, sizes: Sizes, text: str) -> Iterator[Figure]:
    read = list(values(text, "mssql_ekm_read_success").values())
    span = f"{sizes.sql_fleet} SQL Servers read every {sizes.sql_interval:g} s"
    how = (
        f"slices of {sizes.sql_slice:g} s in turn, in one process with {sizes.sql_fleet} targets; one in {_SILENT} servers hangs; in the "
        f"last slice {read.count(1.0)} were read"
    )
    for name, lists in (
        ("start lag, p99", (reading.lag_p99, without.lag_p99)),
        ("mean start lag", (reading.lag, without.lag)),
        ("median error of a step", (reading.error, without.error)),
        ("p99 of the error of a step", (reading.error_p99, without.error_p99)),
    ):
        for other, runs in zip(("", ", without SQL Servers"), lists, strict=True):
            yield Figure(what=f"{span}: {name}{other}", runs=runs, unit="ms", how=how)
        # Other programs only add to an error, so the least disturbed slices are compared.
        ratio, commit = [min(lists[0]) / min(lists[1])], 1.05 if name == "median error of a step" else None
        what = f"{span}: {name}, against without"
        yield Figure(what=what, runs=ratio, unit="times", commit=commit, how="the lowest slice of each")
    more = [one - other for one, other in zip(reading.cpu, without.cpu, strict=True)]
    yield Figure(what=f"{span}: processor time", runs=more, unit="% of a core", how="more than without")


def one_reading(folder: Path) -> Iterator[Figure]:
    """Read one SQL Server through a relay that counts bytes."""
    password = (folder / "sql-password").read_text(encoding="utf-8")
    statements, query = [], SqlConnection.query

    def counted(connection: SqlConnection, batch: str) -> Result:
        statements.append(batch)
        return query(connection, batch)

    SqlConnection.query = counted  # type: ignore[method-assign]
    try:
        with Relay(int(addresses(folder)[1].rpartition(",")[2])) as relay:
            access = SqlServerAccess(SqlLogin("ekm", password), make_context(folder / "ca.pem", verify=True), 10.0)
            document = read_server(parse_sql_address(f"127.0.0.1,{relay.port}"), access, batches() + proof_batches())
    finally:
        SqlConnection.query = query  # type: ignore[method-assign]
    if document.failure:
        raise RuntimeError(document.failure)
    rows, how = (
        sum(map(len, document.sections.values())),
        f"one SQL Server with {_DATABASES} encrypted databases, registry included",
    )
    yield Figure(what="a reading: statements", runs=[len(statements)], unit="", how=how)
    yield Figure(what="a reading: rows", runs=[rows], unit="", how=how)
    yield Figure(what="a reading: received", runs=[relay.received / 1024], unit="KB", how=f"{how}; TLS, without TCP/IP")
    yield Figure(what="a reading: sent", runs=[relay.sent / 1024], unit="KB", how=f"{how}; TLS, without TCP/IP")


class Relay:
    """Passes one connection on to a port of loopback, and counts its bytes in both directions."""

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._target, self.port = port, self._listener.getsockname()[1]
        self.sent = self.received = 0
        self._thread = threading.Thread(target=self._relay, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self._thread.join()

    def _relay(self) -> None:
        with self._listener.accept()[0] as client, socket.create_connection(("127.0.0.1", self._target)) as server:
            back = threading.Thread(target=self._pass, args=(server, client), daemon=True)
            back.start()
            self.sent = _passed(client, server)
            back.join()

    def _pass(self, server: socket.socket, client: socket.socket) -> None:
        self.received = _passed(server, client)


def _passed(source: socket.socket, target: socket.socket) -> int:
    size = 0
    while data := source.recv(65536):
        size += len(data)
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)
    return size
