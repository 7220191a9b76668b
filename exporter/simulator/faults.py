"""What a fault is: the ways in which the simulated world can be broken, and the options a person may give.

For: the types of the fault table, and finding a fault in it by name.
Not for: the table itself (see `fault_table`), nor what is broken right now (see `state`).

A fault works at one of four places: the estate (a key is disabled), the answer (a body is cut), the connection (a
certificate is expired), the route (the name does not resolve).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from exporter.core.model import Step
from exporter.simulator.model import Application, Vault
from exporter.simulator.request import BESIDE, step_of
from exporter.simulator.response import SimulatedResponse

WITH_TOKEN = frozenset({Step.GET_KEY, Step.WRAP_KEY, Step.UNWRAP_KEY})


class Scope(StrEnum):
    """What a fault can be set on."""

    VAULT = "vault"
    TENANT = "tenant"
    APPLICATION = "application"
    AUTHORITY = "authority"  # an Entra host
    GRAPH = "graph"  # a host of Microsoft Graph


class Connection(StrEnum):
    """What a client meets before its first request."""

    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    WRONG_NAME = "wrong_name"
    UNTRUSTED = "untrusted"
    REFUSED_HANDSHAKE = "refused_handshake"  # a TLS alert
    RESET = "reset"  # RST as soon as the handshake begins
    CLOSED = "closed"
    SILENT = "silent"  # accepted, and nothing more
    PLAIN_HTTP = "plain_http"  # an HTTP answer to a handshake


class Route(StrEnum):
    """Where the client is sent. A change is seen only when it reads its configuration again."""

    UNRESOLVABLE = "unresolvable"  # a name under .invalid, which never resolves (RFC 6761)
    REFUSED = "refused"  # a port where nobody listens


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What may be said about a fault beyond its name; most faults ignore most of it. Times in seconds.

    `key` and `version` keep a fault of a vault to one key, or to the versions of that name; `since` is set with the fault.
    """

    step: Step | None = None  # only at this step
    at: str | None = None  # only at this operation, one of `exchange.OPERATIONS`
    key: str | None = None
    version: str | None = None
    since: float = 0.0  # Unix time
    status: int = 500
    body: str = ""
    retry_after: int | None = None
    seconds: float = 1.0
    operation: str = "unwrapKey"
    bits: int = 4096
    limit: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One row of the table. `steps` are those it works at where the options name none."""

    name: str
    broken: str
    scopes: frozenset[Scope]
    steps: frozenset[Step] = frozenset()
    vault: Callable[[Vault, Options], Vault] | None = None
    application: Callable[[Application, Options], Application] | None = None
    answer: Callable[[SimulatedResponse, Options], SimulatedResponse] | None = None
    connection: Connection | None = None
    route: Route | None = None

    def works_at(self, operation: str, options: Options) -> bool:
        """Whether it changes the answer to that operation. A fault of every step is one of what is asked beside, too."""
        step = step_of(operation)
        if options.at is not None:
            return operation == options.at
        if options.step is not None:
            return step is options.step
        return step in self.steps if step is not None else operation in BESIDE and self._anywhere

    @property
    def _anywhere(self) -> bool:
        return not self.steps or self.steps >= WITH_TOKEN


class UnknownNameError(ValueError):
    """A fault, a scope or a thing to break that does not exist; its text is for people."""
