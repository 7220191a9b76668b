"""Runs `promtool test rules` over many files, as many processes as there are processors, and tells the result of each file."""

import re
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PROCESSES = 2
_PART = re.compile(r"^Unit Testing:  (.+)$", re.MULTILINE)


def results(files: Sequence[Path]) -> dict[str, str]:
    """What promtool says of each file, by its stem: empty where all is as expected."""
    batches = [files[first::PROCESSES] for first in range(PROCESSES) if files[first::PROCESSES]]
    with ThreadPoolExecutor(PROCESSES) as pool:
        return dict(pair for said in pool.map(_run, batches) for pair in said)


def _run(files: Sequence[Path]) -> list[tuple[str, str]]:
    command = ["promtool", "test", "rules", *files]
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}  # in one: what failed stands below its file's name
    done = subprocess.run(command, **both, text=True, check=False, timeout=300)  # noqa: S603 - nothing from outside the tests
    return list(_parts(done.stdout))


def _parts(said: str) -> Iterator[tuple[str, str]]:
    """promtool writes a heading for each file, then SUCCESS or what failed."""
    pieces = _PART.split(said)
    for path, text in zip(pieces[1::2], pieces[2::2], strict=True):
        yield Path(path).stem, "" if text.strip() == "SUCCESS" else text.strip() or "nothing was said"
