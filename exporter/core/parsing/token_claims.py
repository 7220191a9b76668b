"""What an access token says of itself, as far as a check needs it. Nothing of a token is kept but these three words.

For: audience, tenant and application of a token that Entra gave. Its signature is the vault's to check.
Not for: trusting a token, or showing it to anybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from exporter.core.known_secrets import reveals
from exporter.core.parsing.key_vault import decode, read_object

_LONGEST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """None where the token does not say. Printable and short."""

    audience: str | None = None
    tenant: str | None = None
    application: str | None = None


def read_claims(token: str) -> Claims | None:
    """The claims of a token of the shape header.payload.signature; None for an opaque one."""
    parts = token.split(".")
    said = read_object(decode(parts[1]) or b"") if len(parts) == 3 else None
    if said is None or _text(said, "aud") is None:
        return None
    return Claims(
        audience=_text(said, "aud"),
        tenant=_text(said, "tid"),
        application=_text(said, "appid") or _text(said, "azp"),
    )


def _text(said: dict[str, Any], name: str) -> str | None:
    value = said.get(name)
    shown = isinstance(value, str) and len(value) <= _LONGEST and value.isprintable() and not reveals(value)
    return value if shown else None
