"""Read the JSON bodies of Key Vault, Entra ID and Microsoft Graph, and the challenge of a vault: a value or a fault.

No public function raises, whatever the bytes. A wrong JSON type counts as missing. A top level other than an object counts as not JSON.
Refusals are read in `knowledge.answers`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from typing import Any, Generic, NamedTuple, TypeVar

from exporter.core.json import decode, read_object, text_of, word_of
from exporter.core.values import Challenge, Fault, KeyFacts
from exporter.knowledge.expiry import AppCredentials, ListedCredential, SecretVersion

T = TypeVar("T")
_Given = TypeVar("_Given")


class _UnusableError(ValueError):
    """Why an answer has no value."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


def _value_or_fault(read: Callable[[_Given], T]) -> Callable[[_Given], tuple[Fault, T | None]]:
    """Make `read`, which raises ValueError or OverflowError, return a fault in place of an exception."""

    @wraps(read)
    def judged(given: _Given) -> tuple[Fault, T | None]:
        try:
            return Fault.NONE, read(given)
        except _UnusableError as error:
            return error.fault, None
        except (ValueError, OverflowError):
            return Fault.VALUE_UNUSABLE, None

    return judged


def _need(value: T | None, missing: Fault) -> T:
    if value is None:
        raise _UnusableError(missing)
    return value


def _object(body: bytes, *, empty: Fault = Fault.ANSWER_NOT_JSON) -> dict[str, Any]:
    return _need(read_object(body), Fault.ANSWER_NOT_JSON if body.strip() else empty)


_KID = re.compile(r"https://[A-Za-z0-9.:-]{1,260}/keys/([A-Za-z0-9-]{1,127})/([A-Za-z0-9]{1,64})")
_LONGEST_NUMBER = 4096  # bytes; eight times the largest key of a vault. Stored with each key, so bounded
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")  # RFC 6750, b64token: the characters allowed after "Bearer"
_LONGEST_TOKEN = 65536  # characters; no server accepts a longer header, and the token cache stores it


def read_token(body: bytes) -> tuple[Fault, str | None]:
    """Return the access token of Entra's response."""
    answer = read_object(body)
    return (Fault.ANSWER_NOT_JSON, None) if answer is None else check_token(answer.get("access_token"))


@_value_or_fault
def check_token(token: object) -> str:
    """Return an access token that a header can hold, or the fault.

    Identity services of a host and the SDK pass on any JSON value.
    """
    text = _need(token if isinstance(token, str) else None, Fault.TOKEN_MISSING)
    return _need(text if len(text) <= _LONGEST_TOKEN and _TOKEN.fullmatch(text) else None, Fault.TOKEN_UNUSABLE)


@_value_or_fault
def read_value(body: bytes) -> bytes:
    """Return the bytes of a wrap or unwrap response."""
    value = _need(text_of(_object(body, empty=Fault.ANSWER_EMPTY), "value"), Fault.VALUE_MISSING)
    return _need(decode(value), Fault.VALUE_UNUSABLE)


@_value_or_fault
def read_key(body: bytes) -> KeyFacts:
    """Return the key version of a get response, checked in the connector's order."""
    answer = _object(body, empty=Fault.ANSWER_EMPTY)
    key, attributes = _need(_only(dict, answer.get("key")), Fault.KEY_MISSING), _only(dict, answer.get("attributes")) or {}
    kid = _need(text_of(key, "kid"), Fault.KID_MISSING)
    parts = _need(_KID.fullmatch(kid), Fault.KID_UNUSABLE)
    kty = _need(text_of(key, "kty"), Fault.KTY_MISSING)
    modulus = exponent = b""  # other types are unsupported, not malformed
    if kty in ("RSA", "RSA-HSM"):
        modulus = _number(key, "n", Fault.MODULUS_MISSING, Fault.MODULUS_UNUSABLE)
        exponent = _number(key, "e", Fault.EXPONENT_MISSING, Fault.EXPONENT_UNUSABLE)
    key_ops = key.get("key_ops")
    return KeyFacts(
        name=parts[1],
        version=parts[2],
        kid=kid,
        kty=word_of(kty) or "other",
        size_bits=int.from_bytes(modulus, "big").bit_length(),
        modulus=modulus,
        exponent=exponent,
        enabled=_only(bool, attributes.get("enabled")),
        not_before=unix_time(attributes.get("nbf")),
        expires=unix_time(attributes.get("exp")),
        key_ops=tuple(filter(None, map(word_of, key_ops[:32]))) if isinstance(key_ops, list) else (),
    )


def _number(key: dict[str, Any], name: str, missing: Fault, unusable: Fault) -> bytes:
    number = decode(_need(text_of(key, name), missing))
    return _need(number if number and len(number) <= _LONGEST_NUMBER else None, unusable)


@_value_or_fault
def read_deleted_key(body: bytes) -> float | None:
    """Return the Unix time at which a deleted key is purged. It is None if the vault does not name it."""
    return unix_time(_object(body).get("scheduledPurgeDate"))


def encode(data: bytes) -> str:
    """Return base64url without padding, as Key Vault requires."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def unix_time(value: object) -> float | None:
    """Return Unix seconds from 1970 to the year 9999; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 253402300800:
        return None
    return float(value)


def _only(kind: type[T], value: object) -> T | None:
    """Return a value of this type; None for any other."""
    return value if isinstance(value, kind) else None


# Lists: one page of a vault's keys, of the versions of a key or of a secret, and the credentials that Microsoft Graph lists. An unreadable
# date makes the whole response unusable: without it, the secret would seem to have no expiry.

