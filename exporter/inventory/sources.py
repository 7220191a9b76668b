"""What SQL Servers answered.

It is from files, running exporters and the servers themselves.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from exporter.runtime.encodings import decoded
from exporter.runtime.files import FileUnreadableError, read_whole
from exporter.tde.claims import DocumentReading
from exporter.tde.document import Document, read_documents
from exporter.tde.identity import FILE
from exporter.tde.model import printable
from exporter.tde.registry import RegistryUri

FILE_LIMIT = 64 * 1024 * 1024  # bytes


class SourceError(Exception):
    """Why the flags of a source cannot be used, and what to do."""


@dataclass(slots=True)
class Sources:
    """Readings of instances, loose key URIs, and one line for each failure."""

    readings: list[DocumentReading] = field(default_factory=list)
    loose: dict[RegistryUri, None] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def add(self, document: Document, where: str, *, direct: bool = False, of_exporter: bool = False) -> None:
        """Add a document; `where` is the file, server or exporter that it is from.

        The rest is as in DocumentReading.
        """
        if document.failure is not None:
            address = f"{printable(document.address)}: " if document.address not in (None, where) else ""
            self.failures.append(f"{where}: {address}not read: {printable(document.failure)}")
        if document.failure is not None or document.sections:
            address = document.address or f"{FILE}{Path(where).name}"
            self.readings.append(DocumentReading(replace(document, address=address), where, direct, of_exporter))
        else:
            self.loose |= dict.fromkeys(document.key_uris)

    def read_files(self, patterns: Iterable[str]) -> None:
        """Read files, patterns and folders."""
        for pattern in patterns:
            files = list(_files(pattern))
            if not files:
                self.failures.append(f"{pattern}: no file: copy the output of inventory.ps1 or inventory.sql there")
            for file in files:
                self._read_file(file)

    def _read_file(self, file: Path) -> None:
        try:
            data = read_whole(file, limit=FILE_LIMIT)
        except FileUnreadableError as error:
            self.failures.append(f"{file}: {error}")
            return
        for document in read_documents(decoded(data)):
            self.add(document, str(file))


def expand(pattern: str) -> list[Path]:
    """Return the paths of a pattern in order: PowerShell leaves patterns to the program, and a name may have brackets."""
    if not glob.has_magic(pattern) or os.path.lexists(pattern):
        return [Path(pattern)]
    return [Path(match) for match in sorted(glob.glob(pattern))]  # noqa: PTH207 - Path.glob refuses whole paths


def _files(pattern: str) -> Iterator[Path]:
    for path in expand(pattern):
        yield from sorted(one for one in path.iterdir() if one.is_file()) if path.is_dir() else [path]
