"""Starts the measured processes and reads their processor time and memory from Linux."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SCHEDULED = 2  # see clock_getcpuclockid(3); /proc has a resolution of 10 ms only
PATIENCE = 180.0  # seconds: a hang guard
_ENVIRONMENT = {"EKM_BENCH": "not-a-secret", "PYTHONUNBUFFERED": "1"}


@contextmanager
def started(
    *command: object, pattern: str, log: Path, folder: Path | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run a process and yield it with the part of its output that matches. `log` must be a new file, `folder` is its directory.

    Raises RuntimeError if it ends, or if `PATIENCE` seconds pass, before the pattern appears.
    """
    words = [str(part) for part in command]
    with (
        log.open("wb") as out,
        subprocess.Popen(  # noqa: S603 - fixed commands
            words, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **_ENVIRONMENT}
        ) as process,
    ):
        try:
            yield process, received(process, pattern, log)
        finally:
            process.terminate()
            try:
                process.wait(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def received(process: subprocess.Popen[bytes], pattern: str, log: Path) -> str:
    """Wait until the pattern matches. Raises RuntimeError like `started`."""
    patience = time.monotonic() + PATIENCE
    while time.monotonic() < patience and process.poll() is None:
        if found := re.search(pattern, log.read_text(encoding="utf-8")):
            return found[1]
        time.sleep(0.02)
    raise RuntimeError(f"never printed {pattern!r}: {log.read_text(encoding='utf-8')[-2000:]}")


def python(module: str, *arguments: object) -> list[object]:
    """The command that runs a module of this project."""
    return [sys.executable, "-m", module, *arguments]


def consumed(*command: object, folder: Path | None = None) -> float:
    """Run a process to its end and return its processor time in seconds, user and system. Raises an error if it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*map(str, command)], cwd=folder, capture_output=True, env={**os.environ, **_ENVIRONMENT}, check=True)  # noqa: S603 - fixed commands
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def spent(pid: int) -> float:
    """Processor time so far in seconds, user and system, of all threads."""
    return time.clock_gettime((~pid << 3) | _SCHEDULED)


def resident(pid: int, *, peak: bool = False) -> float:
    """Resident memory in megabytes of 2**20 bytes, now or at its peak."""
    found = re.search(rf"{'VmHWM' if peak else 'VmRSS'}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    return int(found[1]) / 1024 if found else 0.0
