"""What an exporter reports of its targets and its SQL Servers, or why that is not known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from exporter.core.model import Vantage
from exporter.tde.sql_reading import SqlServerReading

_MODES = ("canary", "read_only")  # never ready; another target may test the key
_UNTESTED_CAUSES = (*_MODES, "version_not_pinned", "identity_of_another_host")  # by configuration


@dataclass(frozen=True, slots=True)
class GateReason:
    """One reason against `ready`, with its first action; `known` is false if something is only not known."""

    condition: str
    text: str
    fix: str
    known: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetState:
    """One target as the exporter at `url` reports it at `at`; times are Unix times, unknown is None."""

    url: str
    vantage: Vantage
    at: float
    name: str
    vault: str
    key_name: str
    key_version: str | None
    ready: bool | None
    success: bool | None
    why: str
    failure: str  # in words, empty without a failure
    ready_since: float | None
    last_not_ready: float | None
    last_success: float | None
    last_unwrap: float | None
    key_type: str | None
    key_size_bits: int | None
    credential: str
    credential_type: str
    credential_expires_at: float | None
    next_credential_usable: bool | None  # None without a staged one
    instances: tuple[Mapping[str, str], ...]

    @property
    def is_doubtful(self) -> bool:
        """Whether it fails, or has no verdict for another reason than its configuration."""
        return not self.ready and (self.ready is False or not self.success or self.why not in _UNTESTED_CAUSES)

    @property
    def answers_nothing(self) -> bool:
        """Whether its mode gives no verdict, and it does not fail."""
        return self.why in _MODES and not self.is_doubtful


@dataclass(frozen=True, slots=True)
class ExporterState:
    """All targets of an exporter as reported at `at`, a Unix time, and the SQL Servers that it reads.

    `host` is the name of its computer in lower case, if that is a SQL Server's. `unread` is why the readings are not known.
    """

    at: float
    vantage: Vantage
    targets: tuple[TargetState, ...]
    url: str
    host: str | None = None
    readings: tuple[SqlServerReading, ...] = ()
    unread: GateReason | None = None
