"""How long nothing is tried after a refused login: another try may lock the login.

It ends after an hour, or if the content of the secret changes.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from hashlib import pbkdf2_hmac

SECONDS = 3600.0
_ROUNDS = 10_000
_SALT_BYTES = 16
_DIGEST_BYTES = 2  # a stored digest must fit too many secrets to show which one is right; a false match costs an hour


@dataclass(frozen=True, slots=True, kw_only=True)
class Lockout:
    """A refused login at a Unix time. `digest` is the beginning of that of the secret, with `salt`."""

    account: str
    at: float
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    def holds(self, account: str, secret: bytes, now: float) -> bool:
        """Whether a login with this secret would be refused again.

        Takes milliseconds of a processor.
        """
        if account != self.account or not 0 <= now - self.at < SECONDS:
            return False
        return hmac.compare_digest(_digest(secret, self.salt), self.digest)


def lockout_after(account: str, secret: bytes, at: float) -> Lockout:
    """Return the lockout after a login was refused. Takes milliseconds of a processor."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return Lockout(account=account, at=at, salt=salt, digest=_digest(secret, salt))


def _digest(secret: bytes, salt: bytes) -> bytes:
    return pbkdf2_hmac("sha256", secret, salt, _ROUNDS)[:_DIGEST_BYTES]
