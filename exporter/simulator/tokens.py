"""Access tokens of one run: signed with a key that is forgotten at its end, so that none has to be remembered.

For: issuing a token to an application for an audience, and reading one back.
Not for: judging whether its audience or tenant suits a vault (see `vault`).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from dataclasses import asdict, dataclass

from exporter.core.answers import decode, encode, read_object


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a token says. `expires` is a Unix time."""

    tenant_id: str
    client_id: str
    object_id: str
    audience: str
    expires: int


class TokenMint:
    """Issues and reads tokens of the shape header.payload.signature."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._header = encode(b'{"alg":"HS256","typ":"JWT"}')

    def issue(self, grant: Grant) -> str:
        signed = f"{self._header}.{encode(json.dumps(asdict(grant)).encode())}"
        return f"{signed}.{self._sign(signed)}"

    def read(self, token: str) -> Grant | None:
        """The grant of a token of this run, None for any other text."""
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(signed).encode()):
            return None
        payload = read_object(decode(signed.partition(".")[2]) or b"")
        return None if payload is None else Grant(**payload)

    def _sign(self, signed: str) -> str:
        return encode(hmac.digest(self._key, signed.encode(), hashlib.sha256))
