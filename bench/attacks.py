"""Continuous attacks with bounds: reloads without a pause, clients that do not read, hostile bytes."""

from __future__ import annotations

import math
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from bench.day import reload
from bench.failing import LIMIT
from bench.processes import peak
from bench.programs import Bench, Fleet, configuration, exporter
from bench.querying import metrics, total
from bench.sizes import Sizes
from bench.table import Figure

READERS = 400
SEEDS = (1, 2, 3)
SLOWEST = 10.0  # seconds for a scrape: the default of Prometheus
_SCRAPE_EVERY = 2.0
_ESTABLISHED = 1  # the first byte of TCP_INFO, see tcp(7)
_ROOT = Path(__file__).parent.parent


def reloads(bench: Bench, sizes: Sizes, seconds: float) -> Iterator[Figure]:
    """Reload without a pause. Each reload removes one target and adds one."""
    fleet = Fleet(targets=sizes.small_fleet, credentials=max(1, sizes.small_fleet // 20), interval=sizes.small_interval)
    made = 0
    with exporter(bench, fleet) as running:
        config, until = bench.newest("ekm.yml"), time.monotonic() + seconds
        while time.monotonic() < until:
            fleet, made = replace(fleet, first=(fleet.first + 1) % 1000), made + 1
            config.write_text(configuration(fleet, bench.port, bench.ca_file), encoding="utf-8")
            reload(running)
        text, most = metrics(running.url), peak(running.pid)
    name, how = f"{made:,} reloads of {fleet.targets:,} targets", f"without a pause for {seconds:.0f} s"
    yield Figure(what=f"{name}: resident memory", runs=[most], unit=" MB", commit=LIMIT, how=f"at its peak; {how}")
    for what, sample in (
        ("internal errors", "ekm_exporter_internal_errors_total"),
        ("failed probes", "ekm_probe_failures_total"),
    ):
        yield Figure(what=f"{name}: {what}", runs=[total(text, sample)], unit="", commit=0, how=f"all vaults are well; {how}")


def _stuck(url: str) -> socket.socket:
    """A client that requests `/metrics` and never reads."""
    host, _, port = url.removeprefix("http://").partition(":")
    client = socket.socket()
    try:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(5)
        client.connect((host, int(port)))
        client.sendall(f"GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    except OSError:
        client.close()
        raise
    return client


def _scrape(url: str) -> tuple[str, float]:
    """The status or the error of a scrape, and its duration in seconds."""
    begun = time.monotonic()
    try:
        with urllib.request.urlopen(f"{url}/metrics", timeout=SLOWEST) as answer:  # noqa: S310 - a loopback address
            answer.read()
            reported = str(answer.status)
    except urllib.error.HTTPError as error:
        reported = f"{error.code}" if error.read().strip() else f"{error.code} without a sentence"
    except OSError as error:
        reported = type(error).__name__
    return reported, time.monotonic() - begun


def slow_readers(bench: Bench, sizes: Sizes, seconds: float) -> Iterator[Figure]:
    """Keep clients connected that never read, and scrape meanwhile."""
    fleet = Fleet(targets=max(sizes.failing_fleets), credentials=10, interval=sizes.fleet_interval)
    answers, took = Counter[str](), list[float]()
    with exporter(bench, fleet) as running, ExitStack() as clients:
        time.sleep(min(sizes.fleet_interval, seconds))  # until targets have series
        held, until = list[socket.socket](), time.monotonic() + seconds
        while time.monotonic() < until:
            for client in [each for each in held if _is_over(each)]:
                held.remove(client)
                client.close()
            while len(held) < READERS and time.monotonic() < until:
                try:
                    held.append(clients.enter_context(_stuck(running.url)))
                except OSError:  # refused
                    break
            reported, lasted = _scrape(running.url)
            answers[reported] += 1
            took.append(lasted)
            time.sleep(_SCRAPE_EVERY)
        most = peak(running.pid)
    name = f"{READERS} clients that do not read"
    how = f"at its peak; {fleet.targets:,} targets, {seconds:.0f} s"
    yield Figure(what=f"{name}: resident memory", runs=[most], unit=" MB", commit=LIMIT, how=how)
    bad = sum(count for reported, count in answers.items() if reported not in ("200", "503"))
    how = ", ".join(f"{count} times {reported}" for reported, count in sorted(answers.items()))
    yield Figure(what=f"{name}: scrapes without an answer", runs=[bad], unit="", commit=0, how=how)
    yield Figure(what=f"{name}: a scrape meanwhile", runs=took or [math.inf], unit=" s", commit=SLOWEST, how="to the last byte")


def _is_over(client: socket.socket) -> bool:
    """Whether the exporter has closed or reset the connection, without reading from it."""
    return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != _ESTABLISHED


def fuzz(seconds: float) -> Iterator[Figure]:
    """Run the fuzzer of `./dev fuzz` once with each seed."""
    each = max(4, round(seconds / len(SEEDS)))
    for seed in SEEDS:
        command = (sys.executable, "-m", "tests.fuzz.fuzz", str(each), f"--seed={seed}")
        done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=each + 300, check=False)  # noqa: S603 - fixed commands
        made = sum(int(count) for count in re.findall(r": (\d+) executions", done.stdout))
        if done.returncode:
            print(done.stdout[-3000:], done.stderr[-3000:], file=sys.stderr)
        what, how = f"fuzz with seed {seed}: findings", f"{made:,} inputs in {each} s; a finding stands in tests/fuzz/crashers"
        yield Figure(what=what, runs=[float(done.returncode != 0)], unit="", commit=0, how=how)
