"""The state of a key version at a time."""

from __future__ import annotations

from exporter.core.model import KeyFacts


def key_state(key: KeyFacts, now: float) -> str | None:
    """Return `disabled`, `expired`, `not_yet_valid`, or None for a usable key."""
    if key.enabled is False:
        return "disabled"
    if key.expires is not None and key.expires <= now:
        return "expired"
    if key.not_before is not None and key.not_before > now:
        return "not_yet_valid"
    return None
