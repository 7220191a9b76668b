"""Samples of the differences between the configuration and a SQL Server."""

from __future__ import annotations

from collections.abc import Iterable

from exporter.metrics.samples import Values
from exporter.metrics.sql_server_definitions import FEW
from exporter.metrics.sql_server_rows import text
from exporter.metrics.text_format import Labels
from exporter.tde.differences import Difference


def difference_samples(differences: Iterable[Difference]) -> Values:
    """Return one sample for each difference: how many databases the key protects."""
    shown = list(differences)[:FEW]
    return {"mssql_ekm_difference_databases": [(_labels(each), float(len(each.databases))) for each in shown]}


def _labels(difference: Difference) -> Labels:
    return (
        ("kind", difference.kind),
        ("target", difference.subject),
        ("thumbprint", text(difference.thumbprint)),
        ("key_uri", text(difference.key_uri)),
    )
