"""What a body or a token of others says: codes, numbers and a sentence of a refusal; claims and object id of a token.

No function raises, whatever the bytes. The vault verifies a token's signature, so its claims must not be trusted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from exporter.core.json import decode, read_object, text_of, word_of
from exporter.core.values import Fault, Step
from exporter.knowledge.reasons import IMPLIED_BY_ENTRA, IMPLIED_BY_VAULT, Implied, rank
from exporter.knowledge.reasons_vault import DENIED
from exporter.knowledge.report import StepResult


class Claims(Struct, frozen=True, kw_only=True, gc=False):
    """Three claims of an access token for the preflight checks, printable and short; None if absent. One more is read, the object id."""

    audience: str | None = None
    tenant: str | None = None
    application: str | None = None


def payload_of(token: str) -> dict[str, Any] | None:
    """Return all claims of a token header.payload.signature; None for an opaque one."""
    parts = token.split(".")
    return read_object(decode(parts[1]) or b"") if len(parts) == 3 else None


def read_claims(token: str) -> Claims | None:
    """Return the three claims of a token; None for an opaque one."""
    payload = payload_of(token)
    texts = {name: value for name, value in (payload or {}).items() if isinstance(value, str) and len(value) <= 200}
    shown = {name: value for name, value in texts.items() if value.isprintable()}
    if "aud" not in shown:
        return None
    return Claims(audience=shown["aud"], tenant=shown.get("tid"), application=shown.get("appid") or shown.get("azp"))


# The object id of the principal that a vault refused. It is no secret, and the role assignment needs it. It is never a label value.

_GUID = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
_OBJECT_ID = re.compile(rf"\boid=({_GUID})(?![\w-])")
_READ = 4096  # characters of a sentence


def object_id_in(sentence: str) -> str | None:
    """Return the object id that a vault names as `oid=` of its caller; None without one."""
    named = _OBJECT_ID.search(sentence[:_READ])
    return None if named is None else named[1].lower()


def object_id_of_token(token: str) -> str | None:
    """Return the object id in the claims of a token; None without one."""
    claims = payload_of(token)
    return None if claims is None else guid_of(claims.get("oid"))


def guid_of(value: object) -> str | None:
    """Return a GUID in lower case; None for anything else."""
    return value.lower() if isinstance(value, str) and re.fullmatch(_GUID, value) else None


def with_object_ids(results: Mapping[Step, StepResult], token: str) -> dict[Step, StepResult]:
    """Return the steps that a vault refused without naming its caller, with the object id of the token."""
    return {
        step: replace(result, facts=replace(result.facts, object_id=object_id_of_token(token)))
        for step, result in results.items()
        if result.facts is not None and result.facts.status == HTTPStatus.FORBIDDEN and result.facts.object_id is None
    }


_AKV = re.compile(r"\bAKV([0-9]{5})\b")
_AADSTS = re.compile(r"\bAADSTS([0-9]{4,8})\b")
# "Client address: 10.1.2.3" of a vault, "Client address (10.1.2.3) is not authorized" of a Managed HSM.
_CLIENT_ADDRESS = re.compile(r"\bclient address(?:: {0,4}| \()([0-9A-Fa-f:.]{3,45})", re.IGNORECASE)
_NEXT_TO_ERROR = ("error_description", "error_codes")  # of every refusal of Entra ID
_DEEPEST = 4  # errors inside errors that are read
_SHOWN = 1024  # bytes of a page
_MOST_NUMBERS = 16  # of Entra's error_codes


class ErrorBody(Struct, frozen=True, kw_only=True, gc=False):
    """The codes and the message of an error body.

    `message` is unmasked: mask it before use. `inner_code` is the one that the message implies if the service sends none.
    """

    service_code: str | None = None
    inner_code: str | None = None
    aadsts: int | None = None
    akv: int | None = None
    trace_id: str | None = None
    correlation_id: str | None = None  # a GUID
    client_address: str | None = None
    message: str = ""


def read_error(body: bytes) -> ErrorBody:
    """Return the codes in an error body of the vault or of Entra."""
    answer = read_object(body)
    if answer is None:
        return ErrorBody()
    error = answer.get("error")
    if isinstance(error, dict):
        folded = {name.lower(): value for name, value in error.items()}  # services spell innererror in two ways
        message = (text_of(folded, "message") or "")[:_READ]
        service_code = word_of(folded.get("code"))
        return ErrorBody(
            service_code=service_code,
            inner_code=_inner_code(service_code, _deepest_code(folded.get("innererror")), message),
            akv=_number(_AKV, message),
            client_address=_address(message),
            message=message,
        )
    message = (text_of(answer, "error_description") or "")[:_READ]
    return ErrorBody(
        service_code=word_of(error),
        inner_code=_first(IMPLIED_BY_ENTRA, message),
        aadsts=_aadsts(answer, message),
        trace_id=word_of(answer.get("trace_id")),
        correlation_id=guid_of(answer.get("correlation_id")),
        message=message,
    )


def is_foreign(body: bytes) -> bool:
    """Whether the body of an error is not a service's, so that a proxy, a portal or a device sent it.

    Key Vault and Entra ID send nothing or a JSON object with `error`: an object with a code, or a word with a description.
    """
    answer = read_object(body)
    if answer is None:
        return bool(body.strip())
    if not answer:
        return False
    error = answer.get("error")
    if isinstance(error, dict):
        return not any(name.lower() == "code" and isinstance(value, str) for name, value in error.items())
    return not isinstance(error, str) or answer.keys().isdisjoint(_NEXT_TO_ERROR)


def is_page(body: bytes) -> bool:
    """Whether a body is HTML or XML."""
    return body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def unexpected_text(fault: Fault, body: bytes) -> str:
    """Return the start of a page, or what a key response contains instead of a key version.

    The result is not masked. It is empty for other faults, and for text that may be a cut response with a token.
    """
    if fault is Fault.ANSWER_NOT_JSON and is_page(body):
        return body[:_SHOWN].decode("utf-8", errors="replace")
    if fault is Fault.TOKEN_MISSING:  # an error with a good status
        return read_error(body).message
    key = (read_object(body) or {}).get("key")
    if fault is not Fault.KID_UNUSABLE or not isinstance(key, dict):
        return ""
    return f"kid is {text_of(key, 'kid')!r}, kty is {text_of(key, 'kty')!r}"


def _first(implied: Implied, message: str) -> str | None:
    return next((code for code, pattern in implied if pattern.search(message)), None)


def _number(pattern: re.Pattern[str], message: str) -> int | None:
    match = pattern.search(message)
    return int(match[1]) if match else None


def _address(message: str) -> str | None:
    """Return the IP address that the vault saw, in its usual form."""
    match = _CLIENT_ADDRESS.search(message)
    try:
        return str(ip_address(match[1].rstrip("."))) if match else None
    except ValueError:
        return None


def _aadsts(answer: dict[str, Any], message: str) -> int | None:
    """Return the number that decides the reason, or the first number.

    Numbers of `error_codes` come before those of the description.
    """
    codes = answer.get("error_codes")
    listed = [one for one in codes if isinstance(one, int) and 0 < one < 10**8] if isinstance(codes, list) else []
    described = [int(number) for number in _AADSTS.findall(message)]
    return min([one for one in (*listed, *described)[:_MOST_NUMBERS] if one is not True], key=rank, default=None)


def _deepest_code(inner: object) -> str | None:
    """Return the code of the innermost error; an error may hold another one."""
    found = None
    for _ in range(_DEEPEST):
        if not isinstance(inner, dict):
            break
        folded = {name.lower(): value for name, value in inner.items()}
        found, inner = word_of(folded.get("code")) or found, folded.get("innererror")
    return found


def _inner_code(service_code: str | None, inner_code: str | None, message: str) -> str | None:
    """Return the inner code, or the one that the message implies: always that of a deny assignment, which shares its code with roles."""
    implied = _first(IMPLIED_BY_VAULT, message)
    if inner_code is not None and inner_code not in ("AccessDenied", "Forbidden") and implied != DENIED:
        return inner_code
    if implied is None and inner_code is None and service_code == "AccessDenied":
        implied = "ForbiddenByRbac"
    return implied or inner_code
