"""Problems and warnings of a configuration, and their locations.

No message contains a value that could be a secret: the location is enough.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem or warning.

    `line` and `column` count from 1; `path` is like `targets[0].key`, empty for a whole file.
    """

    file: str
    line: int
    column: int
    path: str
    message: str

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    @property
    def what(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(slots=True)
class ProblemList:
    """Problems and warnings without duplicates, in the order of `files` and lines."""

    files: list[str] = field(default_factory=list)
    _errors: dict[Problem, None] = field(default_factory=dict)
    _warnings: dict[Problem, None] = field(default_factory=dict)

    def add(self, problem: Problem, *, warning: bool = False) -> None:
        (self._warnings if warning else self._errors)[problem] = None

    @property
    def errors(self) -> tuple[Problem, ...]:
        return self._sorted(self._errors)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return self._sorted(self._warnings)

    def _sorted(self, problems: dict[Problem, None]) -> tuple[Problem, ...]:
        order = {file: position for position, file in enumerate(self.files)}
        return tuple(sorted(problems, key=lambda problem: (order[problem.file], problem.line, problem.column)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A place in a file, at which problems are reported.

    `base` is the folder for relative paths.
    """

    problems: ProblemList
    file: str
    base: Path
    line: int = 1
    column: int = 1
    path: str = ""

    def with_position(self, line: int, column: int) -> Location:
        return self._moved(line, column, self.path)

    def child(self, name: str) -> Location:
        return self._moved(self.line, self.column, f"{self.path}.{name}" if self.path else name)

    def item(self, index: int) -> Location:
        return self._moved(self.line, self.column, f"{self.path}[{index}]")

    def _moved(self, line: int, column: int, path: str) -> Location:
        # dataclasses.replace takes three times as long, and a large file has a hundred thousand of these
        return Location(problems=self.problems, file=self.file, base=self.base, line=line, column=column, path=path)

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def error(self, message: str) -> None:
        self.problems.add(Problem(self.file, self.line, self.column, self.path, message))

    def warn(self, message: str) -> None:
        self.problems.add(Problem(self.file, self.line, self.column, self.path, message), warning=True)
