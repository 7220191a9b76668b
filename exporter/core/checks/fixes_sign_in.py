"""The fix of a refused sign-in if a staged credential is usable."""

from __future__ import annotations

from exporter.core.checks.fixes import ALTER, Lines


def switch_to(staged: str) -> Lines:
    """Return the lines that make the staged credential the current one."""
    return (
        f"The staged credential {staged} is usable. Give its secret to SQL Server, on every replica:",
        *ALTER[1:],
        f"Then set `credential: {staged}` in the configuration, and remove `next_credential`.",
    )
