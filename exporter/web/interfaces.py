"""The parts of the exporter that the web endpoint needs, as protocols."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from exporter.config.settings import Config
from exporter.core.limits import FirstProbes
from exporter.knowledge.checks_vault import CheckRun
from exporter.knowledge.expiry import CredentialExpiry
from exporter.knowledge.report import ProbeReport
from exporter.metrics.recorder import Recorder
from exporter.sqlserver.differences import Difference
from exporter.sqlserver.gate.inputs import RestartReadiness
from exporter.sqlserver.reading import SqlServerReading
from exporter.state.record import TargetRecord


class ExporterService(Protocol):
    """The running exporter."""

    @property
    def config(self) -> Config:
        """The active configuration, which a reload replaces."""

    @property
    def recorder(self) -> Recorder:
        """What `/metrics` exposes."""

    @property
    def ready(self) -> bool:
        """Whether the first round of probes has ended, or two minutes have passed."""

    @property
    def keeps_state(self) -> bool:
        """Whether the state directory can be written; true without one."""

    @property
    def version(self) -> str:
        """The version of the exporter."""

    def record_of(self, target: str) -> TargetRecord | None:
        """Return the record of a target; None before its first result."""

    def credential_expiries(self, name: str) -> tuple[CredentialExpiry, ...]:
        """Return the expiry of a configured credential, one item per source."""

    def first_probes(self) -> FirstProbes:
        """Return how many targets have no result yet."""

    def last_checks(self, target: str) -> CheckRun | None:
        """Return the last run of the preflight checks.

        The result is None before the first run, and after a change of the target.
        """

    def sql_readings(self) -> tuple[SqlServerReading, ...]:
        """Return what is known of each SQL Server that this exporter reads."""

    def sql_readiness(self) -> tuple[RestartReadiness, ...]:
        """Return the restart readiness of each node and key of these SQL Servers, as this exporter sees it."""

    def sql_differences(self) -> tuple[Difference, ...]:
        """Return where the configuration differs from these SQL Servers. The most urgent difference of each is first."""

    async def probe(
        self,
        target: str,
        module: str,
        *,
        timeout: float | None,  # noqa: ASYNC109 - the probe turns its own timeout into a failure with a code
    ) -> ProbeReport | None:
        """Probe a target on demand; None if no probe could be made.

        `timeout` is in seconds, or None for the target's own timeout.
        """


# Reloads the configuration; returns the problems that prevented it, one line each.
Reload = Callable[[], Awaitable[Iterable[str]]]
