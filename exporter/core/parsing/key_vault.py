"""Reading the bodies of answers: bytes of any kind in, a value or a fault out, never an exception.

For: the JSON of Key Vault and Entra. A wrong JSON type counts as missing; a top level that is no object, as not JSON.
Not for: status codes and headers (see the adapter), nor codes (see `classify`).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Any

from exporter.core.faults import Fault
from exporter.core.known_secrets import reveals, stands_in_bytes
from exporter.core.model import KeyFacts

_KID = re.compile(r"https://[A-Za-z0-9.:-]{1,260}/keys/([A-Za-z0-9-]{1,127})/([A-Za-z0-9]{1,64})")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+={0,2}")
_LONGEST_NUMBER = 4096  # bytes; eight times what the largest keys of a vault have. Kept with each key, so bounded
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")  # RFC 6750, b64token: what may stand behind "Bearer"
_AKV = re.compile(r"\bAKV([0-9]{5})\b")
_AADSTS = re.compile(r"\bAADSTS([0-9]{4,8})\b")
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBody:
    """What an error answer says of itself. `message` is as sent: mask it before it goes anywhere."""

    service_code: str | None = None
    inner_code: str | None = None
    aadsts: int | None = None
    akv: int | None = None
    trace_id: str | None = None
    message: str = ""


def read_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object of a body, None for anything else: other types, not UTF-8, too deep, numbers beyond reason."""
    try:
        value = json.loads(body.decode("utf-8-sig"))  # given bytes, it would take UTF-16 and halves of surrogate pairs too
    except (ValueError, RecursionError):  # ValueError covers JSONDecodeError, UnicodeDecodeError and int's digit limit
        return None
    return value if isinstance(value, dict) else None


def read_token(body: bytes) -> tuple[Fault, str | None]:
    """The access token of Entra's answer."""
    answer = read_object(body)
    if answer is None:
        return Fault.ANSWER_NOT_JSON, None
    token = _text(answer, "access_token")
    if token is None:
        return Fault.TOKEN_MISSING, None
    return (Fault.NONE, token) if _TOKEN.fullmatch(token) else (Fault.TOKEN_UNUSABLE, None)


def read_value(body: bytes) -> tuple[Fault, bytes | None]:
    """The bytes of a wrap or unwrap answer."""
    if not body.strip():
        return Fault.ANSWER_EMPTY, None
    answer = read_object(body)
    if answer is None:
        return Fault.ANSWER_NOT_JSON, None
    value = _text(answer, "value")
    if value is None:
        return Fault.VALUE_MISSING, None
    data = decode(value)
    return (Fault.NONE, data) if data is not None else (Fault.VALUE_UNUSABLE, None)


def read_key(body: bytes) -> tuple[Fault, KeyFacts | None]:
    """The key version of a get answer, checked in the order in which the connector takes it apart."""
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
    """When a deleted key is gone for good (Unix time); None where the vault does not say."""
    answer = read_object(body)
    if answer is None:
        return Fault.ANSWER_NOT_JSON, None
    return Fault.NONE, unix_time(answer.get("scheduledPurgeDate"))


def _read_jwk(key: dict[str, Any], attributes: dict[str, Any]) -> tuple[Fault, KeyFacts | None]:
    kid, kty = _text(key, "kid"), _text(key, "kty")
    if kid is None:
        return Fault.KID_MISSING, None
    parts = _KID.fullmatch(kid)
    if parts is None or reveals(kid):  # its name and version would stand in URLs, metrics and logs
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
        kty=_word(kty) or "other",
        size_bits=int.from_bytes(modulus, "big").bit_length(),
        modulus=modulus,
        exponent=exponent,
        enabled=attributes.get("enabled") if isinstance(attributes.get("enabled"), bool) else None,
        not_before=unix_time(attributes.get("nbf")),
        expires=unix_time(attributes.get("exp")),
        key_ops=_words(key.get("key_ops")),
    )


def _read_numbers(key: dict[str, Any]) -> tuple[Fault, bytes, bytes]:
    """The modulus and exponent of an RSA key; other types have none and are unsupported, not malformed."""
    n, e = _text(key, "n"), _text(key, "e")
    if n is None:
        return Fault.MODULUS_MISSING, b"", b""
    modulus = decode(n)
    if not modulus or len(modulus) > _LONGEST_NUMBER or stands_in_bytes(modulus):
        return Fault.MODULUS_UNUSABLE, b"", b""
    if e is None:
        return Fault.EXPONENT_MISSING, b"", b""
    exponent = decode(e)
    if not exponent or len(exponent) > _LONGEST_NUMBER or stands_in_bytes(exponent):
        return Fault.EXPONENT_UNUSABLE, b"", b""
    return Fault.NONE, modulus, exponent


def read_error(body: bytes) -> ErrorBody:
    """The codes in an error body of the vault (`error` is an object) or of Entra (`error` is a word)."""
    answer = read_object(body)
    if answer is None:
        return ErrorBody()
    error = answer.get("error")
    if isinstance(error, dict):
        folded = {name.lower(): value for name, value in error.items()}  # innererror is written in two ways
        inner = folded.get("innererror")
        message = _text(folded, "message") or ""
        return ErrorBody(
            service_code=_word(folded.get("code")),
            inner_code=_word(inner.get("code")) if isinstance(inner, dict) else None,
            akv=_number(_AKV, message),
            message=message,
        )
    message = _text(answer, "error_description") or ""
    return ErrorBody(
        service_code=_word(error), aadsts=_aadsts(answer, message), trace_id=_word(answer.get("trace_id")), message=message
    )


def decode(text: str) -> bytes | None:
    """The bytes of a base64url text with or without padding, None if it is none."""
    if not _BASE64URL.fullmatch(text):
        return None
    bare = text.rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return None


def encode(data: bytes) -> str:
    """base64url without padding, as Key Vault wants it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _text(holder: dict[str, Any], name: str) -> str | None:
    value = holder.get(name)
    return value if isinstance(value, str) else None


def _word(value: object) -> str | None:
    """A code that a server sends, if it looks like one: never a sentence, and never a secret of this process."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) and not reveals(value) else None


def _words(value: object) -> tuple[str, ...]:
    items = value[:32] if isinstance(value, list) else []
    return tuple(word for item in items if (word := _word(item)) is not None)


def _number(pattern: re.Pattern[str], message: str) -> int | None:
    match = pattern.search(message)
    return int(match[1]) if match else None


def _aadsts(answer: dict[str, Any], message: str) -> int | None:
    codes = answer.get("error_codes")
    first = codes[0] if isinstance(codes, list) and codes else None
    if isinstance(first, int) and not isinstance(first, bool) and 0 < first < 10**8:
        number: int | None = first
    else:
        number = _number(_AADSTS, message)
    return None if number is None or reveals(str(number)) else number


def unix_time(value: object) -> float | None:
    """Unix seconds between 1970 and the year 9999, None for anything else: not a date, or one that no calendar here can show."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 253402300800:
        return None
    return float(value)
