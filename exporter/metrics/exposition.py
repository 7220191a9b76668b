"""The exposition: rendered sample lines, kept per family and owner, and streamed family by family.

For: keeping bytes and sending them so that no probe in flight waits for a scrape (it hands the event loop back after
every `CHUNK_BYTES`). Both formats share the sample lines; only HELP, TYPE and the end mark differ.
Not for: knowing what a value means, HTTP, compression.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator

from exporter.metrics.spec import MetricSpec, MetricType, Scope
from exporter.metrics.text_format import encoded, escaped

CHUNK_BYTES = 64 * 1024  # a client that does not read keeps one chunk in memory


class _Family:
    """One family: its two headers and the lines of each owner."""

    __slots__ = ("blocks", "headers", "scope")

    def __init__(self, spec: MetricSpec) -> None:
        self.scope = spec.scope
        self.blocks: dict[str, bytes] = {}
        plain_help = spec.help_text.replace("\\", r"\\").replace("\n", r"\n")
        bare = spec.name.removesuffix("_total") if spec.kind is MetricType.COUNTER else spec.name
        self.headers = (
            encoded(f"# HELP {spec.name} {plain_help}\n# TYPE {spec.name} {spec.type}\n"),
            encoded(f"# HELP {bare} {escaped(spec.help_text)}\n# TYPE {bare} {spec.type}\n"),
        )


class Exposition:
    """Rendered families in the order of their specs. A family without series is left out, header and all."""

    def __init__(self, specs: Iterable[MetricSpec]) -> None:
        self._families = {spec.name: _Family(spec) for spec in specs}

    def put(self, name: str, owner: str, text: str) -> None:
        """Replace what `owner` has in the family; no text removes it."""
        blocks = self._families[name].blocks
        if text:
            blocks[owner] = encoded(text)
        else:
            blocks.pop(owner, None)

    def drop(self, scope: Scope, owner: str) -> None:
        """Remove all series of one owner."""
        for family in self._families.values():
            if family.scope is scope:
                family.blocks.pop(owner, None)

    def render(self, *, openmetrics: bool) -> bytes:
        """Everything at once, for few owners. No end mark."""
        return b"".join(piece for _, pieces in self._portions(openmetrics=openmetrics) for piece in pieces)

    async def stream(self, *, openmetrics: bool) -> AsyncIterator[bytes]:
        """Everything in chunks of about `CHUNK_BYTES`. No end mark. What changes meanwhile shows in later families."""
        chunk: list[bytes] = []
        size = 0
        for portion, pieces in self._portions(openmetrics=openmetrics):
            if chunk and size + portion > CHUNK_BYTES:
                yield b"".join(chunk)
                chunk, size = [], 0
                await asyncio.sleep(0)
            chunk += pieces
            size += portion
        if chunk:
            yield b"".join(chunk)

    def _portions(self, *, openmetrics: bool) -> Iterator[tuple[int, list[bytes]]]:
        """The lines of some owners, with the headers where a family begins, and their size in bytes.

        They are those that the family had when its turn came, so that it stays whole. About `CHUNK_BYTES` or less:
        the blocks of a family are of one size, or nearly so.
        """
        for family in self._families.values():
            blocks = list(family.blocks.values())
            step = max(1, CHUNK_BYTES // len(blocks[0])) if blocks else 1
            for at in range(0, len(blocks), step):
                portion = blocks[at : at + step]
                pieces = portion if at else [family.headers[openmetrics], *portion]
                yield sum(map(len, pieces)), pieces
