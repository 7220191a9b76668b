"""Read one mapping by its table of fields, and each value by its type.

Unknown keys, repeated keys and secrets in plain text are reported. Each type reads a node and reports at its location why the value is
unusable.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from exporter.config.tree import Location, Node, Type
from exporter.core import durations, first_true
from exporter.core.connector import key_name_findings
from exporter.core.names import EXPECTED_THUMBPRINT, THUMBPRINT_PATTERN, nearest, normalize_thumbprint, vault_host
from exporter.core.values import KEY_PATTERN, KeyReference, parse_key


@dataclass(frozen=True, slots=True)
class FieldType:
    """The type of a value. `read` returns None after it has reported why the value is unusable."""

    type_name: str  # in the reference table
    read: Callable[[Node, Location], Any]
    json: Mapping[str, Any] = field(default_factory=dict)  # JSON Schema of the value
    refers_to: str = ""  # the section in which the value is a name


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One key: a row of the reference in docs/configuration.md. `default` is the text in that row, as YAML."""

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
    lent: Collection[str] = ()  # the keys that the defaults of its file set

    def get(self, name: str) -> Any:
        return self.values.get(name)

    def is_set(self, name: str) -> bool:
        return name in self.locations

    def sets(self, name: str) -> bool:
        """Whether the section itself sets the key, not its defaults."""
        return name in self.locations and name not in self.lent

    def location_of(self, name: str) -> Location:
        """The location of the value; of the section if the key is absent."""
        return self.locations.get(name) or self.location.child(name)

    def over(self, defaults: Section | None, replaced_by: Mapping[str, Collection[str]]) -> Section:
        """Return the section with the keys of its defaults that it does not set.

        `replaced_by` has, for a key of the defaults, the other own keys that replace it too.
        """
        if defaults is None:
            return self
        lent = {
            name: at
            for name, at in defaults.locations.items()
            if self.locations.keys().isdisjoint((name, *replaced_by.get(name, ())))
        }
        values = {name: value for name, value in defaults.values.items() if name in lent} | self.values
        return Section(self.location, values, lent | self.locations, self.holds_secret, lent)


_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.-]{1,128}|<<")
_SECRET_KEY = re.compile(r"(?i)(?:secret|password|passwd|passphrase|pwd|token|api_?key|assertion)(?:_?(?:value|text))?")
_SOURCE = re.compile(r"(?P<what>.*)_(?:file|env)")


def report_wrong_type(node: Node, location: Location, expected: str, hint: str = "") -> None:
    """Report that a node has no value or another type than expected; `hint` is what to do about another single value."""
    hint = "" if node.type in (Type.LIST, Type.MAPPING) else hint
    nothing = node.type is Type.NOTHING
    location.error(f"has no value, expected {expected}" if nothing else f"expected {expected}, found {node.type.value}{hint}")


def unique_keys(node: Node, location: Location, expected: str = "a mapping") -> list[tuple[Node, Node, Location]] | None:
    """The entries with the locations of their values; None if the node is no mapping. Repeated keys are reported and left out."""
    if node.type is not Type.MAPPING:
        report_wrong_type(node, location, expected)
        return None
    first: dict[str, int] = {}
    entries = []
    for key, value in node.entries:
        # `client_secret:abc` without a space after the colon is one word, and half of it is a secret.
        at_key = location.child(key.text if _PLAIN_KEY.fullmatch(key.text) else "(key)").with_position(key.line, key.column)
        if key.text in first:
            at_key.error(f"written twice, first in line {first[key.text]}: remove one")
            continue
        first[key.text] = key.line
        entries.append((key, value, at_key if value.type is Type.NOTHING else at_key.with_position(value.line, value.column)))
    return entries


def read_section(
    node: Node, location: Location, fields: Sequence[Field], *, kind: str | None = None, required: Collection[str] | None = None
) -> Section | None:
    """Read a section without its unusable values; None if the node is no mapping. Each required key that is absent is reported.

    `kind` is the type of a credential. `required` replaces the keys that the fields require.
    """
    entries = unique_keys(node, location, f"a mapping with keys such as {fields[0].name}")
    if entries is None:
        return None
    section = Section(location)
    known = {field_.name: field_ for field_ in fields}
    for key, value, at in entries:
        field_ = known.get(key.text)
        if field_ is None or not field_.belongs_to(kind):
            at.with_position(key.line, key.column).error(_why_not(key.text, fields, kind))
            section.holds_secret |= _is_secret(key.text)
            continue
        section.locations[key.text] = at
        if (usable := field_.kind.read(value, at)) is None:
            continue
        section.values[key.text] = usable
        if field_.kind.refers_to:
            names = [(each, at.item(index)) for index, each in enumerate(usable)] if isinstance(usable, list) else [(usable, at)]
            location.problems.references += [(field_.kind.refers_to, name, place) for name, place in names]
    for name in required_of(fields, kind) if required is None else required:
        if name not in section.locations:
            location.child(name).error("is required")
    return section


