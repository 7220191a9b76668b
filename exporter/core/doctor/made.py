"""One run of the check-list for a target.

For: keeping what was found together with when, and what of it failed.
Not for: single checks (see `model`), making them (see `exporter.doctor`).
"""

from __future__ import annotations

from dataclasses import dataclass

from exporter.core.doctor.model import CheckResult, Verdict


@dataclass(frozen=True, slots=True)
class Run:
    """`at` is the Unix time at which it ended."""

    at: float
    results: tuple[CheckResult, ...]

    @property
    def failed(self) -> tuple[CheckResult, ...]:
        """What is skipped, not to be seen from here or worth a look did not fail."""
        return tuple(result for result in self.results if result.outcome is Verdict.FAIL)
