"""Tokens of Kubernetes service accounts, and Entra's checks of them.

A key of this run signs the tokens. Entra would fetch a cluster's keys; the simulator accepts only its own signature.
Assertions that an application signs itself are in `client_assertion`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from exporter.simulator.model import Application
from exporter.simulator.tokens import TokenSigner, payload_of

AUDIENCE = "api://AzureADTokenExchange"
LIFETIME = 86400  # seconds: the longest that AKS gives
_SKEW = 300.0  # seconds by which clocks may differ


class ServiceAccounts:
    """Issues and checks tokens of service accounts."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._signer = TokenSigner()
        self._clock = clock

    def issue(self, issuer: str, subject: str, *, audience: str = AUDIENCE, lifetime: float = LIFETIME) -> str:
        """Return a token as a cluster writes it to a pod's token file.

        `lifetime` is in seconds; a negative one gives a token that expired that long ago.
        """
        now = int(self._clock())
        starts = min(now, now + int(lifetime))
        payload = {"iss": issuer, "sub": subject, "aud": [audience], "iat": starts, "nbf": starts, "exp": now + int(lifetime)}
        return self._signer.sign(payload)

    def refusal(self, application: Application, token: str) -> str | None:
        """Return the name of Entra's refusal, None if the token signs the application in."""
        payload = self._signer.read(token)
        if payload is None:
            return "assertion_signature"
        issuer, subject, audience = payload.get("iss"), payload.get("sub"), payload.get("aud")
        if issuer not in {one for one, _ in application.federated}:
            return "federation_issuer"
        if (issuer, subject) not in application.federated:
            return "federation_subject"
        if AUDIENCE not in (audience if isinstance(audience, list) else [audience]):
            return "federation_audience"
        in_time = payload["nbf"] - _SKEW <= self._clock() < payload["exp"] + _SKEW
        return None if in_time else "assertion_outside_validity"


def is_federated(assertion: str) -> bool:
    """Return whether an assertion has an issuer other than the application itself.

    The issuer of an application's own assertion is its client id.
    """
    return str((payload_of(assertion) or {}).get("iss", "")).startswith("https://")
