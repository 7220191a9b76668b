"""Run `promtool test rules` over many files in parallel, and return the result of each file."""

import re
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PROCESSES = 2
_PART = re.compile(r"^Unit Testing:  (.+)$", re.MULTILINE)


def results(files: Sequence[Path]) -> dict[str, str]:
    """Return the output of promtool for each file, by its stem: empty if all is as expected."""
    batches = [files[first::PROCESSES] for first in range(PROCESSES) if files[first::PROCESSES]]
    with ThreadPoolExecutor(PROCESSES) as pool:
        return dict(pair for outputs in pool.map(_run, batches) for pair in outputs)


def _run(files: Sequence[Path]) -> list[tuple[str, str]]:
    command = ["promtool", "test", "rules", *files]
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}  # in one stream: failures follow the name of their file
    done = subprocess.run(command, **both, text=True, check=False, timeout=900)  # noqa: S603 - nothing from outside the tests
    return list(_parts(done.stdout))


def _parts(output: str) -> Iterator[tuple[str, str]]:
    """promtool writes a heading for each file, then SUCCESS or what failed."""
    pieces = _PART.split(output)
    for path, text in zip(pieces[1::2], pieces[2::2], strict=True):
        yield Path(path).stem, "" if text.strip() == "SUCCESS" else text.strip() or "no output"
