"""The documentation of this version as pages, made from Markdown when the package is built."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from importlib.resources import files

from exporter.web.ui.html import Html

_INDEX = "index"


@dataclass(frozen=True, slots=True)
class DocumentPage:
    title: str
    body: Html


class Documentation:
    """The pages by name. The archive is in memory: a request opens no file."""

    def __init__(self, archive: bytes) -> None:
        self._archive = zipfile.ZipFile(io.BytesIO(archive))
        self._names = frozenset(self._archive.namelist())

    @classmethod
    def load(cls) -> Documentation | None:
        """Return the documentation of this installation; None in a checkout that was never installed."""
        place = files("exporter.web").joinpath("static", "docs.zip")
        return cls(place.read_bytes()) if place.is_file() else None

    def find(self, name: str) -> DocumentPage | None:
        """Return a page; its name can end with .md, and "" is the index."""
        known = name.removesuffix(".md") or _INDEX
        if known not in self._names:
            return None
        title, _, body = self._archive.read(known).decode().partition("\n")
        return DocumentPage(title, Html(body))
