"""Reads the counts of the server, and pages and metrics of an exporter or Prometheus, without parsing all of the text."""

from __future__ import annotations

import gzip
import json
import re
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import NamedTuple

from bench.processes import spent
from bench.programs import Bench


def page(url: str, path: str) -> str:
    """The content of a response, fetched with gzip if there is. Raises OSError for a status of 400 or more."""
    request = urllib.request.Request(f"{url}{path}", headers={"Accept-Encoding": "gzip"})  # noqa: S310 - a loopback address
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - see above
        body: bytes = answer.read()
    return (gzip.decompress(body) if answer.headers["Content-Encoding"] else body).decode()


def metrics(url: str) -> str:
    return page(url, "/metrics")


def drained(url: str, path: str = "/metrics", headers: Mapping[str, str] = MappingProxyType({})) -> int:
    """Read a path of `url` as cheaply as possible. Returns the size of the response with its head in bytes."""
    host, _, port = url.removeprefix("http://").partition(":")
    wanted = {"Host": host, "Connection": "close", **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in wanted.items())
    buffer, size = bytearray(1 << 20), 0
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
        while count := connection.recv_into(buffer):
            size += count
    return size


@contextmanager
def repeated(action: Callable[[], object], every: float) -> Iterator[list[float]]:
    """Repeat an action in a thread, and yield the durations in seconds."""
    over, took = threading.Event(), list[float]()

    def run() -> None:
        while not over.is_set():
            begun = time.monotonic()
            action()
            took.append(time.monotonic() - begun)
            over.wait(max(0.0, every - took[-1]))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield took
    finally:
        over.set()
        thread.join()


def until(true: Callable[[], object], what: str, *, seconds: float) -> None:
    """Wait until a condition is true; an OSError is a no. Raises RuntimeError after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(OSError):
            if true():
                return
        time.sleep(0.25)
    raise RuntimeError(f"not in {seconds:g} s: {what}")


def counts(bench: Bench) -> dict[str, float]:
    """The requests that the server received since the last reset. Resets them."""
    return {str(name): float(value) for name, value in json.loads(page(bench.server.url, "/reset")).items()}


def behave(bench: Bench, *, failing: str = "", first: int = 0, wait: float = 0.0) -> None:
    """Make the `first` vaults fail in the way `failing`, and each vault wait for `wait` seconds before a response."""
    page(bench.server.url, f"/behave?failing={failing}&first={first}&wait={wait}")


def values(text: str, sample: str) -> dict[str, float]:
    """The values of a sample, given by its whole name, by their label text."""
    return {labels: float(value) for labels, value in re.findall(rf"^{sample}(?:{{(.*)}})? (\S+)$", text, re.MULTILINE)}


def total(text: str, sample: str) -> float:
    return sum(values(text, sample).values())


def lag_p99(text: str, before: str = "") -> float:
    """The smallest histogram bound that covers 99 % of the starts, or of those since the scrape `before`."""
    already = _lags(before)
    counts = {bound: count - already.get(bound, 0.0) for bound, count in _lags(text).items()}
    return min(bound for bound, count in counts.items() if count >= 0.99 * counts[float("inf")])


def _lags(text: str) -> dict[float, float]:
    """The count of starts by histogram bound."""
    buckets = values(text, "ekm_exporter_schedule_lag_seconds_bucket")
    return {float(re.search(r'le="([^"]+)"', labels)[1]): count for labels, count in buckets.items()}  # type: ignore[index]


class Window(NamedTuple):
    """Time and processor time in seconds, the share of one core that the server used, and the milliseconds for each probe that it saw."""

    wall: float
    cpu: float
    busy: float
    cost: float
    waited: float  # the median wait of the server before a response, in seconds


class Watch:
    """Measures one process and the server from its creation to `stop`."""

    def __init__(self, bench: Bench, pid: int) -> None:
        counts(bench)
        self._bench, self._pid = bench, pid
        self._cpu, self._busy, self._begun = spent(pid), spent(bench.server.pid), time.monotonic()

    def stop(self) -> Window:
        wall, cpu, busy = time.monotonic() - self._begun, spent(self._pid) - self._cpu, spent(self._bench.server.pid) - self._busy
        seen = counts(self._bench)
        return Window(wall, cpu, busy / wall, 1000 * cpu / max(1.0, seen.get("unwrapkey", 0.0)), seen["waited"])
