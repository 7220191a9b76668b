"""One request as the simulated services see it, and which of the connector's five steps it is.

For: reading host, operation, caller's token and parameters out of a request, without regard to HTTP libraries.
Not for: answering it (see `vault`, `entra`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.core.model import Step
from exporter.simulator.managed_identity import PATHS

_STEPS: Mapping[str, Step] = {
    "challenge": Step.CHALLENGE,
    "token": Step.TOKEN,
    **dict.fromkeys(PATHS, Step.TOKEN),  # a host's identity services
    "get": Step.GET_KEY,
    "get_newest": Step.GET_KEY,
    "wrapKey": Step.WRAP_KEY,
    "unwrapKey": Step.UNWRAP_KEY,
}
BESIDE = ("list", "get_deleted", "secret_versions", "secret_get", "graph")
"""What is asked beside the round trip, each with a token of its own."""
_ASKED = tuple(
    (re.compile(pattern.replace("*", "[^/]+"), re.IGNORECASE), name)
    for pattern, name in (
        ("GET keys", "list"),
        ("GET keys/*", "get_newest"),
        ("GET keys/*/*", "get"),
        ("GET deletedkeys/*", "get_deleted"),
        ("GET secrets/*/versions", "secret_versions"),
        ("GET secrets/*(/*)?", "secret_get"),
        ("POST keys/*/*/wrapkey", "wrapKey"),
        ("POST keys/*/*/unwrapkey", "unwrapKey"),
    )
)
OPERATIONS = (*_STEPS, *BESIDE)
"""All that a fault can be kept to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """`host` in lower case with its port where that is not 443; `query` and `form` have their last values."""

    method: str
    host: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)  # a case-insensitive mapping
    form: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(part for part in self.path.split("/") if part)

    @property
    def bearer(self) -> str | None:
        """The token that was sent, None where none was."""
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        return token if scheme.lower() == "bearer" and token else None

    @property
    def subject(self) -> tuple[str, str | None]:
        """The name of the key or secret that is asked for, in lower case, and the version, None where none is named."""
        name, version = (*self.parts[1:3], "", "")[:2]
        return name.lower(), version or None

    def vault_operation(self) -> str:
        """One of `OPERATIONS`, or `health` or `other`. `get_newest` is a GET that names no version."""
        if self.path == "/healthstatus":
            return "health"
        if self.bearer is None:
            return "challenge"
        asked = f"{self.method} {'/'.join(self.parts)}"
        return next((name for pattern, name in _ASKED if pattern.fullmatch(asked)), "other")


def step_of(operation: str) -> Step | None:
    """The step of the connector's round trip that an operation is, None for one that the connector never makes."""
    return _STEPS.get(operation)
