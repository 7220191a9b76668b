"""The exposition: rendered sample lines, kept per family and owner, and streamed family by family.

For: keeping bytes and sending them so that no probe in flight waits for a scrape (it hands the event loop back after
every `CHUNK` owners). Both formats share the sample lines; only HELP, TYPE and the end mark differ.
Not for: knowing what a value means, HTTP, compression.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator

from exporter.metrics.lines import encoded, escaped
from exporter.metrics.spec import Kind, MetricSpec, Scope

CHUNK = 250


class _Family:
    """One family: its two headers and the lines of each owner."""

    __slots__ = ("blocks", "headers", "scope")

    def __init__(self, spec: MetricSpec) -> None:
        self.scope = spec.scope
        self.blocks: dict[str, bytes] = {}
        plain_help = spec.help.replace("\\", r"\\").replace("\n", r"\n")
        bare = spec.name.removesuffix("_total") if spec.kind is Kind.COUNTER else spec.name
        self.headers = (
            encoded(f"# HELP {spec.name} {plain_help}\n# TYPE {spec.name} {spec.type}\n"),
            encoded(f"# HELP {bare} {escaped(spec.help)}\n# TYPE {bare} {spec.type}\n"),
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
        """Everything in chunks of at most `CHUNK` owners' lines. No end mark. What changes meanwhile shows in later families."""
        chunk: list[bytes] = []
        room = CHUNK
        for owners, pieces in self._portions(openmetrics=openmetrics):
            if owners > room:
                yield b"".join(chunk)
                chunk, room = [], CHUNK
                await asyncio.sleep(0)
            chunk += pieces
            room -= owners
        if chunk:
            yield b"".join(chunk)

    def _portions(self, *, openmetrics: bool) -> Iterator[tuple[int, list[bytes]]]:
        """How many owners, at most `CHUNK`, and their lines, behind the headers where a family begins.

        They are those that the family had when its turn came, so that it stays whole.
        """
        for family in self._families.values():
            blocks = list(family.blocks.values())
            for at in range(0, len(blocks), CHUNK):
                portion = blocks[at : at + CHUNK]
                yield len(portion), portion if at else [family.headers[openmetrics], *portion]
