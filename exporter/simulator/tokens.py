"""Signed tokens of one run.

The signing key exists in memory only, so that the tokens end with the run. `vault` checks whether a token is valid for
it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exporter.core.parsing.key_vault import decode, encode, read_object


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenClaims:
    """The claims of an access token; `expires` is a Unix time."""

    tenant_id: str
    client_id: str
    object_id: str
    audience: str
    expires: int

    @property
    def payload(self) -> dict[str, object]:
        """Return the claims under Entra's names."""
        payload = {"aud": self.audience, "iss": f"https://sts.windows.net/{self.tenant_id}/", "tid": self.tenant_id}
        return {**payload, "appid": self.client_id, "oid": self.object_id, "exp": self.expires}


class TokenSigner:
    """Signs tokens of the form header.payload.signature and verifies them."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._header = encode(b'{"alg":"HS256","typ":"JWT"}')

    def sign(self, payload: Mapping[str, object]) -> str:
        """Return a signed token with this payload."""
        signed = f"{self._header}.{encode(json.dumps(payload).encode())}"
        return f"{signed}.{self._sign(signed)}"

    def read(self, token: str) -> dict[str, Any] | None:
        """Return the payload of a token of this signer, None for any other text."""
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(signed).encode()):
            return None
        return payload_of(token)

    def _sign(self, signed: str) -> str:
        return encode(hmac.digest(self._key, signed.encode(), hashlib.sha256))


def payload_of(token: str) -> dict[str, Any] | None:
    """Return a token's payload without a check of its signature.

    The result is None for a text that is no token.
    """
    return read_object(decode(token.partition(".")[2].partition(".")[0]) or b"")


class TokenMint:
    """Issues and reads access tokens."""

    def __init__(self) -> None:
        self._signer = TokenSigner()

    def issue(self, claims: TokenClaims) -> str:
        """Return an access token with these claims."""
        return self._signer.sign(claims.payload)

    def read(self, token: str) -> TokenClaims | None:
        """Return the claims of a token of this run, None for any other text."""
        payload = self._signer.read(token)
        if payload is None:
            return None
        return TokenClaims(
            tenant_id=payload["tid"],
            client_id=payload["appid"],
            object_id=payload["oid"],
            audience=payload["aud"],
            expires=payload["exp"],
        )
