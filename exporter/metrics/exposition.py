"""Rendered sample lines by family and owner, streamed in chunks.

A chunk has about `CHUNK_BYTES`; the web server runs other tasks between two chunks, so a scrape does not delay probes. Both text
formats share the sample lines; only HELP, TYPE and the end mark differ. Protobuf has one message for each family. It is
rendered from the first scrape in protobuf on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeVar

from exporter.config.settings import Module, Target
from exporter.knowledge.causes import Failed
from exporter.metrics import protobuf
from exporter.metrics.counters import TargetCounters
from exporter.metrics.protobuf import family_start, gauges_of
from exporter.metrics.spec import Group, MetricSpec, MetricType, SeriesScope, Values
from exporter.metrics.target_families import COUNTERS, Standing
from exporter.metrics.text import HistogramText, LabelSet, encode, histograms, lines, varint
from exporter.state.record import TargetRecord

STEP_DURATIONS = "ekm_step_duration_seconds"
CHUNK_BYTES = 64 * 1024  # a stalled client holds one chunk in memory
_BLOCKS_PER_SLICE = 20  # blocks that are encoded without a pause: about 1 ms
_T = TypeVar("_T")


# A family, an owner, its lines (none removes its series), and the same as protobuf (empty unless it is scraped).
Rendered = tuple[str, str, bytes | HistogramText, bytes]


class Failure(NamedTuple):
    """The present failure of a target, how it stands, and the region of its vault."""

    failed: Failed | None = None
    standing: Standing | None = None
    region: str | None = None


_NO_FAILURE: Final = Failure()


@dataclass(slots=True)
class TargetBlock:
    """The target whose series are rendered, its record, its counters, and when they started as protobuf fields."""

    target: Target
    module: Module
    base: LabelSet
    record: TargetRecord
    counters: TargetCounters
    started: tuple[bytes, bytes]
    shown: dict[Group[Any], Any] = field(default_factory=dict)  # what the families of a group were rendered from
    sums: tuple[float, ...] = ()  # of the counters, as rendered; empty: none is
    failure: Failure = _NO_FAILURE

    def changed(self, group: Group[_T], value: _T | None) -> Values:
        """Return the samples of a value if it is another one than what they were rendered from; None has none."""
        if self.shown.get(group) == value:
            return {}
        self.shown[group] = value
        return group.of(value)


def base_of(target: Target) -> LabelSet:
    return LabelSet.from_labels(("target", target.name), ("vault", target.vault))


class _Family:
    """One family: its headers in each format, and the text and the protobuf of each owner."""

    __slots__ = ("blocks", "encoded", "headers", "message_start", "spec")

    def __init__(self, spec: MetricSpec) -> None:
        self.spec = spec
        self.blocks: dict[str, bytes | HistogramText] = {}
        self.encoded: dict[str, bytes] = {}
        self.message_start = family_start(spec.name, spec.help_text, spec.kind)
        bare = spec.name.removesuffix("_total") if spec.kind is MetricType.COUNTER else spec.name
        self.headers = (  # no help has a character that needs an escape
            encode(f"# HELP {spec.name} {spec.help_text}\n# TYPE {spec.name} {spec.type}\n"),
            encode(f"# HELP {bare} {spec.help_text}\n# TYPE {bare} {spec.type}\n"),
        )

    def remove(self, owner: str) -> None:
        self.blocks.pop(owner, None)
        self.encoded.pop(owner, None)


class Exposition:
    """Rendered families in the order of their specs. A family without series has no header."""

    def __init__(self, specs: Iterable[MetricSpec]) -> None:
        self._families = {spec.name: _Family(spec) for spec in specs}
        self.encodes = False  # whether protobuf is scraped

    def show(self, owner: str, base: LabelSet, values: Values) -> None:
        """Replace the gauges and infos of an owner in these families. `base` are the labels that its series share."""
        self.put(self.rendered(owner, base, values))

    def rendered(self, owner: str, base: LabelSet, values: Values) -> list[Rendered]:
        """Render the gauges and infos of an owner. Any thread may call."""
        return [
            (
                name,
                owner,
                encode(lines(name, samples, base)) if samples else b"",
                protobuf.gauges(samples, base) if self.encodes else b"",
            )
            for name, samples in values.items()
            if name in self._families
        ]

    def show_counters(self, block: TargetBlock) -> None:
        """Replace the counters of a target that grew since the last time, and its histograms.

        Counters only grow, so a family with the same sum has the same samples.
        """
        owner, base, found = block.target.name, block.base, list[Rendered]()
        sums, rendered = [], iter(block.sums)
        for name, samples_of in COUNTERS.families.items():
            samples = samples_of(block.counters)
            sums.append(sum(count for _, count in samples))
            if sums[-1] != next(rendered, None) and name in self._families:
                encoded = protobuf.counters(samples, base, block.started[0]) if self.encodes else b""
                found.append((name, owner, encode(lines(name, samples, base)), encoded))
        block.sums = tuple(sums)
        durations = block.counters.durations.items()
        text = histograms(
            STEP_DURATIONS, base, block.counters.bounds, {step: (seen.counts, seen.total) for step, seen in durations}
        )
        encoded = b"".join(
            protobuf.histogram(
                step, base, seen.bounds, counts=seen.counts, total=seen.total, native=seen.native, started=block.started[1]
            )
            for step, seen in (durations if self.encodes else ())
        )
        self.put([*found, (STEP_DURATIONS, owner, text, encoded)])

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
            if family.spec.scope is scope:
                family.remove(owner)

    def render(self, *, openmetrics: bool) -> bytes:
        """Return everything at once, without the end mark; for few owners."""
        return b"".join(self._portions(openmetrics=openmetrics))

    def chunks(self, *, openmetrics: bool) -> Iterator[bytes]:
        """Yield chunks of about `CHUNK_BYTES`, without the end mark. Later families include changes made meanwhile."""
        return _chunks(self._portions(openmetrics=openmetrics))

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

    def protobuf_chunks(self) -> Iterator[bytes]:
        """Yield the messages of all families, like `chunks`."""
        return _chunks(self._messages())

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


def _portioned(blocks: Sequence[bytes | HistogramText], header: bytes) -> Iterator[bytes]:
    step = max(1, CHUNK_BYTES // len(_text_of(blocks[0]))) if blocks else 1
    for at in range(0, len(blocks), step):
        texts: Iterable[bytes] = map(_text_of, blocks[at : at + step])
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
