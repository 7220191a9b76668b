"""Render samples into an exposition, as text and as protobuf."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from exporter.config.settings import Module, Target
from exporter.core.causes import Cause, Failed
from exporter.metrics import protobuf
from exporter.metrics.counters import SAMPLES, TargetCounters
from exporter.metrics.exposition import Exposition
from exporter.metrics.samples import ProbeOutcome, RecordFacts, Values
from exporter.metrics.text_format import LabelSet, histogram, lines
from exporter.state.records import TargetRecord

STEP_DURATIONS = "ekm_step_duration_seconds"
_NOTHING: Final = (None,) * len(SAMPLES)


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
    failed: Failed | None = None  # the present failure
    region: str | None = None
    action: str = ""  # as rendered
    cause: Cause | None = None  # as rendered

    def render_all(self) -> None:
        """Let the next report render every family, also those that did not change."""
        self.sums, self.outcome, self.facts = (), None, None


def base_of(target: Target) -> LabelSet:
    return LabelSet.of(("target", target.name), ("vault", target.vault))


def put_gauges(exposition: Exposition, owner: str, base: LabelSet, values: Values) -> None:
    """Render gauges and infos; a family that the exposition lacks is left out."""
    for name, samples in values.items():
        if exposition.has(name) and exposition.put(name, owner, lines(name, samples, base)):
            exposition.put_encoded(name, owner, b"".join([protobuf.gauge(own, base, value) for own, value in samples]))


def put_counters(exposition: Exposition, block: TargetBlock) -> None:
    """Render the counters of a target that grew since the last time, and its histograms.

    Counters only grow, so a family with the same sum has the same samples.
    """
    sums = block.counters.sums()
    for name, counted, rendered in zip(SAMPLES, sums, block.sums or _NOTHING, strict=True):
        if counted != rendered and exposition.has(name):
            _put_counter(exposition, block, name)
    block.sums = sums
    _put_durations(exposition, block)


def _put_counter(exposition: Exposition, block: TargetBlock, name: str) -> None:
    samples = SAMPLES[name](block.counters)
    if exposition.put(name, block.target.name, lines(name, samples, block.base)):
        encoded = [protobuf.counter(own, block.base, value, block.started[0]) for own, value in samples]
        exposition.put_encoded(name, block.target.name, b"".join(encoded))


def _put_durations(exposition: Exposition, block: TargetBlock) -> None:
    texts = [
        histogram(STEP_DURATIONS, (("step", step),), block.base, seen.bounds, counts=seen.counts, total=seen.total)
        for step, seen in block.counters.durations.items()
    ]
    if exposition.put(STEP_DURATIONS, block.target.name, "".join(texts)):
        exposition.put_encoded(STEP_DURATIONS, block.target.name, _encoded_durations(block))


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
