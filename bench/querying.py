"""Reads the counts of the server, and pages and metrics of an exporter or Prometheus, without parsing all of the text."""

from __future__ import annotations

import gzip
import json
import re
import socket
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.client import IncompleteRead

from bench.processes import spent
from bench.programs import Bench


def metrics(url: str) -> str:
    """The text of a scrape. On a busy machine the exporter may close a connection that is read too slowly: then with gzip."""
    with suppress(IncompleteRead):
        return received(f"{url}/metrics", {"Accept-Encoding": "identity"}).decode()
    return gzip.decompress(received(f"{url}/metrics", {"Accept-Encoding": "gzip"})).decode()


def received(url: str, headers: dict[str, str] | None = None, method: str = "GET") -> bytes:
    """The content of a response. Raises OSError for a status of 400 or more."""
    request = urllib.request.Request(url, headers=headers or {}, method=method)  # noqa: S310 - a loopback address
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - see above
        body: bytes = answer.read()
        return body


def drained(url: str, headers: dict[str, str] | None = None, path: str = "/metrics") -> int:
    """Read a path of `url` as cheaply as possible. Returns the size of the response with its head in bytes."""
    host, _, port = url.removeprefix("http://").partition(":")
    wanted = {"Host": host, "Connection": "close", **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in wanted.items())
    buffer, size = bytearray(1 << 20), 0
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
        while count := connection.recv_into(buffer):
            size += count
    return size


def page(url: str, path: str) -> str:
    return received(f"{url}{path}").decode()


def until(true: Callable[[], bool], what: str, *, seconds: float) -> None:
    """Wait for a condition. Raises RuntimeError after `seconds`."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise RuntimeError(f"not in {seconds:g} s: {what}")
        time.sleep(0.25)


def counts(bench: Bench) -> dict[str, float]:
    """The requests that the server received since the last reset. Resets them."""
    return {str(name): float(value) for name, value in json.loads(page(bench.server.url, "/reset")).items()}


def fail(bench: Bench, how: str, *, first: int) -> None:
    """Make the `first` vaults fail in the way `how`; an empty `how` ends the failures."""
    page(bench.server.url, f"/fail?how={how}&first={first}")


def values(text: str, sample: str) -> dict[str, float]:
    """The values of a sample, given by its whole name, by their label text."""
    return {labels: float(value) for labels, value in re.findall(rf"^{sample}(?:{{(.*)}})? (\S+)$", text, re.MULTILINE)}


def total(text: str, sample: str) -> float:
    return sum(values(text, sample).values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Time and processor time in seconds. `busy` is the share of one core that the server used."""

    wall: float
    cpu: float
    busy: float


class Watch:
    """Measures one process and the server from its creation to `stop`."""

    def __init__(self, bench: Bench, pid: int) -> None:
        self._pid, self._server = pid, bench.server.pid
        self._cpu, self._busy, self.begun = spent(self._pid), spent(self._server), time.monotonic()

    def stop(self) -> Window:
        wall = time.monotonic() - self.begun
        return Window(wall=wall, cpu=spent(self._pid) - self._cpu, busy=(spent(self._server) - self._busy) / wall)
