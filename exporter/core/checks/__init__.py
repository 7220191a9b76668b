"""The doctor's check-list: literal tables of what is checked, which check owns a failure, and what to do about it.

For: the checks' names, which are public (JSON, metric labels), and the pure rules about them.
Not for: finding out anything (see `exporter.doctor`).
"""

from exporter.core.checks.model import Check, CheckOutcome, CheckResult, FailureMoment
from exporter.core.checks.table import BY_NAME, CHECKS

__all__ = ["BY_NAME", "CHECKS", "Check", "CheckOutcome", "CheckResult", "FailureMoment"]
