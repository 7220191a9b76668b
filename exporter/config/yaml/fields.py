"""Read one mapping by its table of fields.

Unknown keys, repeated keys and secrets in plain text are reported.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from collections.abc import Mapping as Mapping_
from dataclasses import dataclass, field
from typing import Any

from exporter.config.yaml.problems import Location
from exporter.config.yaml.tree import Mapping, Node, Scalar, Type
from exporter.core.suggestions import nearest


@dataclass(frozen=True, slots=True)
class FieldType:
    """The type of a value.

    `read` returns None after it has reported why the value is unusable.
    """

    type_name: str  # in the reference table
    read: Callable[[Node, Location], Any]
    json: Mapping_[str, Any] = field(default_factory=dict)  # JSON Schema of the value
    refers_to: str = ""  # the section in which the value is a name


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One key: a row of the reference in docs/configuration.md.

    `default` is the text in that row, as YAML.
    """

    name: str
    kind: FieldType
    doc: str
    required: bool = False
    default: str = ""
    types: tuple[str, ...] = ()  # only in credentials of these types; empty: in all
    dumped: Callable[[Any], Any] | None = None  # the key's value in the effective configuration, from its object

    @property
    def meaning(self) -> str:
        """The documentation, with the credential types that have the key."""
        return self.doc if not self.types else f"{self.doc} Only with {', '.join(f'`{kind}`' for kind in self.types)}."

    @property
    def has_literal_default(self) -> bool:
        """Whether `default` is a value; otherwise it is a sentence or absent."""
        return bool(self.default) and " " not in self.default and "`" not in self.default

    def belongs_to(self, kind: str | None) -> bool:
        """Whether a credential of this type may have the key."""
        return kind is None or not self.types or kind in self.types


@dataclass(slots=True)
class Section:
    """A mapping that has been read: its usable values, and the location of every key."""

    location: Location
    values: dict[str, Any] = field(default_factory=dict)
    locations: dict[str, Location] = field(default_factory=dict)
    holds_secret: bool = False  # a secret was refused here: do not also require its place

    def get(self, name: str) -> Any:
        return self.values.get(name)

    def is_set(self, name: str) -> bool:
        return name in self.locations

    def location_of(self, name: str) -> Location:
        """The location of the value; of the section if the key is absent."""
        return self.locations.get(name) or self.location.child(name)


_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.-]{1,128}|<<")
_SECRET_KEY = re.compile(r"(?i)(?:secret|password|passwd|passphrase|pwd|token|api_?key|assertion)(?:_?(?:value|text))?")
_SOURCE = re.compile(r"(?P<what>.*)_(?:file|env)")


def describe(node: Node) -> str:
    """Describe a node without its content."""
    if isinstance(node, Scalar):
        return node.type.value
    return "a mapping" if isinstance(node, Mapping) else "a list"


def report_wrong_type(node: Node, location: Location, expected: str) -> None:
    """Report that a node has no value or another type than expected."""
    if isinstance(node, Scalar) and node.type is Type.NOTHING:
        location.error(f"has no value, expected {expected}")
    else:
        location.error(f"expected {expected}, found {describe(node)}")


def unique_keys(node: Mapping, location: Location) -> list[tuple[Scalar, Node, Location]]:
    """The entries with the locations of their values.

    Repeated keys are reported and left out.
    """
    first: dict[str, int] = {}
    entries = []
    for key, value in node.entries:
        at_key = location.child(_printable(key.text)).with_position(key.line, key.column)
        if key.text in first:
            at_key.error(f"written twice, first in line {first[key.text]}: remove one")
            continue
        first[key.text] = key.line
        empty = isinstance(value, Scalar) and value.type is Type.NOTHING
        entries.append((key, value, at_key if empty else at_key.with_position(value.line, value.column)))
    return entries


def read_section(node: Node, location: Location, fields: Sequence[Field], *, kind: str | None = None) -> Section | None:
    """Read a section without its unusable values; None if the node is no mapping."""
    if not isinstance(node, Mapping):
        report_wrong_type(node, location, f"a mapping with keys such as {fields[0].name}")
        return None
    section = Section(location)
    known = {field_.name: field_ for field_ in fields}
    for key, value, at in unique_keys(node, location):
        field_ = known.get(key.text)
        if field_ is None or not field_.belongs_to(kind):
            at.with_position(key.line, key.column).error(_why_not(key.text, fields, kind))
            section.holds_secret |= _is_secret(key.text)
            continue
        section.locations[key.text] = at
        if (usable := field_.kind.read(value, at)) is not None:
            section.values[key.text] = usable
    return section


def require(section: Section, fields: Sequence[Field], *, kind: str | None = None) -> None:
    """Report each required key that is absent."""
    for field_ in fields:
        if field_.required and field_.belongs_to(kind) and not section.is_set(field_.name):
            section.location.child(field_.name).error("is required")


def _printable(key: str) -> str:
    # `client_secret:abc` without a space after the colon is one word, and half of it is a secret.
    return key if _PLAIN_KEY.fullmatch(key) else "(key)"


def _why_not(key: str, fields: Sequence[Field], kind: str | None) -> str:
    usable = [field_.name for field_ in fields if field_.belongs_to(kind)]
    if key == "<<":
        return "merge keys are not supported: write target_defaults, or an alias for the whole value"
    if any(field_.name == key for field_ in fields):
        return f"does not belong to a credential of type {kind}: remove it{nearest(key, usable)}"
    if _is_secret(key):
        return f"the configuration must not contain secrets: use {_sources(key, usable)}"
    if not _PLAIN_KEY.fullmatch(key):
        return "unknown key: is a space missing after a colon?"
    return f"unknown key{nearest(key, usable)}"


def _is_secret(key: str) -> bool:
    word = key.partition(":")[0].strip()
    found = _SECRET_KEY.search(word)
    return found is not None and found.end() == len(word)


def _sources(key: str, usable: Sequence[str]) -> str:
    """Return the keys for the place of a password or, without one, of the secret."""
    sources = [name for name in usable if (match := _SOURCE.fullmatch(name)) and _is_secret(match["what"])]
    fitting = [name for name in sources if name.startswith(key)] or sources
    return " or ".join(fitting) or "a file or an environment variable"
