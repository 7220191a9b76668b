"""The coverage-guided fuzzer: `python -m tests.fuzz.fuzz [SECONDS] [TARGET] [--seed=NUMBER] [--runs=NUMBER]`.

`./dev fuzz` runs it. SECONDS (60) are divided among the targets: all targets, or the named one. A target ends early after `--runs` executions.
An input that fails a target is written to `tests/fuzz/crashers/TARGET` as a Python literal, and the tests replay it. An input with new coverage is stored in `.cache/fuzz` for the next run.
The exit code is 1 if a target failed. `targets` defines the targets.
"""

import ast
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
CRASHERS = FOLDER / "crashers"
ROOT = FOLDER.parents[1]
CORPORA = ROOT / ".cache" / "fuzz"

NAMES = ("vault", "entra", "texts", "configuration", "protobuf")
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
    if arguments[:1] == ["--inside"]:
        _inside(arguments[1], arguments[2:])
    options = [argument for argument in arguments if _OPTION.fullmatch(argument)]
    seconds, names = _requested([argument for argument in arguments if argument not in options])
    found = [name for name in names if not _run(name, max(1, seconds // len(names)), *(option[1:] for option in options))]
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


def _run(name: str, seconds: int, *more: str) -> bool:
    """Fuzz one target in a new process and print one line, or the whole output of a failure."""
    corpus = CORPORA / name
    corpus.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        options = (
            *(f"-max_total_time={seconds}", f"-max_len={LONGEST_INPUT}", f"-timeout={SECONDS_FOR_ONE_INPUT}"),
            *(f"-rss_limit_mb={MEGABYTES}", f"-artifact_prefix={scratch}/found-", f"-dict={scratch}/words"),
            *more,
        )
        _prepare(name, Path(scratch))
        done = subprocess.run(  # noqa: S603 - this very module
            [sys.executable, "-m", "tests.fuzz.fuzz", "--inside", name, *options, str(corpus), f"{scratch}/seeds"],
            cwd=ROOT, env=_environment(), capture_output=True, check=False,
        )  # fmt: skip
        _keep(name, Path(scratch))
    log = (done.stdout + done.stderr).decode(errors="replace")
    totals, progress = _TOTALS.search(log), _PROGRESS.findall(log)
    if done.returncode or totals is None or not progress:
        reporting = [line for line in log.splitlines() if not _CHATTER.match(line)]
        print(f"{name}: exit code {done.returncode}", *reporting[-60:], sep="\n", flush=True)
        return False
    executions, took = int(totals[1]), max(1, int(totals[2]))
    coverage, features, kept_inputs = progress[-1]
    print(f"{name}: {executions} executions in {took} s ({executions // took}/s), ", end="")
    print(f"{coverage} edges, {features} features, {kept_inputs} inputs kept", flush=True)
    return True


def _prepare(name: str, scratch: Path) -> None:
    """Write seeds and words into files for the fuzzer."""
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - the fuzzing process instruments its imports

    target = TARGETS[name]
    (scratch / "seeds").mkdir()
    for number, data in enumerate(target.seeds()):
        (scratch / "seeds" / str(number)).write_bytes(data)
    words = ("".join(f"\\x{octet:02x}" for octet in word.encode()) for word in target.words)
    (scratch / "words").write_text("".join(f'"{word}"\n' for word in words), encoding="ascii")


def _environment() -> dict[str, str]:
    """The environment without the variables that measure coverage in tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COV")} | {"PYTHONPATH": str(ROOT)}


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


def _inside(name: str, options: list[str]) -> None:
    """Run the fuzzer in this process. Does not return."""
    import atheris  # noqa: PLC0415 - checked above

    with atheris.instrument_imports(include=_INSTRUMENTED, enable_loader_override=False):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - instrumented while it is imported

    atheris.Setup([sys.argv[0], *options], TARGETS[name].check)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
