"""Frozen dataclasses that are cheap to create: mypy forbids assignments, and nothing checks them again at run time.

A dataclass that is frozen at run time calls a function for each field of a new object: a thirtieth of the cost of a probe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    import dataclasses

    def dataclass(*, frozen: bool, **options: bool) -> object:
        """Make a dataclass with the hash and the pickled state of a frozen one."""

        def decorate(cls: type) -> type:
            cls.__getstate__, cls.__setstate__ = _values, _set_values
            return dataclasses.dataclass(unsafe_hash=frozen, **options)(cls)

        return decorate

    def _values(self: Any) -> list[object]:
        """Return the values without the names of the fields, which would be most of a pickle."""
        return [getattr(self, field.name) for field in dataclasses.fields(self)]

    def _set_values(self: Any, values: list[object]) -> None:
        for field, value in zip(dataclasses.fields(self), values, strict=True):
            setattr(self, field.name, value)


__all__ = ["dataclass"]
