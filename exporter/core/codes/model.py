"""`ConnectorError`, a row of the table of codes, and its closed lists.

The values of these lists are public: JSON and metric labels contain them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Family(StrEnum):
    """The `connector_generation` of a number; `both` for all but the 20 pairs."""

    CLASSIC = "classic"
    CURRENT = "current"
    BOTH = "both"


class Layer(StrEnum):
    """The part of the connector in which the failure occurs."""

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
    """The kind of failure. Values may be added; renaming one breaks users."""

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
    """The team that can fix the failure."""

    DBA = "dba"
    IDENTITY = "identity"
    NETWORK = "network"
    VAULT = "vault"
    EXPORTER = "exporter"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorError:
    """One code. `causes` start with the most likely, `actions` with the first to take.

    Texts are ASCII with `code` spans. `counterpart` is the number in the other generation. `fallback` is the classic number of
    the HTTP layer that connectors without this code report. `effect` is what fails in SQL Server and when, empty if nothing does.
    """

    code: int
    symbol: str
    generation: Family = Family.BOTH
    counterpart: int | None = None
    layer: Layer
    category: Category
    owner: Owner
    summary: str
    effect: str = ""
    causes: tuple[str, ...]
    actions: tuple[str, ...]
    unobservable_because: str = ""
    fallback: int | None = None
    commands: tuple[str, ...] = ()  # lines to copy, for an action that needs several

    @property
    def observable(self) -> bool:
        """Whether a probe or a check of the configuration can report this code."""
        return not self.unobservable_because
