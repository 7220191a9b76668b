"""Read the lists of secrets and certificates of Microsoft Graph and Key Vault.

Each function takes bytes and returns a value or a fault. An unreadable date makes the whole response unusable: without it,
the secret would seem to have no expiry.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime
from typing import Any

from exporter.core.credential_expiry import AppCredentials, ListedCredential, SecretVersion
from exporter.core.faults import Fault
from exporter.core.parsing.key_vault import read_object, unix_time

_VERSION_ID = re.compile(r"https://[^/]{1,260}/secrets/[A-Za-z0-9-]{1,127}/([A-Za-z0-9]{1,64})")
_SHA1_HEX = re.compile(r"[0-9a-fA-F]{40}")
_SHA1_BYTES = 20
_MOST = 1000  # accepted entries of a list


def read_application(body: bytes) -> tuple[Fault, AppCredentials | None]:
    """Read Graph's list for an application or a service principal."""
    answer = read_object(body)
    if answer is None:
        return Fault.ANSWER_NOT_JSON, None
    secrets, certificates = answer.get("passwordCredentials"), answer.get("keyCredentials")
    if not isinstance(secrets, list) or not isinstance(certificates, list):
        return Fault.VALUE_MISSING, None
    try:
        return Fault.NONE, AppCredentials(
            secrets=tuple(ListedCredential(mark=_text(one.get("hint")), expires=_end(one)) for one in _objects(secrets)),
            certificates=tuple(
                ListedCredential(mark=_thumbprint(one.get("customKeyIdentifier")), expires=_end(one))
                for one in _objects(certificates)
            ),
        )
    except (ValueError, OverflowError):
        return Fault.VALUE_UNUSABLE, None


def read_secret_versions(body: bytes) -> tuple[Fault, tuple[SecretVersion, ...], str | None]:
    """Read one page of a secret's versions, and the unchecked link to the next page."""
    answer = read_object(body)
    if answer is None:
        return Fault.ANSWER_NOT_JSON, (), None
    values, link = answer.get("value"), answer.get("nextLink")
    if not isinstance(values, list):
        return Fault.VALUE_MISSING, (), None
    try:
        found = tuple(_version(one) for one in _objects(values))
    except ValueError:
        return Fault.VALUE_UNUSABLE, (), None
    return Fault.NONE, found, _text(link)


def _objects(values: list[Any]) -> list[dict[str, Any]]:
    """Return the objects of a list. Raises ValueError for other entries or too many."""
    if len(values) > _MOST or not all(isinstance(one, dict) for one in values):
        raise ValueError("not a list of objects")
    return values


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _version(one: dict[str, Any]) -> SecretVersion:
    """Read one version. Raises ValueError."""
    match = _VERSION_ID.fullmatch(one["id"]) if isinstance(one.get("id"), str) else None
    attributes = one.get("attributes")
    if match is None or not isinstance(attributes, dict):
        raise ValueError("no version of a secret")
    return SecretVersion(
        version=match[1].lower(),
        enabled=attributes.get("enabled") is True,
        created=_seconds(attributes.get("created")),
        expires=_seconds(attributes.get("exp")),
    )


def _seconds(value: object) -> float | None:
    moment = unix_time(value)
    if moment is None and value is not None:
        raise ValueError("no Unix time")
    return moment


def _end(one: dict[str, Any]) -> float | None:
    """Return Graph's `endDateTime` as a Unix time, UTC by default.

    Raises ValueError and OverflowError.
    """
    text = one.get("endDateTime")
    if text is None:
        return None
    if not isinstance(text, str) or len(text) > 64:
        raise ValueError("no date")
    moment = datetime.fromisoformat(text)
    return _seconds((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp())


def _thumbprint(value: object) -> str | None:
    """Return a SHA-1 in lower-case hex, from hex or base64."""
    if not isinstance(value, str) or len(value) > 128:
        return None
    if _SHA1_HEX.fullmatch(value):
        return value.lower()
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
    text = data.hex() if len(data) == _SHA1_BYTES else data.decode("ascii", errors="replace")
    return text.lower() if _SHA1_HEX.fullmatch(text) else None
