"""Tokens of one run: signed with a key that is forgotten at its end, so that none has to be remembered.

For: signing and reading back what any token says; the access tokens that Entra issues to an application for an audience.
Not for: judging whether a token suits a vault (see `vault`), or the tokens of service accounts (see `service_accounts`).
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
class Grant:
    """What a token says. `expires` is a Unix time."""

    tenant_id: str
    client_id: str
    object_id: str
    audience: str
    expires: int

    @property
    def claims(self) -> dict[str, object]:
        """Under the names that Entra uses."""
        said = {"aud": self.audience, "iss": f"https://sts.windows.net/{self.tenant_id}/", "tid": self.tenant_id}
        return {**said, "appid": self.client_id, "oid": self.object_id, "exp": self.expires}


class TokenSigner:
    """Signs texts of the shape header.payload.signature, and knows its own again."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._header = encode(b'{"alg":"HS256","typ":"JWT"}')

    def sign(self, payload: Mapping[str, object]) -> str:
        signed = f"{self._header}.{encode(json.dumps(payload).encode())}"
        return f"{signed}.{self._sign(signed)}"

    def read(self, token: str) -> dict[str, Any] | None:
        """The payload of a text that was signed here, None for any other."""
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(signed).encode()):
            return None
        return payload_of(token)

    def _sign(self, signed: str) -> str:
        return encode(hmac.digest(self._key, signed.encode(), hashlib.sha256))


def payload_of(token: str) -> dict[str, Any] | None:
    """What a token says, whoever signed it; None for a text that is no token."""
    return read_object(decode(token.partition(".")[2].partition(".")[0]) or b"")


class TokenMint:
    """Issues and reads access tokens."""

    def __init__(self) -> None:
        self._signer = TokenSigner()

    def issue(self, grant: Grant) -> str:
        return self._signer.sign(grant.claims)

    def read(self, token: str) -> Grant | None:
        """The grant of a token of this run, None for any other text."""
        said = self._signer.read(token)
        if said is None:
            return None
        return Grant(
            tenant_id=said["tid"], client_id=said["appid"], object_id=said["oid"], audience=said["aud"], expires=said["exp"]
        )
