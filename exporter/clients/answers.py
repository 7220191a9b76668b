"""Read the JSON bodies of Key Vault, Entra ID and Microsoft Graph, and the challenge of a vault: a value or a fault.

No function raises, whatever the bytes. A wrong JSON type counts as missing. A top level other than an object counts as not JSON.
Refusals are read in `knowledge.answers`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, TypeVar

from exporter.core.json import decode, read_object, text_of, word_of
from exporter.core.values import Challenge, Fault, KeyFacts
from exporter.knowledge.expiry import AppCredentials, ListedCredential, SecretVersion

T = TypeVar("T")

_KID = re.compile(r"https://[A-Za-z0-9.:-]{1,260}/keys/([A-Za-z0-9-]{1,127})/([A-Za-z0-9]{1,64})")
_LONGEST_NUMBER = 4096  # bytes; eight times the largest key of a vault. Stored with each key, so bounded
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")  # RFC 6750, b64token: the characters allowed after "Bearer"
_LONGEST_TOKEN = 65536  # characters; no server accepts a longer header, and the token cache stores it


def read_token(body: bytes) -> tuple[Fault, str | None]:
    """Return the access token of Entra's response."""
    answer = read_object(body)
    if answer is None:
        return Fault.ANSWER_NOT_JSON, None
    return check_token(answer.get("access_token"))


def check_token(token: object) -> tuple[Fault, str | None]:
    """Return an access token that a header can hold, or the fault.

    Identity services of a host and the SDK pass on any JSON value.
    """
    if not isinstance(token, str):
        return Fault.TOKEN_MISSING, None
    return (Fault.NONE, token) if len(token) <= _LONGEST_TOKEN and _TOKEN.fullmatch(token) else (Fault.TOKEN_UNUSABLE, None)


def read_value(body: bytes) -> tuple[Fault, bytes | None]:
    """Return the bytes of a wrap or unwrap response."""
    if not body.strip():
        return Fault.ANSWER_EMPTY, None
    answer = read_object(body)
    if answer is None:
        return Fault.ANSWER_NOT_JSON, None
    value = text_of(answer, "value")
    if value is None:
        return Fault.VALUE_MISSING, None
    data = decode(value)
    return (Fault.NONE, data) if data is not None else (Fault.VALUE_UNUSABLE, None)


def read_key(body: bytes) -> tuple[Fault, KeyFacts | None]:
    """Return the key version of a get response, checked in the connector's order."""
    if not body.strip():
        return Fault.ANSWER_EMPTY, None
    answer = read_object(body)
    if answer is None:
        return Fault.ANSWER_NOT_JSON, None
    key = answer.get("key")
    if not isinstance(key, dict):
        return Fault.KEY_MISSING, None
    attributes = answer.get("attributes")
    return _read_jwk(key, attributes if isinstance(attributes, dict) else {})


def read_deleted_key(body: bytes) -> tuple[Fault, float | None]:
    """Return the Unix time at which a deleted key is purged. It is None if the vault does not name it."""
    answer = read_object(body)
    if answer is None:
        return Fault.ANSWER_NOT_JSON, None
    return Fault.NONE, unix_time(answer.get("scheduledPurgeDate"))


def _read_jwk(key: dict[str, Any], attributes: dict[str, Any]) -> tuple[Fault, KeyFacts | None]:
    kid, kty = text_of(key, "kid"), text_of(key, "kty")
    if kid is None:
        return Fault.KID_MISSING, None
    parts = _KID.fullmatch(kid)
    if parts is None:
        return Fault.KID_UNUSABLE, None
    if kty is None:
        return Fault.KTY_MISSING, None
    fault, modulus, exponent = _read_numbers(key) if kty in ("RSA", "RSA-HSM") else (Fault.NONE, b"", b"")
    if fault is not Fault.NONE:
        return fault, None
    return Fault.NONE, KeyFacts(
        name=parts[1],
        version=parts[2],
        kid=kid,
        kty=word_of(kty) or "other",
        size_bits=int.from_bytes(modulus, "big").bit_length(),
        modulus=modulus,
        exponent=exponent,
        enabled=attributes.get("enabled") if isinstance(attributes.get("enabled"), bool) else None,
        not_before=unix_time(attributes.get("nbf")),
        expires=unix_time(attributes.get("exp")),
        key_ops=_words(key.get("key_ops")),
    )


def _read_numbers(key: dict[str, Any]) -> tuple[Fault, bytes, bytes]:
    """Return the modulus and exponent of an RSA key. Other types are unsupported, not malformed."""
    n, e = text_of(key, "n"), text_of(key, "e")
    if n is None:
        return Fault.MODULUS_MISSING, b"", b""
    modulus = decode(n)
    if not modulus or len(modulus) > _LONGEST_NUMBER:
        return Fault.MODULUS_UNUSABLE, b"", b""
    if e is None:
        return Fault.EXPONENT_MISSING, b"", b""
    exponent = decode(e)
    if not exponent or len(exponent) > _LONGEST_NUMBER:
        return Fault.EXPONENT_UNUSABLE, b"", b""
    return Fault.NONE, modulus, exponent


