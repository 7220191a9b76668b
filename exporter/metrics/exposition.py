"""Rendered sample lines by family and owner, streamed in chunks.

A chunk has about `CHUNK_BYTES`; the web server runs other tasks between two chunks, so a scrape does not delay probes. Both text
formats share the sample lines; only HELP, TYPE and the end mark differ. Protobuf has one message for each family. It is
rendered from the first scrape in protobuf on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import cast

from exporter.metrics.encoded_text import gauges_of
from exporter.metrics.histogram_text import HistogramText
from exporter.metrics.protobuf import family_start
from exporter.metrics.rendering import Rendered
from exporter.metrics.spec import MetricSpec, MetricType, SeriesScope
from exporter.metrics.text_format import encode, escape
from exporter.metrics.wire import varint

CHUNK_BYTES = 64 * 1024  # a stalled client holds one chunk in memory
_BLOCKS_PER_SLICE = 20  # blocks that are encoded without a pause: about 1 ms


class _Family:
    """One family: its headers in each format, and the text and the protobuf of each owner."""

    __slots__ = ("blocks", "encoded", "headers", "message_start", "scope", "spec")

    def __init__(self, spec: MetricSpec) -> None:
        self.spec = spec
        self.scope = spec.scope
        self.blocks: dict[str, bytes | HistogramText] = {}
        self.encoded: dict[str, bytes] = {}
        self.message_start = family_start(spec.name, spec.help_text, spec.kind)
        plain_help = spec.help_text.replace("\\", r"\\").replace("\n", r"\n")
        bare = spec.name.removesuffix("_total") if spec.kind is MetricType.COUNTER else spec.name
        self.headers = (
            encode(f"# HELP {spec.name} {plain_help}\n# TYPE {spec.name} {spec.type}\n"),
            encode(f"# HELP {bare} {escape(spec.help_text)}\n# TYPE {bare} {spec.type}\n"),
        )

    def remove(self, owner: str) -> None:
        self.blocks.pop(owner, None)
        self.encoded.pop(owner, None)


class Exposition:
    """Rendered families in the order of their specs.

    A family without series has no header.
    """

    def __init__(self, specs: Iterable[MetricSpec]) -> None:
        self._families = {spec.name: _Family(spec) for spec in specs}
        self.names = frozenset(self._families)
        self.encodes = False  # whether protobuf is scraped

    def put(self, rendered: Iterable[Rendered]) -> None:
        """Replace the lines of owners in families, and their protobuf."""
        for name, owner, text, encoded in rendered:
            family = self._families[name]
            if not text:
                family.remove(owner)
                continue
            family.blocks[owner] = text
            if encoded:
                family.encoded[owner] = encoded
            else:
                family.encoded.pop(owner, None)  # older than the text

    def drop(self, scope: SeriesScope, owner: str) -> None:
        """Remove all series of one owner."""
        for family in self._families.values():
            if family.scope is scope:
                family.remove(owner)

    def render(self, *, openmetrics: bool) -> bytes:
        """Return everything at once, without the end mark; for few owners."""
        return b"".join(self._portions(openmetrics=openmetrics))

    async def stream(self, *, openmetrics: bool) -> AsyncIterator[bytes]:
        """Yield chunks of about `CHUNK_BYTES`, without the end mark.

        Later families include changes made meanwhile.
        """
        for chunk in _chunks(self._portions(openmetrics=openmetrics)):
            yield chunk

    def is_encoded(self, name: str, owner: str) -> bool:
        return owner in self._families[name].encoded

    async def encode_gauges(self) -> None:
        """Encode the gauges and infos that were rendered before `encodes`, a few at a time."""
        for family in self._families.values():
            if family.spec.kind in (MetricType.GAUGE, MetricType.INFO):
                missing = [owner for owner in family.blocks if owner not in family.encoded]
                for number, owner in enumerate(missing):
                    if owner in family.blocks and owner not in family.encoded:
                        family.encoded[owner] = gauges_of(_text_of(family.blocks[owner]))
                    if number % _BLOCKS_PER_SLICE == 0:
                        await asyncio.sleep(0)

    async def stream_protobuf(self) -> AsyncIterator[bytes]:
        """Yield the messages of all families in chunks, like `stream`."""
        for chunk in _chunks(self._messages()):
            yield chunk

    def _portions(self, *, openmetrics: bool) -> Iterator[bytes]:
        """Yield headers and lines of some owners.

        Each family is read once, so it is consistent. A portion has about `CHUNK_BYTES`, because blocks have similar sizes.
        """
        for family in self._families.values():
            yield from _portioned(list(family.blocks.values()), family.headers[openmetrics])

    def _messages(self) -> Iterator[bytes]:
        """Yield portions like `_portions`. A message starts with its length, so the family is measured first."""
        for family in self._families.values():
            blocks = list(family.encoded.values())
            length = len(family.message_start) + sum(map(len, blocks))
            yield from _portioned(blocks, varint(length) + family.message_start)


def _text_of(block: bytes | HistogramText) -> bytes:
    return block.whole() if isinstance(block, HistogramText) else block


def _texts_of(blocks: Sequence[bytes | HistogramText]) -> Iterable[bytes]:
    """Return the lines of some owners in one family, whose blocks have one type."""
    return map(_text_of, blocks) if isinstance(blocks[0], HistogramText) else cast("Sequence[bytes]", blocks)


def _portioned(blocks: Sequence[bytes | HistogramText], header: bytes) -> Iterator[bytes]:
    step = max(1, CHUNK_BYTES // len(_text_of(blocks[0]))) if blocks else 1
    for at in range(0, len(blocks), step):
        texts = _texts_of(blocks[at : at + step])
        yield b"".join(texts if at else [header, *texts])


def _chunks(portions: Iterable[bytes]) -> Iterator[bytes]:
    chunk: list[bytes] = []
    size = 0
    for portion in portions:
        if chunk and size + len(portion) > CHUNK_BYTES:
            yield b"".join(chunk)
            chunk, size = [], 0
        chunk.append(portion)
        size += len(portion)
    if chunk:
        yield b"".join(chunk)
