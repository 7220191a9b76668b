"""Read the server's counts and an exporter's metrics.

For: reading, and picking single numbers out of the text without parsing all of it.
`programs` starts the processes.
"""

from __future__ import annotations

import json
import re
import socket
import time
import urllib.request
from dataclasses import dataclass

from bench.processes import spent
from bench.programs import Bench


def metrics(url: str) -> str:
    with urllib.request.urlopen(f"{url}/metrics", timeout=60) as answer:  # noqa: S310 - a loopback address
        return str(answer.read().decode())


def drained(url: str, headers: dict[str, str] | None = None) -> int:
    """Bytes of a whole answer of `url`/metrics, head included, read as cheaply as Python can: a client must not be what is measured."""
    host, _, port = url.removeprefix("http://").partition(":")
    wanted = {"Host": host, "Connection": "close", **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in wanted.items())
    buffer, size = bytearray(1 << 20), 0
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(f"GET /metrics HTTP/1.1\r\n{head}\r\n".encode())
        while received := connection.recv_into(buffer):
            size += received
    return size


def counts(bench: Bench) -> dict[str, float]:
    """Requests that the server received since the last reset."""
    with urllib.request.urlopen(f"{bench.server.url}/reset", timeout=60) as answer:  # noqa: S310 - a loopback address
        return {str(name): float(value) for name, value in json.load(answer).items()}


def fail(bench: Bench, how: str, *, first: int) -> None:
    """From now on so many vaults fail, those with the lowest numbers; with no word they are well again."""
    with urllib.request.urlopen(f"{bench.server.url}/fail?how={how}&first={first}", timeout=60) as answer:  # noqa: S310 - fixed commands
        answer.read()


def values(text: str, sample: str) -> dict[str, float]:
    """By labels, as they are written; the whole name of the sample."""
    return {labels: float(value) for labels, value in re.findall(rf"^{sample}(?:{{(.*)}})? (\S+)$", text, re.MULTILINE)}


def total(text: str, sample: str) -> float:
    return sum(values(text, sample).values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What was spent in a stretch of time. Seconds; `busy` is the share of one core that the server had."""

    wall: float
    cpu: float
    busy: float


class Watch:
    """From its making to `stop`, over one process and the server."""

    def __init__(self, bench: Bench, pid: int) -> None:
        self._pid, self._server = pid, bench.server.pid
        self._cpu, self._busy, self.begun = spent(self._pid), spent(self._server), time.monotonic()

    def stop(self) -> Window:
        wall = time.monotonic() - self.begun
        return Window(wall=wall, cpu=spent(self._pid) - self._cpu, busy=(spent(self._server) - self._busy) / wall)
