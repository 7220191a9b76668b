"""What a preflight check is, what came of one, and one run of all checks for a target.

For: the closed lists and the values that everything about the checks passes around. Outcomes are public.
Not for: the checks themselves (see `table`), running them (see `exporter.doctor`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CheckOutcome(StrEnum):
    """What came of a check. Only `fail` means that something is wrong for sure."""

    PASS = "pass"  # noqa: S105 - an outcome
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"  # it would say nothing
    UNKNOWN = "unknown"  # it cannot be seen from here


class FailureMoment(StrEnum):
    """When SQL Server would show the code, completing "SQL Server would show 3303"."""

    SESSION = "when it opens its session with the provider (message 33028)"
    KEY = "when it asks for its key (message 33049)"
    WRAP = "when a database encryption key is made or encrypted anew"
    UNWRAP = "when it opens an encrypted database or restores its backup"
    RESTORE = "when it restores a backup that needs that version"
    SETUP = "when its credential or key is created"
    LOAD = "when it loads the provider"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of the list. `code` is the one SQL Server shows in the usual case, in the classic generation; None: none.

    `needs` are checks that come before it: where one of them failed, this one would say nothing and is skipped.
    `on_host`: only the SQL Server host can show it.
    """

    name: str
    title: str  # at most 27 characters, for a column
    question: str  # one sentence
    code: int | None = None
    moment: FailureMoment = FailureMoment.SESSION
    needs: tuple[str, ...] = ()
    on_host: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What came of one check. `code` is in the target's generation, None where SQL Server would show none.

    `detail` is one masked line. `fix` are lines for people; one that starts with two blanks is a command to copy.
    `moment` is when SQL Server would show the code, None for the check's usual one.
    """

    check: str
    outcome: CheckOutcome
    code: int | None = None
    detail: str = ""
    fix: tuple[str, ...] = ()
    moment: FailureMoment | None = None


@dataclass(frozen=True, slots=True)
class CheckRun:
    """`at` is the Unix time at which it ended."""

    at: float
    results: tuple[CheckResult, ...]

    @property
    def failed(self) -> tuple[CheckResult, ...]:
        """What is skipped, not to be seen from here or worth a look did not fail."""
        return tuple(result for result in self.results if result.outcome is CheckOutcome.FAIL)
