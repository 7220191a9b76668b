"""Starts the measured processes and reads their processor time and memory from Linux."""

from __future__ import annotations

import math
import os
import re
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
            words, cwd=folder, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **_ENVIRONMENT}
        ) as process,
    ):
        try:
            yield process, received(process, pattern, log)
        finally:
            process.terminate()
            try:
                process.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


def received(process: subprocess.Popen[bytes], pattern: str, log: Path, *, times: int = 1) -> str:
    """Wait until the pattern has matched `times` times. Raises RuntimeError like `started`."""
    patience = time.monotonic() + PATIENCE
    while time.monotonic() < patience and process.poll() is None:
        found = re.findall(pattern, log.read_text(encoding="utf-8"))
        if len(found) >= times:
            return str(found[-1])
        time.sleep(0.02)
    raise RuntimeError(f"never printed {pattern!r}: {log.read_text(encoding='utf-8')[-2000:]}")


def python(module: str, *arguments: object) -> list[object]:
    """The command that runs a module of this project."""
    return [sys.executable, "-m", module, *arguments]


def ended(pid: int, *, within: float) -> float:
    """Seconds until a child process exits with code 0. Infinite for another code or after `within` seconds."""
    begun = time.monotonic()
    while time.monotonic() < begun + within:
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if found is not None:
            return time.monotonic() - begun if found.si_status == 0 else math.inf
        time.sleep(0.01)
    return math.inf


def consumed(*command: object, folder: Path | None = None) -> float:
    """Run a process to its end and return its processor time in seconds, user and system. Raises RuntimeError if it fails."""
    words = [str(part) for part in command]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(words, cwd=folder, stdout=quiet, stderr=quiet, env={**os.environ, **_ENVIRONMENT}) as process:  # noqa: S603 - fixed commands
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"exit code {process.returncode} of {' '.join(words)}")
    return usage.ru_utime + usage.ru_stime


def spent(pid: int) -> float:
    """Processor time so far in seconds, user and system, of all threads."""
    return time.clock_gettime((~pid << 3) | _SCHEDULED)


def resident(pid: int) -> float:
    """Resident memory in megabytes of 2**20 bytes."""
    return _status(pid, "VmRSS") / 1024


def peak(pid: int) -> float:
    """Peak resident memory in megabytes since `forget_peak`."""
    return _status(pid, "VmHWM") / 1024


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")  # see proc(5)


def threads(pid: int) -> int:
    return _status(pid, "Threads")


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _status(pid: int, name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    return int(found[1]) if found else 0
