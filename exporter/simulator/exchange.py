"""One request as the simulated services see it, and which of the connector's five steps it is.

For: reading host, operation, caller's token and parameters out of a request, without regard to HTTP libraries.
Not for: answering it (see `vault`, `entra`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.core.model import Step
from exporter.simulator.identity import PATHS

_STEPS: Mapping[str, Step] = {
    "challenge": Step.CHALLENGE,
    "token": Step.TOKEN,
    **dict.fromkeys(PATHS, Step.TOKEN),  # a host's identity services
    "get": Step.GET_KEY,
    "wrapKey": Step.WRAP_KEY,
    "unwrapKey": Step.UNWRAP_KEY,
}


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

    def vault_operation(self) -> str:
        """`get`, `list`, `wrapKey`, `unwrapKey`, `get_deleted`, `health`, `challenge`, or `other`."""
        if self.path == "/healthstatus":
            return "health"
        if self.bearer is None:
            return "challenge"
        match self.method, tuple(part.lower() for part in self.parts):
            case "GET", ("keys",):
                return "list"
            case "GET", ("keys", _) | ("keys", _, _):
                return "get"
            case "GET", ("deletedkeys", _):
                return "get_deleted"
            case "POST", ("keys", _, _, "wrapkey"):
                return "wrapKey"
            case "POST", ("keys", _, _, "unwrapkey"):
                return "unwrapKey"
        return "other"


def step_of(operation: str) -> Step | None:
    """The step of the connector's round trip that an operation is, None for one that the connector never makes."""
    return _STEPS.get(operation)
