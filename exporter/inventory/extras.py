"""Libraries that only some installations have."""

from __future__ import annotations


class ExtraMissingError(Exception):
    """An optional library is not installed; the text has the command that installs it."""

    def __init__(self, extra: str) -> None:
        super().__init__(f"this command needs an optional library: pip install 'ekm-exporter[{extra}]'")
