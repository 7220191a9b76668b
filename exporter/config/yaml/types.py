"""Types of values: text, duration, date, choice, path, list and others.

Each type reads a node and reports at its location why the value is unusable.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from collections.abc import Sequence as Items
from dataclasses import replace
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from exporter.config.yaml.fields import Field, FieldType, read_section, report_wrong_type, unique_keys
from exporter.config.yaml.problems import Location
from exporter.config.yaml.tree import Mapping, Node, Scalar, Sequence, Type
from exporter.core import durations
from exporter.core.suggestions import nearest

Json = dict[str, Any]

DAY = 86400.0

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_GUID = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,8})")
_CREDENTIALS_PREFIX = "${CREDENTIALS_DIRECTORY}/"  # differs for each unit, so that units can share a configuration
_ENVIRONMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def scalar(
    type_name: str,
    expected: str,
    types: tuple[Type, ...],
    convert: Callable[[str], Any],
    json: Json | None = None,
) -> FieldType:
    """The type of a single value.

    `convert` raises ValueError with a message that must not contain the value.
    """

    def read(node: Node, location: Location) -> Any:
        if not isinstance(node, Scalar) or node.type not in types:
            report_wrong_type(node, location, expected)
            return None
        try:
            return convert(node.text)
        except ValueError as error:
            location.error(str(error))
            return None

    return FieldType(type_name, read, json or {})


def text(type_name: str, convert: Callable[[str], Any] = str, **json: Any) -> FieldType:
    """A text. Numbers and dates need quotes, so that 7.10 stays 7.10.

    `json`: keywords of JSON Schema.
    """

    def checked(value: str) -> Any:
        if not value.strip():
            raise ValueError("is empty")
        if _UNPRINTABLE.search(value):
            raise ValueError("contains a line break or a control character: remove it")
        return convert(value)

    quoted = scalar(type_name, "a text", (Type.TEXT,), checked)

    def read(node: Node, location: Location) -> Any:
        if isinstance(node, Scalar) and node.type not in (Type.TEXT, Type.NOTHING):
            location.error(f"expected a text, found {node.type.value}: put it in quotes")
            return None
        return quoted.read(node, location)

    return FieldType(type_name, read, {"type": "string", "minLength": 1, **json})


def matching(type_name: str, pattern: re.Pattern[str], message: str) -> FieldType:
    """A text that matches the whole pattern, else the message."""

    def convert(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(message)
        return value

    return text(type_name, convert, pattern=anchored(pattern))


def anchored(pattern: re.Pattern[str]) -> str:
    """The pattern for JSON Schema, which matches a whole value."""
    return f"^(?:{pattern.pattern})$"


def whole(minimum: int, maximum: int) -> FieldType:
    """A whole number in a range."""

    def convert(value: str) -> int:
        if not _WHOLE.fullmatch(value) or not minimum <= int(value) <= maximum:
            raise ValueError(f"expected a whole number from {minimum} to {maximum}")
        return int(value)

    json = {"type": "integer", "minimum": minimum, "maximum": maximum}
    return scalar(f"whole number, {minimum} to {maximum}", "a whole number", (Type.NUMBER,), convert, json)


def duration(minimum: float, maximum: float) -> FieldType:
    """Seconds, in the notation of Prometheus."""

    def convert(value: str) -> float:
        if value != "0" and _WHOLE.fullmatch(value):
            raise ValueError(f"a duration needs a unit: {value}s?")
        seconds = durations.parse(value)
        if not minimum <= seconds <= maximum:
            raise ValueError(f"expected a duration from {durations.write(minimum)} to {durations.write(maximum)}")
        return seconds

    json = {"type": "string", "pattern": f"^(?!$){durations.PATTERN}$"}
    return scalar(
        "duration",
        "a duration such as 30s",
        (Type.TEXT, Type.NUMBER),
        convert,
        json if minimum else {"anyOf": [{"const": 0}, json]},
    )


def choice(values: type[StrEnum] | Items[str]) -> FieldType:
    """One of a few words."""
    names = tuple(str(value) for value in values)

    def convert(value: str) -> Any:
        if value not in names:
            raise ValueError(f"expected one of {', '.join(names)}{nearest(value, names)}")
        return values(value) if isinstance(values, type) else value

    return text(" \\| ".join(f"`{name}`" for name in names), convert, enum=list(names))


def _date(value: str) -> date:
    message = "expected a date such as 2027-03-01"
    if not _DATE.fullmatch(value):
        raise ValueError(message)
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError(message) from None


TEXT = text("text")
NAME = matching("name", _NAME, "expected a name: a letter or digit, then at most 127 letters, digits, dots, underscores, hyphens")
CREDENTIAL_NAME = replace(NAME, refers_to="credentials")
MODULE_NAME = replace(NAME, refers_to="modules")
GUID = matching("GUID", _GUID, "expected a GUID such as 66666666-7777-8888-9999-000000000000")
ENVIRONMENT = matching("name of an environment variable", _ENVIRONMENT, "expected the name of an environment variable")
BOOL = scalar(
    "`true` \\| `false`",
    "true or false",
    (Type.BOOL,),
    lambda word: word.lower() in ("true", "yes", "on", "y"),
    {"type": "boolean"},
)
INTERVAL = duration(0.1, DAY)
TIMEOUT = duration(0.01, DAY / 2)
_DAY = {"type": "string", "format": "date", "pattern": anchored(_DATE)}
DATE = scalar("date", "a date such as 2027-03-01", (Type.DATE, Type.TEXT), _date, _DAY)


def _path(node: Node, location: Location) -> Path | None:
    written = TEXT.read(node, location)
    if written is None or not written.startswith(_CREDENTIALS_PREFIX):
        return None if written is None else location.base / written
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    if not folder:
        location.error(
            "CREDENTIALS_DIRECTORY is not set: systemd sets it in a service; elsewhere set it to /run/credentials/UNIT"
        )
        return None
    return Path(folder, written.removeprefix(_CREDENTIALS_PREFIX))


PATH = FieldType("path", _path, TEXT.json)


def section(fields: Items[Field], required: Items[str] | None = None) -> FieldType:
    """A mapping with these keys.

    `required` replaces the keys that JSON Schema requires, if a key may come from elsewhere.
    """
    return FieldType("section", lambda node, location: read_section(node, location, fields), object_json(fields, required))


def object_json(fields: Items[Field], required: Items[str] | None = None) -> Json:
    """The JSON Schema of a mapping with these keys."""
    needed = [field.name for field in fields if field.required] if required is None else list(required)
    properties = {field.name: {**field.kind.json, "description": field.meaning} for field in fields}
    for field in fields:
        if field.has_literal_default:
            properties[field.name]["default"] = yaml.safe_load(field.default)
    return {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}


def list_of(kind: FieldType) -> FieldType:
    """A list without its unusable items."""

    def read(node: Node, location: Location) -> list[Any] | None:
        if not isinstance(node, Sequence):
            report_wrong_type(node, location, "a list")
            return None
        places = [(item, location.item(index).with_position(item.line, item.column)) for index, item in enumerate(node.items)]
        usable = (kind.read(item, at) for item, at in places)
        return [item for item in usable if item is not None]

    return FieldType(f"list of: {kind.type_name}", read, {"type": "array", "items": kind.json}, kind.refers_to)


def map_of(kind: FieldType, type_name: str) -> FieldType:
    """Names to values, None for an unusable value."""

    def read(node: Node, location: Location) -> dict[str, Any] | None:
        if not isinstance(node, Mapping):
            report_wrong_type(node, location, "a mapping")
            return None
        found: dict[str, Any] = {}
        for key, value, at in unique_keys(node, location):
            if not _NAME.fullmatch(key.text):
                at.with_position(key.line, key.column).error("expected a name of letters, digits, dots, underscores and hyphens")
            else:
                found[key.text] = kind.read(value, at)
        return found

    json = {"type": "object", "propertyNames": {"pattern": anchored(_NAME)}, "additionalProperties": kind.json}
    return FieldType(type_name, read, json)
