"""A Windows computer of the tests: a prefix of Wine with the unpacked zip in a folder such as `C:\\DBA Übung`."""

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import Any

from tests.support.patience import PATIENCE, PROGRAM_SECONDS

_KEPT = ("PATH", "HOME", "TMPDIR")
_LEFT_OUT = "mscoree=;mshtml=;winex11.drv=;winewayland.drv="  # .NET, a browser and a screen, which nothing here uses


@dataclass(frozen=True)
class Finished:
    """How a program ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


@dataclass
class Running:
    """A program that runs, with its output in files: Wine's own processes would keep a pipe open."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def finished(self, timeout: float = PATIENCE) -> Finished:
        """Wait for the end. Raises subprocess.TimeoutExpired."""
        return Finished(self.process.wait(timeout), *(_text(path) for path in (self.out, self.err)))

    @property
    def text(self) -> str:
        return _text(self.out) + _text(self.err)

    def output(self, pattern: str, *, within: float = PATIENCE) -> re.Match[str]:
        """The first match in the output. Fails with the whole output if the program ends or is too slow."""
        end = time.monotonic() + within
        while (match := re.search(pattern, self.text)) is None:
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.text}"
            assert time.monotonic() < end, self.text
            time.sleep(0.02)
        return match

    def interrupt(self) -> Finished:
        """Press Ctrl-C, which is what Wine makes of SIGINT, and wait for the end."""
        self.process.send_signal(signal.SIGINT)
        return self.finished()

    def kill(self) -> None:
        """End it at once, as the Task Manager does."""
        self.process.kill()
        self.process.wait(PATIENCE)


@dataclass
class Host:
    """`folder` is the unpacked zip, `prefix` the folder of Wine."""

    prefix: Path
    folder: Path
    environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        wine = {"WINEPREFIX": str(self.prefix), "WINEDEBUG": "-all", "WINEDLLOVERRIDES": _LEFT_OUT}
        self.environment = {**kept, **wine, "LC_ALL": "C.UTF-8"}  # the umlaut of a path

    @property
    def python(self) -> Path:
        return self.folder / "app" / "python" / "python.exe"

    def windows_path(self, path: Path) -> str:
        """What programs of this host call a file of this machine."""
        drive = self.prefix / "drive_c"
        inside = path.is_relative_to(drive)
        return str(PureWindowsPath("C:/" if inside else "Z:/", *path.relative_to(drive if inside else "/").parts))

    def manage(self, *command: str) -> int:
        """Run a program of Wine itself, such as `wineserver`, and return its exit code."""
        nowhere = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.run(command, **nowhere, env=self.environment, check=False, timeout=PROGRAM_SECONDS).returncode  # noqa: S603 - no outside input commands

    @contextlib.contextmanager
    def start(self, *command: str | Path, input: str | bytes = b"", cwd: Path | None = None) -> Iterator[Running]:  # noqa: A002 - as in `subprocess`
        """Run any program of Windows. It is killed at the end, if it still runs."""
        with tempfile.TemporaryDirectory() as place:
            out, err = Path(place, "out"), Path(place, "err")
            Path(place, "in").write_bytes(input if isinstance(input, bytes) else input.encode())
            with Path(place, "in").open("rb") as read, out.open("wb") as written, err.open("wb") as errors:
                process = subprocess.Popen(  # noqa: S603 - no outside input commands
                    ["/usr/bin/wine", *command],
                    stdin=read,
                    stdout=written,
                    stderr=errors,
                    env=self.environment,
                    cwd=cwd or self.folder,
                )
            try:
                yield Running(process, out, err)
            finally:
                process.kill()
                process.wait()

    def call(self, *command: str | Path, timeout: float = PROGRAM_SECONDS, **options: Any) -> Finished:
        """Run any program of Windows to its end, such as `cmd`, `net` or `msiexec`."""
        with self.start(*command, **options) as program:
            return program.finished(timeout)

    @contextlib.contextmanager
    def running(self, *arguments: object, cwd: Path | None = None) -> Iterator[Running]:
        """Run `ekm-exporter ARGUMENTS`, for commands that do not end."""
        with self.start(self.python, *_EXPORTER, *map(str, arguments), cwd=cwd) as program:
            yield program

    def run(self, *arguments: object, **options: Any) -> Finished:
        """Run `ekm-exporter ARGUMENTS` to its end. Options: `input`, `cwd`, `timeout`."""
        return self.call(self.python, *_EXPORTER, *map(str, arguments), **options)


_EXPORTER = ("-m", "exporter")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n")
