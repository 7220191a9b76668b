"""Samples of what SQL Server proved itself, and of the logs of its databases."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

from exporter.metrics.samples import Values
from exporter.metrics.sql_server_definitions import MOST
from exporter.metrics.sql_server_rows import text
from exporter.metrics.text_format import Labels
from exporter.tde.log_space import LogSpace
from exporter.tde.proof import KeyProof


def proof_samples(proofs: Iterable[KeyProof]) -> Values:
    """Return the samples of each key in use."""
    shown = sorted(proofs, key=lambda proof: (proof.key_name, proof.thumbprint))[:MOST]
    return {
        name: [(labels, value) for labels, value in map(known, shown) if value is not None]
        for name, known in _PROOF_FAMILIES.items()
    }


def log_samples(spaces: Iterable[LogSpace], databases: Collection[str]) -> Values:
    """Return the samples of the log of each of these databases."""
    shown = [((("database", name),), space) for space in spaces if (name := text(space.database)) in databases]
    return {
        name: [(labels, value) for labels, space in shown if (value := known(space)) is not None]
        for name, known in _LOG_FAMILIES.items()
    }


def _key(proof: KeyProof) -> Labels:
    return ("key_name", text(proof.key_name)), ("thumbprint", text(proof.thumbprint))


def _missing_credential(proof: KeyProof) -> tuple[Labels, float | None]:
    return (*_key(proof), ("login", text(proof.login))), 1.0 if proof.credential_missing else None


def _proven(proof: KeyProof) -> tuple[Labels, float | None]:
    return (*_key(proof), ("source", proof.source or ""), ("database", text(proof.database))), proof.proven_at


def _due(proof: KeyProof) -> tuple[Labels, float | None]:
    return _key(proof), None if proof.is_due is None else float(proof.is_due)


_PROOF_FAMILIES: Final[Mapping[str, Callable[[KeyProof], tuple[Labels, float | None]]]] = {
    "mssql_ekm_key_without_credential": _missing_credential,
    "mssql_ekm_proven_timestamp_seconds": _proven,
    "mssql_ekm_proof_due": _due,
}
_LOG_FAMILIES: Final[Mapping[str, Callable[[LogSpace], float | None]]] = {
    "mssql_ekm_log_used_bytes": lambda space: space.used_bytes,
    "mssql_ekm_log_free_bytes": lambda space: space.free_bytes,
    "mssql_ekm_log_full_seconds": lambda space: space.full_in,
}
