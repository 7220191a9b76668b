"""Runs the parts: first those that need no quiet machine, side by side; then warm-ups side by side; then one measurement at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.items import Broken, Figure, Item, Mark, Pair, decoded
from bench.parts import PARTS, Place
from bench.trees import Tree

LONGEST = 600.0  # seconds for a part, without the time in which it waits for its turn
PATIENCE = 60.0  # seconds for the warm-ups after the first one
_ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Outcome:
    """The results of a part, and why it ended early, or an empty text."""

    figures: list[Figure] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    reason: str = ""


class Child:
    """A running part. `on_item` is called on a thread for each result."""

    def __init__(self, name: str, command: Sequence[object], on_item: Callable[[str, Item], None]) -> None:
        self.name, self._on_item = name, on_item
        self._items, self._ready, self._stopped = list[Item](), threading.Event(), ""
        self._process = subprocess.Popen(  # noqa: S603 - fixed commands
            [str(word) for word in command],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            try:
                item = decoded(line)
            except (ValueError, LookupError, TypeError):
                item = Broken(f"printed {line[:80]!r}")
            self._items.append(item)
            self._on_item(self.name, item)
            if item is Mark.WARM:
                self._ready.set()
        self._ready.set()

    def is_warm(self, until: float) -> bool:
        """Wait for the end of the warm-up, or of the part, until a monotonic time."""
        return self._ready.wait(max(0.0, until - time.monotonic()))

    def until_warm(self, end: float) -> None:
        """Wait like `is_warm`. Kills the part at `end`, a monotonic time."""
        if not self.is_warm(end):
            self.kill("had not warmed up in time")

    def pause(self) -> None:
        """Stop all processes of the part until `go`."""
        self._signal(signal.SIGSTOP)

    def go(self) -> None:
        self._signal(signal.SIGCONT)
        with suppress(OSError):  # it has ended
            if self._process.stdin is not None:
                self._process.stdin.write("go\n")
                self._process.stdin.flush()

    def until_ended(self, end: float) -> None:
        """Wait for the end of the part. Kills it at `end`, a monotonic time."""
        self._reader.join(max(0.0, end - time.monotonic()))
        if self._reader.is_alive():
            self.kill("had not ended in time")
        self._process.wait()

    def kill(self, why: str) -> None:
        self._stopped = self._stopped or why
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def close(self) -> None:
        """Leave nothing running."""
        if self._process.poll() is None:
            self.kill("was interrupted")
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                if stream is not None:
                    stream.close()

    def outcome(self) -> Outcome:
        reasons = [item.reason for item in self._items if isinstance(item, Broken)]
        code = self._process.returncode
        reason = next(iter(reasons), self._stopped or (f"ended with code {code}" if code else ""))
        figures = [item for item in self._items if isinstance(item, Figure)]
        return Outcome(figures, [item for item in self._items if isinstance(item, Pair)], reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The settings of a run. `deadline` is a monotonic time at which the parts that still run are stopped."""

    size: str
    folder: Path
    other: Tree | None
    deadline: float
    on_item: Callable[[str, Item], None]

    def start(self, name: str) -> Child:
        other = json.dumps(asdict(self.other) if self.other else None)
        command = (
            sys.executable,
            "-m",
            "bench.child",
            name,
            "--size",
            self.size,
            "--folder",
            self.folder / name,
            "--other",
            other,
        )
        return Child(name, command, self.on_item)

    def end(self) -> float:
        return min(self.deadline, time.monotonic() + LONGEST)

    def outcomes(self, names: Sequence[str]) -> dict[str, Outcome]:
        """Run the parts and return their outcomes in the order of `names`."""
        order = _Order(self, names)
        try:
            order.conduct()
        finally:
            for child in order.children:
                child.close()
        found = {child.name: child.outcome() for child in order.children}
        return {name: found.get(name, Outcome(reason="was not started in time")) for name in names}


class _Order:
    """The parts of one run in their order."""

    def __init__(self, run: Run, names: Sequence[str]) -> None:
        self._run, self._names, self.children = run, names, list[Child]()

    def conduct(self) -> None:
        end, filling = self._run.end(), [self._started(name) for name in self._of(Place.FILLING)]
        self._together()
        warmed = self._warmed()
        for child in filling:
            child.until_ended(end)
        for child in warmed:
            child.until_warm(self._run.end())
            child.go()
            child.until_ended(self._run.end())
        for name in self._of(Place.QUIET):
            self._finished(name)

    def _of(self, place: Place) -> list[str]:
        return [name for name in self._names if PARTS[name].place is place]

    def _started(self, name: str) -> Child:
        child = self._run.start(name)
        self.children.append(child)
        return child

    def _finished(self, name: str) -> None:
        """Run a part to its end, unless it is too late."""
        if time.monotonic() < self._run.deadline:
            self._started(name).until_ended(self._run.end())

    def _together(self) -> None:
        with ThreadPoolExecutor(max(2, os.cpu_count() or 1)) as cores:
            try:
                list(cores.map(self._finished, self._of(Place.TOGETHER)))
            except BaseException:
                cores.shutdown(wait=False, cancel_futures=True)
                for child in self.children:
                    child.kill("was interrupted")
                raise

    def _warmed(self) -> list[Child]:
        """Warm up side by side. Then stop all except the first until their turn, and except one that needs longer."""
        children = [self._started(name) for name in self._of(Place.WARMED)]
        for child in children[:1]:
            child.until_warm(self._run.end())
        until = min(self._run.end(), time.monotonic() + PATIENCE)
        for child in children[1:]:
            if child.is_warm(until):
                child.pause()
        return children
