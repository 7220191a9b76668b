"""Command lines of tests: defaults that a test replaces, since a flag with one value may be given once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def with_defaults(flags: Iterable[str], defaults: Mapping[str, object]) -> list[str]:
    """Return the flags, after the defaults that they do not give themselves."""
    given = [str(flag) for flag in flags]
    return [str(part) for flag, value in defaults.items() if flag not in given for part in (flag, value)] + given
