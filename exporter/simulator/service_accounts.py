"""Tokens of service accounts, as a Kubernetes cluster issues them, and what Entra makes of one that signs an application in.

For: making such tokens, with a key of this run, and refusing them: signature, issuer, subject, audience, times.
Not for: assertions that an application signs itself (see `client_assertion`), or a cluster's keys, which Entra would fetch: the
simulator knows only what it signed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from exporter.simulator.model import Application
from exporter.simulator.tokens import TokenSigner, payload_of

AUDIENCE = "api://AzureADTokenExchange"
LIFETIME = 86400  # seconds: the longest that AKS gives
_SKEW = 300.0  # seconds by which clocks may differ


class ServiceAccounts:
    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._signer = TokenSigner()
        self._clock = clock

    def issue(self, issuer: str, subject: str, *, audience: str = AUDIENCE, lifetime: float = LIFETIME) -> str:
        """What a cluster puts into a pod's token file. `lifetime` in seconds; one below zero has been over for so long."""
        now = int(self._clock())
        starts = min(now, now + int(lifetime))
        said = {"iss": issuer, "sub": subject, "aud": [audience], "iat": starts, "nbf": starts, "exp": now + int(lifetime)}
        return self._signer.sign(said)

    def refusal(self, application: Application, token: str) -> str | None:
        """The name of Entra's refusal, None for a token that signs this application in."""
        said = self._signer.read(token)
        if said is None:
            return "assertion_signature"
        issuer, subject, audience = said.get("iss"), said.get("sub"), said.get("aud")
        if issuer not in {one for one, _ in application.federated}:
            return "federation_issuer"
        if (issuer, subject) not in application.federated:
            return "federation_subject"
        if AUDIENCE not in (audience if isinstance(audience, list) else [audience]):
            return "federation_audience"
        return None if self._in_time(said) else "assertion_outside_validity"

    def _in_time(self, said: dict[str, Any]) -> bool:
        return bool(said["nbf"] - _SKEW <= self._clock() < said["exp"] + _SKEW)


def is_federated(assertion: str) -> bool:
    """Whether an assertion comes from somebody else than the application itself, whose issuer would be a client id."""
    return str((payload_of(assertion) or {}).get("iss", "")).startswith("https://")
