"""What the web endpoint needs of the rest of the exporter.

For: the few names behind which everything else is free to change, and which tests fill with small objects.
Not for: any behaviour.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Protocol

from exporter.config.model import Config, Module, Target
from exporter.core.checks.model import CheckRun
from exporter.core.credential_expiry import CredentialExpiry
from exporter.core.model import ProbeReport
from exporter.state.records import TargetRecord


class Recorder(Protocol):
    """The metrics (see `exporter.metrics.recorder`)."""

    def scrape(self, *, openmetrics: bool) -> AsyncIterator[bytes]: ...

    def render_probe(self, target: Target, module: Module, report: ProbeReport, *, openmetrics: bool = False) -> bytes: ...

    def internal_error(self) -> None: ...


class Service(Protocol):
    """The running exporter. `config` is the one in force: it may be another one at the next look."""

    @property
    def config(self) -> Config: ...

    @property
    def recorder(self) -> Recorder: ...

    @property
    def ready(self) -> bool: ...

    @property
    def version(self) -> str: ...

    def record_of(self, target: str) -> TargetRecord | None: ...

    def credential_ends(self, name: str) -> tuple[CredentialExpiry, ...]:
        """What each source says of when a credential of the configuration ends."""
        ...

    def last_checks(self, target: str) -> CheckRun | None:
        """The last run of the doctor's checks; None where there was none, or what it found is of something else now."""
        ...

    async def probe(
        self,
        target: str,
        module: str,
        *,
        timeout: float | None,  # noqa: ASYNC109 - it is the probe's, which turns it into a failure with a code
    ) -> ProbeReport | None:
        """One probe on demand; `timeout` in seconds, None for the target's own. None where it could not be made."""
        ...


class Reload(Protocol):
    async def __call__(self) -> Iterable[str]:
        """Read the configuration again: the problems, one line each, for which it was not taken over; none if it was."""
        ...
