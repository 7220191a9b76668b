"""The types of the fault table.

A fault affects the environment (a key is disabled), the response (a body is truncated), the connection (a certificate is
expired) or the route (the name does not resolve).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from exporter.core.model import KEY_STEPS, Step
from exporter.simulator.model import Application, Vault
from exporter.simulator.request import AUXILIARY_OPERATIONS, step_of
from exporter.simulator.response import SimulatedResponse
from exporter.simulator.sql_model import PERFORMANCE, SimulatedSqlServer

VaultOf = Callable[[str], Vault | None]


class FaultScope(StrEnum):
    """The kind of object that a fault is set on."""

    VAULT = "vault"
    TENANT = "tenant"
    APPLICATION = "application"
    AUTHORITY = "authority"  # an Entra host
    GRAPH = "graph"  # a host of Microsoft Graph
    MANAGEMENT = "management"  # a host of Azure Resource Manager
    SQL = "sql"  # a SQL Server


class ConnectionFault(StrEnum):
    """A failure of the connection before the first request."""

    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    WRONG_NAME = "wrong_name"
    UNTRUSTED = "untrusted"
    REFUSED_HANDSHAKE = "refused_handshake"  # a TLS alert
    RESET = "reset"  # RST as soon as the handshake begins
    CLOSED = "closed"
    SILENT = "silent"  # accepted, then no data
    PLAIN_HTTP = "plain_http"  # an HTTP response to a handshake


class Route(StrEnum):
    """The address that a host name leads to. A client follows a change after it reloads its configuration."""

    UNRESOLVABLE = "unresolvable"  # a name under .invalid, which never resolves (RFC 6761)
    REFUSED = "refused"  # a port without a listener


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a fault; most faults ignore most of them.

    Times are in seconds. `key` and `version` limit a fault of a vault to one key, or to the versions of that name. `since`
    is set when the fault starts.
    """

    step: Step | None = None  # only at this step
    at: str | None = None  # only at this operation, one of `request.OPERATIONS`
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
    right: str = PERFORMANCE
    view: str = "dm_os_loaded_modules"
    database: str | None = None  # only this one


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedFault:
    """One row of the fault table.

    `steps` are the affected steps unless the options name others.
    """

    name: str
    broken: str
    scopes: frozenset[FaultScope]
    steps: frozenset[Step] = frozenset()
    vault: Callable[[Vault, Options], Vault] | None = None
    application: Callable[[Application, Options], Application] | None = None
    response: Callable[[SimulatedResponse, Options], SimulatedResponse] | None = None
    connection: ConnectionFault | None = None
    route: Route | None = None
    sql: Callable[[SimulatedSqlServer, Options, VaultOf], SimulatedSqlServer] | None = None

    def applies_to(self, operation: str, options: Options) -> bool:
        """Return whether the fault changes the response to that operation.

        A fault of every step also affects the auxiliary operations.
        """
        step = step_of(operation)
        if options.at is not None:
            return operation == options.at
        if options.step is not None:
            return step is options.step
        return step in self.steps if step is not None else operation in AUXILIARY_OPERATIONS and self._anywhere

    @property
    def _anywhere(self) -> bool:
        return not self.steps or self.steps >= frozenset(KEY_STEPS)


class UnknownNameError(ValueError):
    """A fault, scope or object does not exist; the text is an error message for users."""