def required_of(fields: Iterable[Field], kind: str | None = None) -> list[str]:
    """The keys that a section, or a credential of this type, must have."""
    return [each.name for each in fields if each.required and each.belongs_to(kind)]


def _why_not(key: str, fields: Sequence[Field], kind: str | None) -> str:
    usable = [field_.name for field_ in fields if field_.belongs_to(kind)]
    close = nearest(key, usable)
    # The keys for the place of a password or, without one, of the secret.
    sources = [name for name in usable if (match := _SOURCE.fullmatch(name)) and _is_secret(match["what"])]
    fitting = " or ".join([name for name in sources if name.startswith(key)] or sources)
    return first_true(
        (key == "<<", "merge keys are not supported: write target_defaults, or an alias for the whole value"),
        (
            any(field_.name == key for field_ in fields),
            f"does not belong to a credential of type {kind}: remove it{close}",
        ),
        (
            _is_secret(key),
            f"the configuration must not contain secrets: use {fitting or 'a file or an environment variable'}",
        ),
        (not _PLAIN_KEY.fullmatch(key), "unknown key: is a space missing after a colon?"),
        default=f"unknown key{close}",
    )


def _is_secret(key: str) -> bool:
    word = key.partition(":")[0].strip()
    found = _SECRET_KEY.search(word)
    return found is not None and found.end() == len(word)


# Types of values: text, duration, date, choice, path, list and others.

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
    *,
    hint: str = "",
) -> FieldType:
    """The type of a single value. `convert` raises ValueError with a message that must not contain the value."""

    def read(node: Node, location: Location) -> Any:
        if node.type not in types:
            report_wrong_type(node, location, expected, hint)
            return None
        try:
            return convert(node.text)
        except ValueError as error:
            location.error(str(error))
            return None

    return FieldType(type_name, read, json or {})


def text(
    type_name: str, convert: Callable[[str], Any] = str, *, matches: re.Pattern[str] | None = None, wrong: str = "", **json: Any
) -> FieldType:
    """A text that matches the whole pattern, if there is one, else it is `wrong`. `json`: keywords of JSON Schema.

    Numbers and dates need quotes, so that 7.10 stays 7.10.
    """

    def checked(value: str) -> Any:
        if not value.strip():
            raise ValueError("is empty")
        if _UNPRINTABLE.search(value):
            raise ValueError("contains a line break or a control character: remove it")
        if matches is not None and not matches.fullmatch(value):
            raise ValueError(wrong)
        return convert(value)

    if matches is not None:
        json["pattern"] = anchored(matches)

    return scalar(
        type_name, "a text", (Type.TEXT,), checked, {"type": "string", "minLength": 1, **json}, hint=": put it in quotes"
    )


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


def choice(values: type[StrEnum] | Sequence[str]) -> FieldType:
    """One of a few words."""
    names = tuple(str(value) for value in values)

    def convert(value: str) -> Any:
        if value not in names:
            raise ValueError(f"expected one of {', '.join(names)}{nearest(value, names)}")
        return values(value) if isinstance(values, type) else value

    return text(" \\| ".join(f"`{name}`" for name in names), convert, enum=list(names))


def _date(value: str) -> date:
    with suppress(ValueError):
        if _DATE.fullmatch(value):
            return date.fromisoformat(value)
    raise ValueError("expected a date such as 2027-03-01")


TEXT = text("text")
NAME = text(
    "name",
    matches=_NAME,
    wrong="expected a name: a letter or digit, then at most 127 letters, digits, dots, underscores, hyphens",
)
CREDENTIAL_NAME = replace(NAME, refers_to="credentials")
MODULE_NAME = replace(NAME, refers_to="modules")
GUID = text("GUID", matches=_GUID, wrong="expected a GUID such as 66666666-7777-8888-9999-000000000000")
ENVIRONMENT = text("name of an environment variable", matches=_ENVIRONMENT, wrong="expected the name of an environment variable")
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


def section(fields: Sequence[Field], required: Sequence[str] | None = None) -> FieldType:
    """A mapping with these keys. `required` replaces the keys that the fields require, if a key may come from elsewhere."""
    needed = required_of(fields) if required is None else required
    return FieldType("section", partial(read_section, fields=fields, required=needed), object_json(fields, needed))


