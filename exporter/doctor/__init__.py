"""The doctor: everything that can be seen of one target from here, check by check, with what would fix it.

For: `run_checks`, for the command line and for whoever repeats it at a slow pace.
Not for: the checks' names and texts (see `exporter.core.checks`).
"""

from exporter.doctor.run import run_checks

__all__ = ["run_checks"]
