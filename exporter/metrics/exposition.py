"""Rendered sample lines by family and owner, streamed in chunks.

A chunk has about `CHUNK_BYTES`; the web server runs other tasks between two chunks, so a scrape does not delay probes. Both formats
share the sample lines; only HELP, TYPE and the end mark differ.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator

from exporter.metrics.spec import MetricSpec, MetricType, Scope
from exporter.metrics.text_format import encode, escape

CHUNK_BYTES = 64 * 1024  # a stalled client holds one chunk in memory


class _Family:
    """One family: its headers in both formats and the lines of each owner."""

    __slots__ = ("blocks", "headers", "scope")

    def __init__(self, spec: MetricSpec) -> None:
        self.scope = spec.scope
        self.blocks: dict[str, bytes] = {}
        plain_help = spec.help_text.replace("\\", r"\\").replace("\n", r"\n")
        bare = spec.name.removesuffix("_total") if spec.kind is MetricType.COUNTER else spec.name
        self.headers = (
            encode(f"# HELP {spec.name} {plain_help}\n# TYPE {spec.name} {spec.type}\n"),
            encode(f"# HELP {bare} {escape(spec.help_text)}\n# TYPE {bare} {spec.type}\n"),
        )


class Exposition:
    """Rendered families in the order of their specs.

    A family without series has no header.
    """

    def __init__(self, specs: Iterable[MetricSpec]) -> None:
        self._families = {spec.name: _Family(spec) for spec in specs}

    def has(self, name: str) -> bool:
        return name in self._families

    def put(self, name: str, owner: str, text: str) -> None:
        """Replace the lines of `owner` in the family; empty text removes them."""
        blocks = self._families[name].blocks
        if text:
            blocks[owner] = encode(text)
        else:
            blocks.pop(owner, None)

    def drop(self, scope: Scope, owner: str) -> None:
        """Remove all series of one owner."""
        for family in self._families.values():
            if family.scope is scope:
                family.blocks.pop(owner, None)

    def render(self, *, openmetrics: bool) -> bytes:
        """Return everything at once, without the end mark; for few owners."""
        return b"".join(piece for _, pieces in self._portions(openmetrics=openmetrics) for piece in pieces)

    async def stream(self, *, openmetrics: bool) -> AsyncIterator[bytes]:
        """Yield chunks of about `CHUNK_BYTES`, without the end mark.

        Later families include changes made meanwhile.
        """
        chunk: list[bytes] = []
        size = 0
        for portion, pieces in self._portions(openmetrics=openmetrics):
            if chunk and size + portion > CHUNK_BYTES:
                yield b"".join(chunk)
                chunk, size = [], 0
            chunk += pieces
            size += portion
        if chunk:
            yield b"".join(chunk)

    def _portions(self, *, openmetrics: bool) -> Iterator[tuple[int, list[bytes]]]:
        """Yield headers and lines of some owners, and their size in bytes.

        Each family is read once, so it is consistent. A portion has about `CHUNK_BYTES`, because blocks have similar sizes.
        """
        for family in self._families.values():
            blocks = list(family.blocks.values())
            step = max(1, CHUNK_BYTES // len(blocks[0])) if blocks else 1
            for at in range(0, len(blocks), step):
                portion = blocks[at : at + step]
                pieces = portion if at else [family.headers[openmetrics], *portion]
                yield sum(map(len, pieces)), pieces
