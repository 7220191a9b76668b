"""Frozen dataclasses that are cheap to create: mypy forbids assignments, and nothing checks them again at run time.

A dataclass that is frozen at run time calls a function for each field of a new object: a thirtieth of the cost of a probe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    import dataclasses

    def dataclass(*, frozen: bool, **options: bool) -> object:
        """Make a dataclass with the hash of a frozen one."""
        return dataclasses.dataclass(unsafe_hash=frozen, **options)


__all__ = ["dataclass"]
