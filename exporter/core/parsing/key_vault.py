"""Read the JSON bodies of Key Vault and Entra ID: a value or a fault. `error_body` reads refusals.

No function raises, whatever the bytes. A wrong JSON type counts as missing. A top level other than an object counts as not
JSON.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from codecs import BOM_UTF8
from typing import Any

from exporter.core.faults import Fault
from exporter.core.model import KeyFacts

_KID = re.compile(r"https://[A-Za-z0-9.:-]{1,260}/keys/([A-Za-z0-9-]{1,127})/([A-Za-z0-9]{1,64})")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+={0,2}")
_LONGEST_NUMBER = 4096  # bytes; eight times the largest key of a vault. Stored with each key, so bounded
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")  # RFC 6750, b64token: the characters allowed after "Bearer"
_LONGEST_TOKEN = 65536  # characters; no server accepts a longer header, and the token cache stores it
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def read_object(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object of a body, or None.

    It is None for another type, for text that is not UTF-8, and for too deep nesting or too long numbers.
    """
    try:
        # json.loads(bytes) would accept UTF-16 and lone surrogates too; the codec utf-8-sig is slower.
        value = json.loads(body.removeprefix(BOM_UTF8).decode())
    except (ValueError, RecursionError):  # ValueError covers JSONDecodeError, UnicodeDecodeError and int's digit limit
        return None
    return value if isinstance(value, dict) else None


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
    """Return the Unix time at which a deleted key is purged.

    It is None if the vault does not name it.
    """
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
    """Return the modulus and exponent of an RSA key.

    Other types are unsupported, not malformed.
    """
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


def decode(text: str) -> bytes | None:
    """Return the bytes of a base64url text, padded or not; None if it is invalid."""
    if not _BASE64URL.fullmatch(text):
        return None
    bare = text.rstrip("=")
    try:
        return binascii.a2b_base64(bare.replace("-", "+").replace("_", "/") + "=" * (-len(bare) % 4), strict_mode=True)
    except binascii.Error:
        return None


def encode(data: bytes) -> str:
    """Return base64url without padding, as Key Vault requires."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def text_of(holder: dict[str, Any], name: str) -> str | None:
    value = holder.get(name)
    return value if isinstance(value, str) else None


def word_of(value: object) -> str | None:
    """Return a code that a server sends; None for a sentence."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None


def _words(value: object) -> tuple[str, ...]:
    items = value[:32] if isinstance(value, list) else []
    return tuple(word for item in items if (word := word_of(item)) is not None)


def unix_time(value: object) -> float | None:
    """Return Unix seconds from 1970 to the year 9999; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 253402300800:
        return None
    return float(value)
