"""The processes that are measured: starting them, and what they have spent.

Processor time (user and system) and memory, as Linux reports them.
`programs` decides what they do.
"""

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

_SCHEDULED = 2  # clock_getcpuclockid(3) makes a clock of a process like this; /proc counts in steps of 10 ms only
PATIENCE = 60.0  # seconds
_ENVIRONMENT = {"EKM_BENCH": "not-a-secret", "PYTHONUNBUFFERED": "1"}


@contextmanager
def started(*command: object, pattern: str, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A process and the part of its output that matches the pattern. All output goes to `log`, which must be new.

    Raises RuntimeError if it ends, or if `PATIENCE` seconds pass, before the pattern appears.
    """
    words = [str(part) for part in command]
    with (
        log.open("wb") as out,
        subprocess.Popen(  # noqa: S603 - fixed commands
            words, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **_ENVIRONMENT}
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
    """Wait until the pattern has appeared that often. Raises RuntimeError as `started` does."""
    patience = time.monotonic() + PATIENCE
    while time.monotonic() < patience and process.poll() is None:
        found = re.findall(pattern, log.read_text(encoding="utf-8"))
        if len(found) >= times:
            return str(found[-1])
        time.sleep(0.02)
    raise RuntimeError(f"never printed {pattern!r}: {log.read_text(encoding='utf-8')[-2000:]}")


def python(module: str, *arguments: object) -> list[object]:
    """The command that runs one of our modules."""
    return [sys.executable, "-m", module, *arguments]


def ended(pid: int, *, within: float) -> float:
    """Seconds until a child process has ended with exit code 0; infinite with another one, or after `within` seconds."""
    begun = time.monotonic()
    while time.monotonic() < begun + within:
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if found is not None:
            return time.monotonic() - begun if found.si_status == 0 else math.inf
        time.sleep(0.01)
    return math.inf


def spent(pid: int) -> float:
    """Seconds of processor time so far, user and system, of all its threads."""
    return time.clock_gettime((~pid << 3) | _SCHEDULED)


def resident(pid: int) -> float:
    """Megabytes now (1 MB is 2**20 bytes)."""
    return _status(pid, "VmRSS") / 1024


def peak(pid: int) -> float:
    """The most megabytes that were resident since `forget_peak`."""
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
