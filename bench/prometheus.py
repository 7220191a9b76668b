"""A real Prometheus, queries for single numbers, and waiting for a condition."""

from __future__ import annotations

import json
import socket
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bench.processes import started
from bench.programs import Bench, Running


@contextmanager
def prometheus(bench: Bench, config: str) -> Iterator[Running]:
    """Run Prometheus of Debian with an empty store."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    path = bench.fresh("prometheus.yml")
    path.write_text(config, encoding="utf-8")
    flags = (f"--config.file={path}", f"--storage.tsdb.path={bench.fresh('tsdb')}", f"--web.listen-address={address}")
    pattern, log = "(ready to receive web requests)", bench.fresh("prometheus.log")
    with started("prometheus", *flags, pattern=pattern, log=log) as (process, _):
        yield Running(pid=process.pid, url=f"http://{address}")


def number(url: str, expression: str) -> float:
    """The value of an expression with one sample; 0 without a sample."""
    query = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"{url}/api/v1/query?{query}", timeout=60) as answer:  # noqa: S310 - a loopback address
        result = json.load(answer)["data"]["result"]
    return float(result[0]["value"][1]) if result else 0.0


def until(true: Callable[[], bool], what: str, *, seconds: float) -> float:
    """Wait for a condition and return the seconds. Raises RuntimeError after `seconds`."""
    begun = time.monotonic()
    while not true():
        if time.monotonic() - begun > seconds:
            raise RuntimeError(f"not in {seconds:g} s: {what}")
        time.sleep(0.25)
    return time.monotonic() - begun
