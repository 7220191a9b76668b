"""What the metrics need of that which is remembered of a target between its probes.

For: the names behind which the memory is free to change, and which tests fill with a small object.
Not for: keeping anything (see `exporter.state.records`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from exporter.core.auxiliary import AuxiliaryKind, AuxiliaryResult
from exporter.core.model import KeyFacts, PeerCertificate, ProbeReport, VaultHeaders


class Standing(Protocol):
    """Unix times; None where nothing is known (yet)."""

    @property
    def last(self) -> ProbeReport | None: ...

    @property
    def consecutive_failures(self) -> int: ...

    @property
    def consecutive_blocking(self) -> int: ...

    @property
    def consecutive_unready(self) -> int: ...

    @property
    def last_success_at(self) -> float | None: ...

    @property
    def next_probe_at(self) -> float | None: ...

    @property
    def key(self) -> KeyFacts | None: ...

    @property
    def vault(self) -> VaultHeaders: ...

    @property
    def tenant(self) -> str | None: ...

    @property
    def certificates(self) -> Mapping[str, PeerCertificate]: ...

    @property
    def purge_at(self) -> float | None: ...

    @property
    def proof_at(self) -> float | None: ...

    @property
    def rotation_pending(self) -> bool | None: ...

    @property
    def looks(self) -> Mapping[tuple[AuxiliaryKind, str, str], AuxiliaryResult]: ...
