"""One request to a simulated service, and its step of the connector's round trip.

The type is independent of HTTP libraries.
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
AUXILIARY_OPERATIONS = ("list", "key_versions", "get_deleted", "secret_versions", "secret_get", "graph", "resource_graph")
"""Requests of auxiliary probes and lookups, each with its own token."""
_OPERATION_PATTERNS = tuple(
    (re.compile(pattern.replace("*", "[^/]+"), re.IGNORECASE), name)
    for pattern, name in (
        ("GET keys", "list"),
        ("GET keys/*", "get_newest"),
        ("GET keys/*/versions", "key_versions"),
        ("GET keys/*/*", "get"),
        ("GET deletedkeys/*", "get_deleted"),
        ("GET secrets/*/versions", "secret_versions"),
        ("GET secrets/*(/*)?", "secret_get"),
        ("POST keys/*(/*)?/wrapkey", "wrapKey"),
        ("POST keys/*(/*)?/unwrapkey", "unwrapKey"),
    )
)
_NO_VERSIONS = ("", "versions", "wrapkey", "unwrapkey")  # segments that can follow a name instead of a version
OPERATIONS = (*_STEPS, *AUXILIARY_OPERATIONS)
"""All operations that a fault can be limited to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request.

    `host` is in lower case, with its port if that is not 443. `query` and `form` have the last value of each name.
    """

    method: str
    host: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)  # a case-insensitive mapping
    form: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the segments of the path."""
        return tuple(part for part in self.path.split("/") if part)

    @property
    def bearer(self) -> str | None:
        """Return the token of the request, None if there is none."""
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        return token if scheme.lower() == "bearer" and token else None

    @property
    def subject(self) -> tuple[str, str | None]:
        """Return the requested key or secret, in lower case, and its version.

        The version is None if the path names none: clients that pin no version leave its segment empty.
        """
        name, version = (*self.path.split("/")[2:4], "", "")[:2]
        return name.lower(), None if version.lower() in _NO_VERSIONS else version

    def vault_operation(self) -> str:
        """Return one of `OPERATIONS`, or `health` or `other`.

        `get_newest` is a GET that names no version.
        """
        if self.path == "/healthstatus":
            return "health"
        if self.bearer is None:
            return "challenge"
        line = f"{self.method} {'/'.join(self.parts)}"
        return next((name for pattern, name in _OPERATION_PATTERNS if pattern.fullmatch(line)), "other")


def step_of(operation: str) -> Step | None:
    """Return the connector's step for an operation, None if it makes no such request."""
    return _STEPS.get(operation)
