"""The settings of a dataclass, in the metadata of its fields.

A setting consists of key, type, default and documentation. The tables of `schema`, the builders and the effective configuration
derive from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, field, fields, is_dataclass, replace
from datetime import date
from enum import Enum
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from exporter.config.settings.maintenance import MaintenanceWindow
from exporter.config.yaml import FieldType, types
from exporter.config.yaml import fields as rows
from exporter.core import durations

MASKED = "<secret>"
_SETTINGS = "settings"


class Values(Protocol):
    """A section that was read: the value of a key, None if it is absent or unusable."""

    def get(self, name: str) -> Any: ...


def row(kind: FieldType, doc: str, **more: Any) -> dict[str, Any]:
    """Return the metadata of an attribute that one key sets.

    `more`: see `fields.Field`. The default of `name` is the attribute's name.
    """
    return {_SETTINGS: (rows.Field(**{"name": "", "kind": kind, "doc": doc, **more}),)}


def setting(kind: FieldType, doc: str, default: Any = None, *, shown: str = "", **more: Any) -> Any:
    """Return an attribute with a default that one key sets.

    `shown` replaces the default in the documentation.
    """
    return _attribute(default, row(kind, doc, default=shown, **more))


def secret_setting(attribute: str, **stems: tuple[str, tuple[str, ...]]) -> Any:
    """A `SecretSource` or None, set by one of the keys STEM_file and STEM_env."""
    found: list[rows.Field] = []
    for stem, (what, kinds) in stems.items():
        for ending, kind, place in (("file", types.PATH, "File"), ("env", types.ENVIRONMENT, "Environment variable")):
            dumped = partial(_place, attribute, ending)
            found.append(rows.Field(name=f"{stem}_{ending}", kind=kind, doc=f"{place} with {what}.", types=kinds, dumped=dumped))
    return _attribute(None, {_SETTINGS: tuple(found)})


def _attribute(default: Any, metadata: dict[str, Any]) -> Any:
    return field(default_factory=dict, metadata=metadata) if default == {} else field(default=default, metadata=metadata)


def _place(attribute: str, ending: str, owner: object) -> Any:
    return getattr(getattr(owner, attribute), ending, None)


def fields_of(model: type) -> tuple[rows.Field, ...]:
    """The keys of a dataclass, in its order."""
    return tuple(row for _, row in _rows(model))


def plain_values(model: type, section: Values) -> dict[str, Any]:
    """Return the usable values of a section, by attribute.

    Absent keys keep the defaults of the dataclass.
    """
    values = {attribute.name: section.get(row.name) for attribute, row in _rows(model)}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items() if value is not None}


def dump(value: Any) -> dict[str, Any]:
    """A dataclass as a mapping of YAML values, without absent ones."""
    model: type = type(value)
    kind = getattr(value, "kind", None)
    found = {
        row.name: plain(row.dumped(value) if row.dumped else getattr(value, attribute.name))
        for attribute, row in _rows(model)
        if row.belongs_to(kind)
    }
    return {key: each for key, each in found.items() if each is not None and each not in ({}, [])}


def plain(value: Any) -> Any:
    """A value of a configuration in a type that YAML has."""
    match value:
        case Enum() | Path() | MaintenanceWindow():
            return str(value)
        case float():
            return durations.write(value)
        case tuple():
            return [plain(each) for each in value]
        case Mapping():
            return {key: each for key, each in value.items() if each is not None}
        case str():
            return mask_user(value)
        case None | date() | bool() | int():
            return value
        case _ if is_dataclass(value):
            return dump(value)
        case _:
            raise TypeError(f"no type of a configuration: {type(value).__name__}")


def mask_user(url: str) -> str:
    """Mask the text before the @ of a URL."""
    if "://" not in url:
        return url
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{MASKED}@{host}").geturl() if at and user else url


@cache
def _rows(model: type) -> tuple[tuple[Field[Any], rows.Field], ...]:
    rows_ = ((attribute, row) for attribute in fields(model) for row in attribute.metadata.get(_SETTINGS, ()))
    return tuple((attribute, _completed(attribute, row)) for attribute, row in rows_)


def _completed(attribute: Field[Any], row: rows.Field) -> rows.Field:
    default = attribute.default_factory() if attribute.default_factory is not MISSING else attribute.default
    required = row.required or (default is MISSING and not row.default)
    shown = row.default or ("" if required or default in (None, MISSING) else _default_text(default))
    return replace(row, name=row.name or attribute.name, required=required, default=shown)


def _default_text(default: Any) -> str:
    written = plain(default)
    return str(written).lower() if isinstance(written, bool) else str(written)