_LISTED_KID = re.compile(r"https://[^/]{1,260}/keys/([A-Za-z0-9-]{1,127})(?:/([A-Za-z0-9]{1,64}))?")
_VERSION_ID = re.compile(r"https://[^/]{1,260}/secrets/[A-Za-z0-9-]{1,127}/([A-Za-z0-9]{1,64})")
_MOST = 1000  # accepted entries of a page


class Page(NamedTuple, Generic[T]):
    """The entries of a page of a list, and the unchecked link to the next page."""

    entries: tuple[T, ...]
    link: str | None


@dataclass(frozen=True, slots=True)
class ListedKey:
    """An entry of a list; a list of keys has no version. `enabled` is None if unknown.

    `managed`: the key belongs to a certificate of the vault.
    """

    name: str
    version: str | None
    enabled: bool | None = None
    managed: bool = False


@_value_or_fault
def read_key_list(body: bytes) -> Page[ListedKey]:
    """Read one page of the keys, or of the versions of a key."""
    return _page(body, _listed_key)


@_value_or_fault
def read_secret_versions(body: bytes) -> Page[SecretVersion]:
    """Read one page of a secret's versions."""
    return _page(body, _secret_version)


def _page(body: bytes, read: Callable[[dict[str, Any]], T]) -> Page[T]:
    answer = _object(body)
    return Page(tuple(map(read, _objects(answer.get("value")))), text_of(answer, "nextLink") or None)


def _objects(values: object) -> list[dict[str, Any]]:
    """Return the objects of a list."""
    found = _need(values if isinstance(values, list) else None, Fault.VALUE_MISSING)
    return _need(found if len(found) <= _MOST and all(isinstance(one, dict) for one in found) else None, Fault.VALUE_UNUSABLE)


def _listed_key(one: dict[str, Any]) -> ListedKey:
    parts = _need(_LISTED_KID.fullmatch(text_of(one, "kid") or ""), Fault.VALUE_UNUSABLE)
    enabled = _only(bool, (_only(dict, one.get("attributes")) or {}).get("enabled"))
    return ListedKey(parts[1], parts[2], enabled, one.get("managed") is True)


def _secret_version(one: dict[str, Any]) -> SecretVersion:
    parts = _need(_VERSION_ID.fullmatch(text_of(one, "id") or ""), Fault.VALUE_UNUSABLE)
    attributes = _need(_only(dict, one.get("attributes")), Fault.VALUE_UNUSABLE)
    return SecretVersion(
        version=parts[1].lower(),
        enabled=attributes.get("enabled") is True,
        created=_seconds(attributes.get("created")),
        expires=_seconds(attributes.get("exp")),
    )


def _seconds(value: object) -> float | None:
    return None if value is None else _need(unix_time(value), Fault.VALUE_UNUSABLE)


@_value_or_fault
def read_application(body: bytes) -> AppCredentials:
    """Read Graph's list for an application or a service principal."""
    answer = _object(body)
    lists = answer.get("passwordCredentials"), answer.get("keyCredentials")
    if not all(isinstance(each, list) for each in lists):
        raise _UnusableError(Fault.VALUE_MISSING)
    secrets, certificates = map(_objects, lists)
    return AppCredentials(
        secrets=tuple(ListedCredential(mark=text_of(one, "hint") or None, expires=_end(one)) for one in secrets),
        certificates=tuple(
            ListedCredential(mark=_thumbprint(one.get("customKeyIdentifier")), expires=_end(one)) for one in certificates
        ),
    )


def _end(one: dict[str, Any]) -> float | None:
    """Return Graph's `endDateTime` as a Unix time, UTC by default."""
    if one.get("endDateTime") is None:
        return None
    text = text_of(one, "endDateTime") or ""
    moment = datetime.fromisoformat(_need(text if len(text) <= 64 else None, Fault.VALUE_UNUSABLE))
    return _seconds((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp())


_SHA1_HEX = re.compile(r"[0-9a-fA-F]{40}")
_SHA1_BYTES = 20


def _thumbprint(value: object) -> str | None:
    """Return a SHA-1 in lower-case hex, from hex or base64."""
    text = value if isinstance(value, str) and len(value) <= 128 else ""
    if not _SHA1_HEX.fullmatch(text):
        try:
            data = base64.b64decode(text, validate=True)
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


@_value_or_fault
def read_challenge(header: str | None) -> Challenge:
    """Return authority, tenant and resource of the header, or the fault."""
    text = _need(header or None, Fault.CHALLENGE_ABSENT)
    if not text.startswith(_AUTHORIZATION):
        raise _UnusableError(Fault.CHALLENGE_NO_AUTHORIZATION)
    host, _, path = _quoted(text, _AUTHORIZATION, Fault.CHALLENGE_OPEN_AUTHORIZATION).partition("/")
    tenant = path.partition("/")[0]
    if not _AUTHORITY.fullmatch(host) or not _TENANT.fullmatch(tenant):
        raise _UnusableError(Fault.CHALLENGE_NO_TENANT)
    if _RESOURCE not in text:
        raise _UnusableError(Fault.CHALLENGE_NO_RESOURCE)
    resource = _quoted(text, _RESOURCE, Fault.CHALLENGE_OPEN_RESOURCE)
    return Challenge(authority=f"https://{host.lower()}", tenant=tenant, resource=resource)


def _quoted(text: str, start: str, unclosed: Fault) -> str:
    """Return what follows `start` up to the next quote."""
    value, closed, _ = text.partition(start)[2].partition('"')
    return _need(value if closed else None, unclosed)
