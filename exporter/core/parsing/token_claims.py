"""The claims of an access token: audience, tenant and application, for the preflight checks.

Only one more claim is kept, the object id: see `principal`. The vault verifies the signature, so these claims must not be trusted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from exporter.core.parsing.key_vault import decode, read_object

_LONGEST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """Three claims, printable and short; None if absent."""

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
    if payload is None or _text(payload, "aud") is None:
        return None
    return Claims(
        audience=_text(payload, "aud"),
        tenant=_text(payload, "tid"),
        application=_text(payload, "appid") or _text(payload, "azp"),
    )


def _text(payload: dict[str, Any], name: str) -> str | None:
    value = payload.get(name)
    shown = isinstance(value, str) and len(value) <= _LONGEST and value.isprintable()
    return value if shown else None