def object_json(fields: Sequence[Field], required: Sequence[str] | None = None) -> Json:
    """The JSON Schema of a mapping with these keys."""
    needed = required_of(fields) if required is None else list(required)
    properties = {each.name: {**each.kind.json, "description": each.meaning} for each in fields}
    for each in fields:
        if each.has_literal_default:
            properties[each.name]["default"] = yaml.safe_load(each.default)
    return {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}


def _items(node: Node, location: Location) -> list[tuple[Node, Location]] | None:
    if node.type is not Type.LIST:
        report_wrong_type(node, location, "a list")
        return None
    return [(item, location.item(index).with_position(item.line, item.column)) for index, item in enumerate(node.items)]


def list_of(kind: FieldType, *, if_empty: str = "") -> FieldType:
    """A list without its unusable items. `if_empty`: why an empty one is unusable."""

    def read(node: Node, location: Location) -> list[Any] | None:
        if (items := _items(node, location)) is None:
            return None
        if if_empty and not items:
            location.error(if_empty)
            return None
        usable = (kind.read(item, at) for item, at in items)
        return [item for item in usable if item is not None]

    return FieldType(f"list of: {kind.type_name}", read, {"type": "array", "items": kind.json}, kind.refers_to)


def mapping(
    type_name: str,
    kind: FieldType,
    complaint: Callable[[str], str],
    names: Json,
    *,
    expected: str = "a mapping",
    keeps_unusable: bool = False,
) -> FieldType:
    """Names to values, without the unusable ones, or with None for them. `complaint` returns why a name is unusable, or nothing."""

    def read(node: Node, location: Location) -> dict[str, Any] | None:
        if (entries := unique_keys(node, location, expected)) is None:
            return None
        found: dict[str, Any] = {}
        for key, value, at in entries:
            if problem := complaint(key.text):
                at.with_position(key.line, key.column).error(problem)
            elif (usable := kind.read(value, at)) is not None or keeps_unusable:
                found[key.text] = usable
        return found

    return FieldType(type_name, read, {"type": "object", "propertyNames": names, "additionalProperties": kind.json})


def map_of(kind: FieldType, type_name: str) -> FieldType:
    """Names to values, None for an unusable value."""
    wrong = "expected a name of letters, digits, dots, underscores and hyphens"
    names = {"pattern": anchored(_NAME)}
    return mapping(type_name, kind, lambda name: "" if _NAME.fullmatch(name) else wrong, names, keeps_unusable=True)


# Types of values with a rule of Azure, the connector, curl or Prometheus.

_LABEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HOST_PORT = re.compile(r"(?:[A-Za-z0-9]([A-Za-z0-9.-]{0,252})|[A-Za-z0-9]|\[[0-9A-Fa-f:.]{2,45}\]):([0-9]{1,5})")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252})?")
TENANT_NAME = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}|(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,63}")
_API_VERSION = re.compile(r"[0-9]\.[0-9]{1,2}|[0-9]{4}-[0-9]{2}-[0-9]{2}(?:-preview(?:\.[0-9]+)?)?")
_SECRET_PATH = re.compile(r"/secrets/[A-Za-z0-9-]{1,127}(?:/[A-Za-z0-9]{1,64})?")
_NO_PROXY = re.compile(r"\*|\.?[A-Za-z0-9\[\]:*._-]+")

# Labels of the per-target series or of Prometheus itself, and the other labels of ekm_target_info.
RESERVED_LABELS = frozenset({"target", "vault", "key", "credential", "module", "job", "instance", "le"})
INFO_LABELS = frozenset({"mode", "cloud", "tenant", "generation", "pin", "vantage", "thumbprint"})


def _key(value: str) -> KeyReference:
    reference = parse_key(value)
    if findings := key_name_findings(reference.name):
        raise ValueError("; ".join(finding.text for finding in findings))
    return reference


def _host_port(value: str) -> str:
    match = _HOST_PORT.fullmatch(value)
    if match is None or not 0 < int(match[2]) < 65536:
        raise ValueError("expected HOST:PORT, with an IPv6 address in brackets")
    return value.lower()


def _url(expected: str, path: str = "/?", *, misplaced: str = "", schemes: Collection[str] = ("https",)) -> Callable[[str], str]:
    """Return the converter of a URL. No message contains the URL: it may contain a password."""

    def convert(value: str) -> str:
        try:
            parts = urlsplit(value)
            port = parts.port
        except ValueError:  # its text may contain the password
            raise ValueError(expected) from None
        if "@" in parts.netloc:
            raise ValueError(f"{expected} without user and password: the configuration must not contain secrets")
        host, further = parts.hostname or "", parts.query or parts.fragment or "\\" in value
        if parts.scheme not in schemes or port == 0 or further or not (":" in host or _HOST.fullmatch(host)):
            raise ValueError(expected)
        if not re.fullmatch(path, parts.path):
            raise ValueError(expected + misplaced)
        return value.rstrip("/")

    return convert