def encode(data: bytes) -> str:
    """Return base64url without padding, as Key Vault requires."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _words(value: object) -> tuple[str, ...]:
    items = value[:32] if isinstance(value, list) else []
    return tuple(word for item in items if (word := word_of(item)) is not None)


def unix_time(value: object) -> float | None:
    """Return Unix seconds from 1970 to the year 9999; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 253402300800:
        return None
    return float(value)


# One page of a vault's keys, or of the versions of a key.

_LISTED_KID = re.compile(r"https://[^/]{1,260}/keys/([A-Za-z0-9-]{1,127})(?:/([A-Za-z0-9]{1,64}))?")
_MOST = 1000  # accepted entries of a page


@dataclass(frozen=True, slots=True)
class ListedKey:
    """An entry of a list; a list of keys has no version. `enabled` is None if unknown.

    `managed`: the key belongs to a certificate of the vault.
    """

    name: str
    version: str | None
    enabled: bool | None = None
    managed: bool = False


class Page(NamedTuple, Generic[T]):
    """The entries of a page of a list, and the unchecked link to the next page."""

    entries: tuple[T, ...]
    link: str | None


def read_key_list(body: bytes) -> tuple[Fault, Page[ListedKey] | None]:
    """Read one page of the keys, or of the versions of a key."""
    return _read_page(body, _listed_key)


def _read_page(body: bytes, read: Callable[[dict[str, Any]], T]) -> tuple[Fault, Page[T] | None]:
    """Read a page whose entries `read` reads. It raises ValueError."""
    answer = read_object(body)
    if answer is None:
        return Fault.ANSWER_NOT_JSON, None
    values = answer.get("value")
    if not isinstance(values, list):
        return Fault.VALUE_MISSING, None
    try:
        return Fault.NONE, Page(tuple(read(one) for one in _objects(values)), _text(answer.get("nextLink")))
    except ValueError:
        return Fault.VALUE_UNUSABLE, None


def _listed_key(one: dict[str, Any]) -> ListedKey:
    kid = one.get("kid")
    matched = _LISTED_KID.fullmatch(kid) if isinstance(kid, str) else None
    if matched is None:
        raise ValueError("no key of a list")
    attributes = one.get("attributes")
    enabled = attributes.get("enabled") if isinstance(attributes, dict) else None
    return ListedKey(matched[1], matched[2], enabled if isinstance(enabled, bool) else None, one.get("managed") is True)


# The lists of secrets and certificates of Microsoft Graph and Key Vault. An unreadable date makes the whole response unusable: without
# it, the secret would seem to have no expiry.

_VERSION_ID = re.compile(r"https://[^/]{1,260}/secrets/[A-Za-z0-9-]{1,127}/([A-Za-z0-9]{1,64})")
_SHA1_HEX = re.compile(r"[0-9a-fA-F]{40}")
_SHA1_BYTES = 20


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


def read_secret_versions(body: bytes) -> tuple[Fault, Page[SecretVersion] | None]:
    """Read one page of a secret's versions."""
    return _read_page(body, _version)


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
    """Return Graph's `endDateTime` as a Unix time, UTC by default. Raises ValueError and OverflowError."""
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


# The `WWW-Authenticate` header, as literally as the connector reads it: it searches for two literals and their closing quotes. A header
# in another form (`authorization_uri=`, another order) is unreadable for SQL Server, so this parser rejects it too.

_AUTHORIZATION = 'Bearer authorization="https://'
_RESOURCE = 'resource="'
_AUTHORITY = re.compile(r"[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?")
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}")  # not "..", which would change the path of the sign-in


def read_challenge(header: str | None) -> tuple[Fault, Challenge | None]:
    """Return authority, tenant and resource of the header, or the fault."""
    if not header:
        return Fault.CHALLENGE_ABSENT, None
    if not header.startswith(_AUTHORIZATION):
        return Fault.CHALLENGE_NO_AUTHORIZATION, None
    authorization, closed, _ = header[len(_AUTHORIZATION) :].partition('"')
    if not closed:
        return Fault.CHALLENGE_OPEN_AUTHORIZATION, None
    host, _, path = authorization.partition("/")
    tenant = path.partition("/")[0]
    if not _AUTHORITY.fullmatch(host) or not _TENANT.fullmatch(tenant):
        return Fault.CHALLENGE_NO_TENANT, None
    _, found, rest = header.partition(_RESOURCE)
    if not found:
        return Fault.CHALLENGE_NO_RESOURCE, None
    resource, closed, _ = rest.partition('"')
    if not closed:
        return Fault.CHALLENGE_OPEN_RESOURCE, None
    return Fault.NONE, Challenge(authority=f"https://{host.lower()}", tenant=tenant, resource=resource)
