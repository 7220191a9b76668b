"""Render samples as text, and as protobuf if it is scraped."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from exporter.config.settings import Module, Target
from exporter.core.causes import Cause, Failed
from exporter.metrics import protobuf
from exporter.metrics.auxiliary_samples import AuxiliaryFacts
from exporter.metrics.counters import SAMPLES, TargetCounters
from exporter.metrics.histogram_text import Counted, HistogramText, histograms
from exporter.metrics.samples import ProbeOutcome, RecordFacts, Values
from exporter.metrics.text_format import Labels, LabelSet, encode, lines
from exporter.state.records import TargetRecord

STEP_DURATIONS = "ekm_step_duration_seconds"
_NOTHING: Final = (None,) * len(SAMPLES)


class OwnerValues(NamedTuple):
    """The samples of one owner by family, and the labels that they share."""

    owner: str
    base: LabelSet
    values: Values


# A family, an owner, its lines (none removes its series), and the same as protobuf (empty unless it is scraped).
Rendered = tuple[str, str, bytes | HistogramText, bytes]


@dataclass(slots=True)
class TargetBlock:
    """The target whose series are rendered, its record, its counters, and when they started as protobuf fields."""

    target: Target
    module: Module
    base: LabelSet
    record: TargetRecord
    counters: TargetCounters
    started: tuple[bytes, bytes]
    tenant_shown: str | None = None
    sums: tuple[int, ...] = ()  # of the counters, as rendered; empty: none is
    outcome: ProbeOutcome | None = None  # what `outcome_samples` were rendered from
    facts: RecordFacts | None = None  # what `fact_samples` were rendered from
    auxiliary: AuxiliaryFacts | None = None  # what `auxiliary_samples` were rendered from
    maintenance: bool | None = None  # as rendered
    failed: Failed | None = None  # the present failure
    region: str | None = None
    action: str = ""  # as rendered
    cause: Cause | None = None  # as rendered

    def render_all(self) -> None:
        """Let the next report render every family, also those that did not change."""
        self.sums, self.outcome, self.facts, self.auxiliary = (), None, None, None

    def owner_values(self, values: Values) -> OwnerValues:
        """Return samples of this target as those of an owner."""
        return OwnerValues(self.target.name, self.base, values)


def base_of(target: Target) -> LabelSet:
    return LabelSet.from_labels(("target", target.name), ("vault", target.vault))


def render_gauges(owners: Iterable[OwnerValues], names: Collection[str], *, encodes: bool) -> list[Rendered]:
    """Render gauges and infos of the families in `names`."""
    return [
        (name, owner, encode(lines(name, samples, base)) if samples else b"", protobuf.gauges(samples, base) if encodes else b"")
        for owner, base, values in owners
        for name, samples in values.items()
        if name in names
    ]


def render_counters(block: TargetBlock, names: Collection[str], *, encodes: bool) -> list[Rendered]:
    """Render the counters of a target that grew since the last time, and its histograms.

    Counters only grow, so a family with the same sum has the same samples.
    """
    sums, rendered = block.counters.sums(), block.sums or _NOTHING
    block.sums = sums
    grown = [name for name, now, before in zip(SAMPLES, sums, rendered, strict=True) if now != before and name in names]
    return [*(_counter(block, name, encodes=encodes) for name in grown), _durations(block, encodes=encodes)]


def _counter(block: TargetBlock, name: str, *, encodes: bool) -> Rendered:
    samples = SAMPLES[name](block.counters)
    encoded = protobuf.counters(samples, block.base, block.started[0]) if encodes else b""
    return name, block.target.name, encode(lines(name, samples, block.base)), encoded


def _durations(block: TargetBlock, *, encodes: bool) -> Rendered:
    durations = block.counters.durations.items()
    counted: dict[Labels, Counted] = {(("step", step),): (seen.counts, seen.total) for step, seen in durations}
    text = histograms(STEP_DURATIONS, block.base, block.counters.bounds, counted)
    return STEP_DURATIONS, block.target.name, text, _encoded_durations(block) if encodes else b""


def _encoded_durations(block: TargetBlock) -> bytes:
    return b"".join(
        protobuf.histogram(
            (("step", step),),
            block.base,
            seen.bounds,
            counts=seen.counts,
            total=seen.total,
            native=seen.native,
            started=block.started[1],
        )
        for step, seen in block.counters.durations.items()
    )
