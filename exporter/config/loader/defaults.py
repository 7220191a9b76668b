"""A section of a list, with the defaults of its file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from exporter.config.yaml import Location, Section


@dataclass(frozen=True, slots=True)
class SectionWithDefaults:
    """A target or a SQL Server, and the defaults of its file.

    A key of its own replaces the default. `replaced_by` has, for a key of the defaults, the other own keys that replace it too.
    """

    own: Section
    defaults: Section | None
    replaced_by: Mapping[str, Collection[str]] = field(default_factory=dict)

    def get(self, name: str) -> Any:
        return self.holder_of(name).get(name)

    def is_set(self, name: str) -> bool:
        return self.holder_of(name).is_set(name)

    def location_of(self, name: str) -> Location:
        return self.holder_of(name).location_of(name)

    def holder_of(self, name: str) -> Section:
        """Return the section that the value of a key comes from."""
        if self.defaults is None or not self.defaults.is_set(name):
            return self.own
        own = (name, *self.replaced_by.get(name, ()))
        return self.own if any(self.own.is_set(each) for each in own) else self.defaults
