"""Problems and warnings of a configuration as lines; many equal findings share one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from exporter.config.yaml import Problem

_FIRST = 3  # lines of equal findings before the line with the number of the others


def finding_lines(problems: Sequence[Problem], mark: str = "", *, every: bool = False) -> list[str]:
    """Return a line for each finding, with `mark` before its text. Without `every`, equal findings share a line after the first three.

    Findings are equal if they have the same text about the same setting, whatever credential or target has it.
    """
    numbers = Counter(map(_kind, problems))
    seen: Counter[str] = Counter()
    lines = []
    for problem in problems:
        kind = _kind(problem)
        seen[kind] += 1
        others = numbers[kind] - _FIRST
        if every or others < 2 or seen[kind] <= _FIRST:
            lines.append(f"{problem.where}: {mark}{problem.what}")
        elif seen[kind] == _FIRST + 1:
            lines.append(f"and {others} more: {mark}{kind} (ekm-exporter check --verbose prints each)")
    return lines


def _kind(problem: Problem) -> str:
    """`credentials.*.secret_file: no such file`."""
    path = re.sub(r"\[\d+\]", "[*]", problem.path)
    path = re.sub(r"^(\w+)\..+\.(\w+)$", r"\1.*.\2", path)
    return f"{path}: {problem.message}" if path else problem.message
