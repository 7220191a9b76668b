"""Read the JSON bodies of Key Vault and Entra ID: a value or a fault.

No function raises, whatever the bytes. A wrong JSON type counts as missing. A top level other than an object counts as not
JSON.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Any

from exporter.core.classify import KNOWN_AADSTS
from exporter.core.faults import Fault
from exporter.core.model import KeyFacts

_KID = re.compile(r"https://[A-Za-z0-9.:-]{1,260}/keys/([A-Za-z0-9-]{1,127})/([A-Za-z0-9]{1,64})")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+={0,2}")
_LONGEST_NUMBER = 4096  # bytes; eight times the largest key of a vault. Stored with each key, so bounded
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")  # RFC 6750, b64token: the characters allowed after "Bearer"
_LONGEST_TOKEN = 65536  # characters; no server accepts a longer header, and the token cache stores it
_AKV = re.compile(r"\bAKV([0-9]{5})\b")
_AADSTS = re.compile(r"\bAADSTS([0-9]{4,8})\b")
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_DEEPEST = 4  # errors inside errors that are read
_SHOWN = 1024  # bytes of a page
_READ = 4096  # characters of a message: a search in a megabyte would hold up every probe
_MOST_NUMBERS = 16  # of Entra's error_codes
# The inner code that a vault's sentence implies; a Managed HSM and older services send no specific one.
_IMPLIED: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (code, re.compile(pattern, re.IGNORECASE))
    for code, pattern in (
        ("ForbiddenByNsp", "forbidden by nsp policy"),
        ("ForbiddenByConnection", "public network access is disabled|not an approved private link"),
        ("ForbiddenByFirewall", "client address is not authorized"),
        ("KeyDisabled", "disabled key"),
        ("KeyExpired", "expired key"),
        ("KeyNotYetValid", "key is not yet valid|not allowed on a key that is not yet valid"),
        ("ForbiddenByPolicy", r"does not have \w{1,32} [\w ]{0,32}permission"),
        ("ForbiddenByRbac", "not authorized to perform action"),
        ("TokenExpired", r"\[TokenExpired\]"),
    )
)
_UNSPECIFIC = ("AccessDenied", "Forbidden")


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBody:
    """The codes and the message of an error body.

    `message` is unmasked: mask it before use. `inner_code` is the one that the message implies if the service sends none.
    """

    service_code: str | None = None
    inner_code: str | None = None
    aadsts: int | None = None
    akv: int | None = None
    trace_id: str | None = None
    message: str = ""


def read_object(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object of a body, or None.

    It is None for another type, for text that is not UTF-8, and for too deep nesting or too long numbers.
    """
    try:
        value = json.loads(body.decode("utf-8-sig"))  # json.loads(bytes) would accept UTF-16 and lone surrogates too
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
    value = _text(answer, "value")
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


def is_page(body: bytes) -> bool:
    """Whether a body is HTML or XML, so that a proxy or a portal sent it."""
    return body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def found_instead(fault: Fault, body: bytes) -> str:
    """Return the start of a page, or what a key response has instead of a key version.

    The text is not masked. It is empty for other faults, and for text that may be a cut response with a token.
    """
    if fault is Fault.ANSWER_NOT_JSON and is_page(body):
        return body[:_SHOWN].decode("utf-8", errors="replace")
    if fault is Fault.TOKEN_MISSING:  # an error with a good status
        return read_error(body).message
    key = (read_object(body) or {}).get("key")
    if fault is not Fault.KID_UNUSABLE or not isinstance(key, dict):
        return ""
    return f"kid is {_text(key, 'kid')!r}, kty is {_text(key, 'kty')!r}"


def _read_jwk(key: dict[str, Any], attributes: dict[str, Any]) -> tuple[Fault, KeyFacts | None]:
    kid, kty = _text(key, "kid"), _text(key, "kty")
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
    """Return the modulus and exponent of an RSA key.

    Other types are unsupported, not malformed.
    """
    n, e = _text(key, "n"), _text(key, "e")
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


def read_error(body: bytes) -> ErrorBody:
    """Return the codes in an error body of the vault or of Entra."""
    answer = read_object(body)
    if answer is None:
        return ErrorBody()
    error = answer.get("error")
    if isinstance(error, dict):
        folded = {name.lower(): value for name, value in error.items()}  # services spell innererror in two ways
        message = (_text(folded, "message") or "")[:_READ]
        service_code = _word(folded.get("code"))
        return ErrorBody(
            service_code=service_code,
            inner_code=_inner_code(service_code, _deepest_code(folded.get("innererror")), message),
            akv=_number(_AKV, message),
            message=message,
        )
    message = (_text(answer, "error_description") or "")[:_READ]
    return ErrorBody(
        service_code=_word(error), aadsts=_aadsts(answer, message), trace_id=_word(answer.get("trace_id")), message=message
    )


def decode(text: str) -> bytes | None:
    """Return the bytes of a base64url text, padded or not; None if it is invalid."""
    if not _BASE64URL.fullmatch(text):
        return None
    bare = text.rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return None


def encode(data: bytes) -> str:
    """Return base64url without padding, as Key Vault requires."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _text(holder: dict[str, Any], name: str) -> str | None:
    value = holder.get(name)
    return value if isinstance(value, str) else None


def _word(value: object) -> str | None:
    """Return a code that a server sends; None for a sentence."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None


def _words(value: object) -> tuple[str, ...]:
    items = value[:32] if isinstance(value, list) else []
    return tuple(word for item in items if (word := _word(item)) is not None)


def _number(pattern: re.Pattern[str], message: str) -> int | None:
    match = pattern.search(message)
    return int(match[1]) if match else None


def _aadsts(answer: dict[str, Any], message: str) -> int | None:
    """Return the number that decides the reason, or the first number.

    Numbers of `error_codes` come before those of the description.
    """
    codes = answer.get("error_codes")
    listed = [one for one in codes if isinstance(one, int) and 0 < one < 10**8] if isinstance(codes, list) else []
    described = [int(number) for number in _AADSTS.findall(message)]
    numbers = [one for one in (*listed, *described)[:_MOST_NUMBERS] if one is not True]
    return next((one for one in numbers if one in KNOWN_AADSTS), numbers[0] if numbers else None)


def _deepest_code(inner: object) -> str | None:
    """Return the code of the innermost error; an error may hold another one."""
    found = None
    for _ in range(_DEEPEST):
        if not isinstance(inner, dict):
            break
        folded = {name.lower(): value for name, value in inner.items()}
        found, inner = _word(folded.get("code")) or found, folded.get("innererror")
    return found


def _inner_code(service_code: str | None, inner_code: str | None, message: str) -> str | None:
    """Return the inner code, or the one that the message implies."""
    if inner_code is not None and inner_code not in _UNSPECIFIC:
        return inner_code
    implied = next((code for code, pattern in _IMPLIED if pattern.search(message)), None)
    if implied is None and inner_code is None and service_code == "AccessDenied":
        implied = "ForbiddenByRbac"
    return implied or inner_code


def unix_time(value: object) -> float | None:
    """Return Unix seconds from 1970 to the year 9999; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 253402300800:
        return None
    return float(value)
