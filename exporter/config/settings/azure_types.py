"""Types of values with a rule of Azure, the connector, curl or Prometheus."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any
from urllib.parse import SplitResult, urlsplit

from exporter.config.yaml import FieldType, Location, Mapping, Node, Sequence, Type, report_wrong_type, unique_keys
from exporter.config.yaml.types import TEXT, anchored, matching, scalar, text
from exporter.core.connector_secret import key_name_findings
from exporter.core.endpoints import vault_host
from exporter.core.key_reference import PATTERN as KEY_PATTERN
from exporter.core.key_reference import KeyReference, parse_key
from exporter.core.thumbprint import EXPECTED as THUMBPRINT_EXPECTED
from exporter.core.thumbprint import PATTERN as THUMBPRINT_PATTERN
from exporter.core.thumbprint import normalize_thumbprint

_LABEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HOST_PORT = re.compile(r"(?:[A-Za-z0-9]([A-Za-z0-9.-]{0,252})|[A-Za-z0-9]|\[[0-9A-Fa-f:.]{2,45}\]):([0-9]{1,5})")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252})?")
_TENANT = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}|(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,63}")
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


def _split(value: str, schemes: Collection[str], expected: str) -> SplitResult:
    """Split a URL. No message contains the URL: it may contain a password."""
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:  # its text may contain the password
        raise ValueError(expected) from None
    if "@" in parts.netloc:
        raise ValueError(f"{expected} without user and password: the configuration must not contain secrets")
    if parts.scheme not in schemes or not parts.hostname or port == 0 or parts.query or parts.fragment or "\\" in value:
        raise ValueError(expected)
    if ":" not in parts.hostname and not _HOST.fullmatch(parts.hostname):
        raise ValueError(expected)
    return parts


def _authority(value: str) -> str:
    expected = "expected https://HOST[:PORT]"
    if _split(value, ("https",), expected).path not in ("", "/"):
        raise ValueError(f"{expected} without a path: the challenge names the tenant")
    return value.rstrip("/").lower()


def _proxy(value: str) -> str:
    expected = "expected http://HOST:PORT or https://HOST:PORT"
    if _split(value, ("http", "https"), expected).path not in ("", "/"):
        raise ValueError(expected)
    return value.rstrip("/")


def _secret_url(value: str) -> str:
    expected = "expected https://VAULT/secrets/NAME"
    if not _SECRET_PATH.fullmatch(_split(value, ("https",), expected).path):
        raise ValueError(expected)
    return value


VAULT = text("vault name, host name or https URL", vault_host)
KEY = text("`NAME/VERSION`, KeyUri or `NAME`", _key, pattern=f"^{KEY_PATTERN}$")
# YAML reads an unquoted thumbprint as a number; its digits are kept.
THUMBPRINT = scalar(
    "`0x` and hex digits",
    THUMBPRINT_EXPECTED.removeprefix("expected "),
    (Type.TEXT, Type.NUMBER),
    normalize_thumbprint,
    {"anyOf": [{"type": "string", "pattern": f"^{THUMBPRINT_PATTERN}$"}, {"type": "number"}]},
)
TENANT = matching("GUID or domain", _TENANT, "expected a tenant: its GUID or one of its domain names")
API_VERSION = matching("API version", _API_VERSION, 'expected an API version such as "7.4" or "2025-07-01"')
AUTHORITY = text("`https://HOST[:PORT]`", _authority, pattern="^https://[^/@]+/?$")
PROXY_URL = text("`http[s]://HOST:PORT`", _proxy, pattern="^https?://[^/@]+/?$")
SECRET_URL = text("URL of a Key Vault secret", _secret_url, pattern=f"^https://[^/@]+{_SECRET_PATH.pattern}$")
NO_PROXY = matching("host or .domain", _NO_PROXY, "expected a host name, a domain that starts with a dot, or *")


def labels(reserved: Collection[str]) -> FieldType:
    """Mapping of label names to texts, without the reserved names."""

    def read(node: Node, location: Location) -> dict[str, str] | None:
        if not isinstance(node, Mapping):
            report_wrong_type(node, location, "a mapping of label names to texts")
            return None
        found = {}
        for key, value, at in unique_keys(node, location):
            if complaint := _label_name(key.text, reserved):
                at.with_position(key.line, key.column).error(complaint)
            elif (usable := TEXT.read(value, at)) is not None:
                found[key.text] = usable
        return found

    names = {"pattern": anchored(_LABEL_NAME), "not": {"enum": sorted(reserved)}}
    return FieldType("labels", read, {"type": "object", "propertyNames": names, "additionalProperties": TEXT.json})


_INSTANCE = labels(RESERVED_LABELS)


def _instances(node: Node, location: Location) -> tuple[dict[str, str], ...] | None:
    if not isinstance(node, Sequence):
        report_wrong_type(node, location, "a list")
        return None
    found: dict[frozenset[tuple[str, str]], dict[str, str]] = {}
    for index, item in enumerate(node.items):
        at = location.item(index).with_position(item.line, item.column)
        instance = _INSTANCE.read(item, at)
        if instance is None or not isinstance(item, Mapping):
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
    if not _LABEL_NAME.fullmatch(name):
        return "not a label name: use letters, digits and underscores, no digit first"
    if name.startswith("__"):
        return "reserved: Prometheus uses label names that start with __; choose another name"
    if name in reserved:
        return "reserved: the exporter or Prometheus sets this label; choose another name"
    return ""


def _connect_to(node: Node, location: Location) -> dict[str, str] | None:
    if not isinstance(node, Mapping):
        report_wrong_type(node, location, 'a mapping of "HOST:PORT" to "HOST:PORT"')
        return None
    found: dict[str, str] = {}
    for key, value, at in unique_keys(node, location):
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