VAULT = text("vault name, host name or https URL", vault_host)
KEY = text("`NAME/VERSION`, KeyUri or `NAME`", _key, pattern=f"^{KEY_PATTERN}$")
# YAML reads an unquoted thumbprint as a number; its digits are kept.
THUMBPRINT = scalar(
    "`0x` and hex digits",
    EXPECTED_THUMBPRINT.removeprefix("expected "),
    (Type.TEXT, Type.NUMBER),
    normalize_thumbprint,
    {"anyOf": [{"type": "string", "pattern": f"^{THUMBPRINT_PATTERN}$"}, {"type": "number"}]},
)
TENANT = text("GUID or domain", matches=TENANT_NAME, wrong="expected a tenant: its GUID or one of its domain names")
API_VERSION = text("API version", matches=_API_VERSION, wrong='expected an API version such as "7.4" or "2025-07-01"')
_AUTHORITY = _url("expected https://HOST[:PORT]", misplaced=" without a path: the challenge names the tenant")
AUTHORITY = text("`https://HOST[:PORT]`", lambda value: _AUTHORITY(value).lower(), pattern="^https://[^/@]+/?$")
_PROXY = _url("expected http://HOST:PORT or https://HOST:PORT", schemes=("http", "https"))
PROXY_URL = text("`http[s]://HOST:PORT`", _PROXY, pattern="^https?://[^/@]+/?$")
_SECRET_URL = _url("expected https://VAULT/secrets/NAME", _SECRET_PATH.pattern)
SECRET_URL = text("URL of a Key Vault secret", _SECRET_URL, pattern=f"^https://[^/@]+{_SECRET_PATH.pattern}$")
NO_PROXY = text("host or .domain", matches=_NO_PROXY, wrong="expected a host name, a domain that starts with a dot, or *")


def labels(reserved: Collection[str]) -> FieldType:
    """Mapping of label names to texts, without the reserved names."""
    names = {"pattern": anchored(_LABEL_NAME), "not": {"enum": sorted(reserved)}}
    return mapping("labels", TEXT, lambda name: _label_name(name, reserved), names, expected="a mapping of label names to texts")


_INSTANCE = labels(RESERVED_LABELS)


def _instances(node: Node, location: Location) -> tuple[dict[str, str], ...] | None:
    if (items := _items(node, location)) is None:
        return None
    found: dict[frozenset[tuple[str, str]], dict[str, str]] = {}
    for item, at in items:
        instance = _INSTANCE.read(item, at)
        if instance is None:
            continue
        if all(key.text != "sql_instance" for key, _ in item.entries):
            at.child("sql_instance").error("is required")
        if found.setdefault(frozenset(instance.items()), instance) is not instance:
            at.error("the same SQL Server twice: remove one")
    return tuple(found.values())


INSTANCES = FieldType(
    "list of: labels with `sql_instance`",
    _instances,
    {"type": "array", "items": {**_INSTANCE.json, "required": ["sql_instance"]}, "uniqueItems": True},
)


def _label_name(name: str, reserved: Collection[str]) -> str:
    return first_true(
        (not _LABEL_NAME.fullmatch(name), "not a label name: use letters, digits and underscores, no digit first"),
        (name.startswith("__"), "reserved: Prometheus uses label names that start with __; choose another name"),
        (name in reserved, "reserved: the exporter or Prometheus sets this label; choose another name"),
        default="",
    )


def _connect_to(node: Node, location: Location) -> dict[str, str] | None:
    if (entries := unique_keys(node, location, 'a mapping of "HOST:PORT" to "HOST:PORT"')) is None:
        return None
    found: dict[str, str] = {}
    for key, value, at in entries:
        source, target = _HOST_PORT_KIND.read(key, at.with_position(key.line, key.column)), _HOST_PORT_KIND.read(value, at)
        if source in found:
            at.with_position(key.line, key.column).error("the same host and port twice: remove one")
        elif source is not None and target is not None:
            found[source] = target
    return found


_HOST_PORT_KIND: Any = text("HOST:PORT", _host_port, pattern=anchored(_HOST_PORT))
CONNECT_TO = FieldType(
    '`"HOST:PORT": "HOST:PORT"`',
    _connect_to,
    {"type": "object", "propertyNames": {"pattern": anchored(_HOST_PORT)}, "additionalProperties": _HOST_PORT_KIND.json},
)
