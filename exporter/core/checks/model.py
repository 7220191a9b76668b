"""A preflight check, its result, and one run of all checks for a target.

Outcomes are public.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

Actions = tuple[str, ...]  # sentences with `code` spans, as those of a reason


class CheckOutcome(StrEnum):
    """The outcome of a check. Only `fail` means a certain problem."""

    PASS = "pass"  # noqa: S105 - an outcome
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"  # a check before it failed
    UNKNOWN = "unknown"  # not visible from here


class FailureMoment(StrEnum):
    """When SQL Server would show a code; completes "SQL Server would show 3303"."""

    SESSION = "when it opens its session with the provider (message 33028)"
    KEY = "when it reads its key (message 33049)"
    WRAP = "when a database encryption key is created or re-encrypted"
    UNWRAP = "when it opens an encrypted database, starts a log file, or makes or restores a backup"
    RESTORE = "when it restores a backup that needs that version"
    SETUP = "when its credential or key is created"
    LOAD = "when it loads the provider"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check; `code` is the classic code that SQL Server usually shows.

    `needs` are earlier checks: if one of them fails, this check is skipped. `looked_up` is what shows it on a SQL Server host with Windows.
    `actions` are for an outcome that has no reason, since the reason of a failed step has its own.
    """

    name: str
    title: str  # at most 27 characters, for a column
    question: str  # one sentence
    code: int | None = None
    moment: FailureMoment = FailureMoment.SESSION
    needs: tuple[str, ...] = ()
    looked_up: str = ""  # empty for a check that every host can make
    actions: Actions = ()
    of_certificate: Actions = ()  # instead, if the credential is a certificate
    on_hsm: Actions = ()  # instead, for a Managed HSM
    if_unknown: bool = False  # the actions also show what is unknown here
    effect: str = ""  # of a failure for which SQL Server shows no code

    @property
    def on_host(self) -> bool:
        """Whether only the SQL Server host shows it."""
        return bool(self.looked_up)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """The result of one check.

    `code` is in the target's generation, None if SQL Server shows none. `detail` is one masked line. Lines of `fix` that
    start with two blanks are commands. `moment` is when SQL Server would show the code, None for the usual moment of the
    check.
    """

    check: str
    outcome: CheckOutcome
    code: int | None = None
    detail: str = ""
    fix: tuple[str, ...] = ()
    moment: FailureMoment | None = None


@dataclass(frozen=True, slots=True)
class CheckRun:
    """One run of all checks; `at` is the Unix time of its end."""

    at: float
    results: tuple[CheckResult, ...]

    @property
    def failed(self) -> tuple[CheckResult, ...]:
        """The failed checks, without skipped, unknown and warning ones."""
        return tuple(result for result in self.results if result.outcome is CheckOutcome.FAIL)
