"""The exporter with a sampling profiler: `python -m bench.sampled run ...`. It writes the profile at its end.

A timer of the kernel counts processor time and sends a signal each 2 ms of it. The handler adds the processor time of the main
thread since the signal before to the group of the stack. Python handles a signal after a call into C, so a long call counts for its
caller with its whole duration.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from types import FrameType

from bench.groups import group_of
from exporter.__main__ import main as command

OUTPUT = "EKM_BENCH_PROFILE"  # the environment variable with the path of the output
EVERY = 0.002  # seconds of processor time


class Sampler:
    """Adds up processor time by group between two signals SIGUSR1, which start and end the profile."""

    def __init__(self, output: Path) -> None:
        self._output, self._spent, self._last = output, Counter[str](), 0.0

    def toggle(self, _number: int, _frame: FrameType | None) -> None:
        if self._last:
            signal.setitimer(signal.ITIMER_PROF, 0)
            self._output.write_text(json.dumps(self._spent), encoding="utf-8")
            return
        self._last = time.thread_time()
        signal.setitimer(signal.ITIMER_PROF, EVERY, EVERY)

    def sample(self, _number: int, frame: FrameType | None) -> None:
        now = time.thread_time()
        stack = []
        while frame is not None:
            stack.append((frame.f_code.co_filename, frame.f_code.co_name))
            frame = frame.f_back
        self._spent[group_of(stack)] += now - self._last
        self._last = time.thread_time()


def main() -> int:
    sampler = Sampler(Path(os.environ[OUTPUT]))
    signal.signal(signal.SIGUSR1, sampler.toggle)
    signal.signal(signal.SIGPROF, sampler.sample)
    return command()


if __name__ == "__main__":
    sys.exit(main())
