"""The flags of `inventory` that read running exporters."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterable, Sequence

from exporter.cli.exporter_flags import add_exporter_flags, exporters_of
from exporter.clients.exporter_api import AccessError, ApiAccess
from exporter.config.settings import SecretUnreadableError
from exporter.inventory.exporter_state import fetch_readings
from exporter.inventory.sources import SourceError, Sources
from exporter.tde.exporter_state import GateReason
from exporter.tde.reading_document import inventory_document
from exporter.tde.sql_reading import SqlServerReading

_SECONDS = 60.0  # for a response; the exporter cuts a client that is slower
_NO_SERVERS = "the exporter reads no SQL Server: add sql_servers to its configuration (ekm-exporter docs sql-servers)"


def add_reading_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of exporters that read SQL Servers."""
    exporters = parser.add_argument_group("exporters", "running exporters with sql_servers: their last readings")
    add_exporter_flags(exporters, text="an exporter, such as http://localhost:10377; repeatable")


def read_exporters(args: argparse.Namespace, sources: Sources) -> None:
    """Add the readings of each exporter.

    Raises SourceError if the flags cannot be used.
    """
    try:
        accesses = exporters_of(args, timeout=_SECONDS)
        answers = asyncio.run(_answers(accesses)) if accesses else []
    except (AccessError, SecretUnreadableError) as error:
        raise SourceError(str(error)) from None
    _add({access.url: answer for access, answer in zip(accesses, answers, strict=True)}, sources)


async def _answers(accesses: Iterable[ApiAccess]) -> list[tuple[SqlServerReading, ...] | GateReason]:
    """Request all exporters at the same time. Raises AccessError."""
    return await asyncio.gather(*(fetch_readings(access) for access in accesses))


def _add(answers: dict[str, tuple[SqlServerReading, ...] | GateReason], sources: Sources) -> None:
    """Add each reading.

    A server that only one of several exporters has read is no failure.
    """
    found: list[tuple[str, Sequence[SqlServerReading]]] = []
    for url, answer in answers.items():
        where = url.rstrip("/")
        if isinstance(answer, GateReason):
            sources.failures.append(f"{answer.text}. {answer.fix}")
        elif not answer:
            sources.failures.append(f"{where}: {_NO_SERVERS}")
        else:
            found.append((where, answer))
    read = {one.address.lower() for _, readings in found for one in readings if one.document is not None}
    for where, readings in found:
        for reading in readings:
            if reading.document is not None or reading.address.lower() not in read:
                sources.add(inventory_document(reading), where, of_exporter=True)
