"""The shape of one row of the catalogue, and its closed lists.

For: `ConnectorError` and the lists its fields are taken from. The values are public: they stand in JSON and metric labels.
Not for: the rows themselves (one module per layer), how a row is printed (see `render`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Family(StrEnum):
    """Which setting of `connector_generation` reports the number. Only the 20 twins differ; all else is `both`."""

    CLASSIC = "classic"
    CURRENT = "current"
    BOTH = "both"


class Layer(StrEnum):
    """Where in the connector, or around it, the failure arises."""

    ENGINE = "engine"
    EVENT_LINE = "event_line"
    INPUT = "input"
    HTTP = "http"
    CHALLENGE = "challenge"
    TOKEN = "token"  # noqa: S105 - the name of a layer
    GET_KEY = "get_key"
    BACKUP = "backup"
    WRAP_KEY = "wrap_key"
    UNWRAP_KEY = "unwrap_key"
    CREDENTIAL = "credential"
    NAME = "name"
    RETRY = "retry"


class Category(StrEnum):
    """What kind of failure it is. Adding is welcome, renaming breaks users."""

    SUCCESS = "success"
    NETWORK = "network"
    IDENTITY = "identity"
    PERMISSION = "permission"
    MISSING = "missing"
    THROTTLED = "throttled"
    SERVER = "server"
    PROTOCOL = "protocol"
    INPUT = "input"
    HOST = "host"  # Windows on the SQL Server host: registry, local calls
    RESOURCE = "resource"  # memory
    UNKNOWN = "unknown"


class Owner(StrEnum):
    """Who can repair it."""

    DBA = "dba"
    IDENTITY = "identity"
    NETWORK = "network"
    VAULT = "vault"
    EXPORTER = "exporter"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorError:
    """One code. `causes` come most likely first, `actions` in the order to take them; texts are ASCII with `code` spans.

    `counterpart` is the twin's number. `alias` is the classic number of the HTTP-layer row under which the same failure
    goes where the connector has no code as specific as this one.
    """

    code: int
    symbol: str
    generation: Family = Family.BOTH
    counterpart: int | None = None
    layer: Layer
    category: Category
    owner: Owner
    summary: str
    causes: tuple[str, ...]
    actions: tuple[str, ...]
    unobservable_because: str = ""
    alias: int | None = None

    @property
    def observable(self) -> bool:
        """Whether a probe or a check of the configuration can give this code."""
        return not self.unobservable_because
