"""The preflight checks: rows of checks with their actions, and owners of failures.

For: the names of the checks, which are public (JSON, metric labels), and the pure rules about them.
Not for: running a check (see `exporter.doctor`).
"""

from exporter.core.checks.model import Check, CheckOutcome, CheckResult, FailureMoment
from exporter.core.checks.sql import SQL
from exporter.core.checks.table import BY_NAME, CHECKS

__all__ = ["BY_NAME", "CHECKS", "SQL", "Check", "CheckOutcome", "CheckResult", "FailureMoment"]
