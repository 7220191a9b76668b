"""The coverage-guided fuzzer: `python -m tests.fuzz.fuzz [SECONDS] [TARGET] [--seed=NUMBER] [--runs=NUMBER]`.

`./dev fuzz` runs it. SECONDS (60) are divided among the targets: all targets, or the named one. A target ends early after `--runs` executions.
An input that fails a target is written to `tests/fuzz/crashers/TARGET` as a Python literal, and the tests replay it. An input with new coverage is stored in `.cache/fuzz` for the next run.
The exit code is 1 if a target failed. `targets` defines the targets.
"""

from __future__ import annotations

import ast
import ctypes
import importlib.util
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.fuzz.targets import Target

FOLDER = Path(__file__).parent
CRASHERS = FOLDER / "crashers"
ROOT = FOLDER.parents[1]
CORPORA = ROOT / ".cache" / "fuzz"

NAMES = ("vault", "entra", "texts", "configuration", "calls", "protobuf")
LONGEST_INPUT = 16384  # bytes
SECONDS_FOR_ONE_INPUT = 5
MEGABYTES = 1024

_OPTION = re.compile(r"--(?:seed|runs)=\d+")
_TOTALS = re.compile(r"^Done (\d+) runs in (\d+) second", re.MULTILINE)
_PROGRESS = re.compile(r"cov: (\d+) ft: (\d+) corp: (\d+)/")
_CHATTER = re.compile(r"INFO: |WARNING: |#\d+\s|0x|Dictionary: ")
# Instrumented: the exporter, and the parsers that read foreign bytes for it.
_INSTRUMENTED = ["exporter", "json", "email", "ipaddress", "base64", "yaml"]


def main(arguments: list[str]) -> int:
    if importlib.util.find_spec("atheris") is None:
        print("fuzz: there is no atheris for this Python on this machine (wheels exist for Linux on x86-64)", file=sys.stderr)
        return 1
    options = [argument for argument in arguments if _OPTION.fullmatch(argument)]
    seconds, names = _requested([argument for argument in arguments if argument not in options])
    targets, more = _targets(), [option[1:] for option in options]
    found = [name for name in names if not _run(name, targets[name], max(1, seconds // len(names)), *more)]
    if found:
        print(f"fuzz: found something in {', '.join(found)}; see tests/fuzz/crashers and replay it: ./dev unit tests/fuzz")
    return 1 if found else 0


def _requested(arguments: list[str]) -> tuple[int, tuple[str, ...]]:
    seconds, names = 60, NAMES
    for argument in arguments:
        if argument.isdigit() and int(argument) > 0:
            seconds = int(argument)
        elif argument in NAMES:
            names = (argument,)
        else:
            sys.exit(f"fuzz: '{argument}' is no number of seconds and none of {', '.join(NAMES)}")
    return seconds, names


def _targets() -> Mapping[str, Target]:
    """Import the targets, instrumented: once for all of them, which takes longer than a short run."""
    import atheris  # noqa: PLC0415 - checked by the caller

    with atheris.instrument_imports(include=_INSTRUMENTED, enable_loader_override=False):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - instrumented while it is imported

    return TARGETS


def _run(name: str, target: Target, seconds: int, *more: str) -> bool:
    """Fuzz one target in a new process and print one line, or the whole output of a failure."""
    corpus = CORPORA / name
    corpus.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        options = (
            *(f"-max_total_time={seconds}", f"-max_len={LONGEST_INPUT}", f"-timeout={SECONDS_FOR_ONE_INPUT}"),
            *(f"-rss_limit_mb={MEGABYTES}", f"-artifact_prefix={scratch}/found-", f"-dict={scratch}/words"),
            *more,
        )
        _prepare(target, Path(scratch))
        code = _in_fork(target, [*options, str(corpus), f"{scratch}/seeds"], Path(scratch, "log"))
        log = Path(scratch, "log").read_text(encoding="utf-8", errors="replace")
        _keep(name, Path(scratch))
    totals, progress = _TOTALS.search(log), _PROGRESS.findall(log)
    if code or totals is None or not progress:
        reporting = [line for line in log.splitlines() if not _CHATTER.match(line)]
        print(f"{name}: exit code {code}", *reporting[-60:], sep="\n", flush=True)
        return False
    executions, took = int(totals[1]), max(1, int(totals[2]))
    coverage, features, kept_inputs = progress[-1]
    print(f"{name}: {executions} executions in {took} s ({executions // took}/s), ", end="")
    print(f"{coverage} edges, {features} features, {kept_inputs} inputs kept", flush=True)
    return True


def _prepare(target: Target, scratch: Path) -> None:
    """Write seeds and words into files for the fuzzer."""
    (scratch / "seeds").mkdir()
    for number, data in enumerate(target.seeds()):
        (scratch / "seeds" / str(number)).write_bytes(data)
    words = ("".join(f"\\x{octet:02x}" for octet in word.encode()) for word in target.words)
    (scratch / "words").write_text("".join(f'"{word}"\n' for word in words), encoding="ascii")


def _in_fork(target: Target, options: list[str], log: Path) -> int:
    """Return the exit code of the fuzzer, which ends its process."""
    import atheris  # noqa: PLC0415 - checked by the caller

    with log.open("wb") as file:
        child = os.fork()
        if child == 0:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            try:
                atheris.Setup([sys.argv[0], *options], target.check)
                atheris.Fuzz()
            except Exception:  # noqa: BLE001 - of the preparation; a failure of the target is a SystemExit
                traceback.print_exc()
            finally:  # not back into the code of the parent; at exit, libFuzzer writes the failing input
                ctypes.CDLL(None).exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _keep(name: str, scratch: Path) -> None:
    """Write each failing input as a Python literal."""
    for path in scratch.glob("found-*"):
        folder = CRASHERS / name
        folder.mkdir(parents=True, exist_ok=True)
        kind, _, digest = path.name.removeprefix("found-").partition("-")
        (folder / f"{kind}-{digest[:12]}.txt").write_text(f"{path.read_bytes()!r}\n", encoding="ascii")


def read_crasher(path: Path) -> bytes:
    data = ast.literal_eval(path.read_text(encoding="ascii"))
    if not isinstance(data, bytes):
        raise TypeError(f"{path} is no literal of bytes")
    return data


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
