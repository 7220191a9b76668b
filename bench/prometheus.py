"""A real Prometheus that scrapes one exporter, queries for single numbers, and waiting for a condition."""

from __future__ import annotations

import json
import socket
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.processes import started
from bench.programs import Bench, Running
from bench.querying import page


@contextmanager
def scraping(bench: Bench, running: Running, seconds: float, rules: Path | None = None) -> Iterator[Running]:
    """Run Prometheus of Debian with an empty store. It scrapes the exporter every `seconds`, and reads `rules` at each SIGHUP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    every, path = f"{1000 * seconds:.0f}ms", bench.fresh("prometheus.yml")
    config = {
        "global": {"scrape_interval": every, "scrape_timeout": every},
        "rule_files": [str(rules)] if rules else [],
        "scrape_configs": [{"job_name": "ekm", "static_configs": [{"targets": [running.url.removeprefix("http://")]}]}],
    }
    path.write_text(json.dumps(config), encoding="utf-8")
    flags = (f"--config.file={path}", f"--storage.tsdb.path={bench.fresh('tsdb')}", f"--web.listen-address={address}")
    pattern, log = "(ready to receive web requests)", bench.fresh("prometheus.log")
    with started("prometheus", *flags, pattern=pattern, log=log) as (process, _):
        yield Running(pid=process.pid, url=f"http://{address}")


def number(url: str, expression: str) -> float:
    """The value of an expression with one sample; 0 without a sample."""
    query = urllib.parse.urlencode({"query": expression})
    result = json.loads(page(url, f"/api/v1/query?{query}"))["data"]["result"]
    return float(result[0]["value"][1]) if result else 0.0


def until(true: Callable[[], bool], what: str, *, seconds: float) -> None:
    """Wait for a condition. Raises RuntimeError after `seconds`."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise RuntimeError(f"not in {seconds:g} s: {what}")
        time.sleep(0.25)
