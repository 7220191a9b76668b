"""Render samples into an exposition, as text and as protobuf."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from exporter.config.model import Module, Target
from exporter.metrics import protobuf
from exporter.metrics.counters import TargetCounters
from exporter.metrics.exposition import Exposition
from exporter.metrics.samples import Values
from exporter.metrics.text_format import LabelSet, Sample, histogram, line
from exporter.state.records import TargetRecord

STEP_DURATIONS = "ekm_step_duration_seconds"


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


def base_of(target: Target) -> LabelSet:
    return LabelSet.of(("target", target.name), ("vault", target.vault))


def put_gauges(exposition: Exposition, owner: str, base: LabelSet, values: Values) -> None:
    """Render gauges and infos; a family that the exposition lacks is left out."""
    for name, samples in values.items():
        if exposition.has(name):
            text = "".join([line(name, own, base, value) for own, value in samples])
            exposition.put(name, owner, text, partial(_gauges, samples, base))


def put_counters(exposition: Exposition, block: TargetBlock) -> None:
    """Render the counters and histograms of a target."""
    base, owner = block.base, block.target.name
    for name, samples in block.counters.samples().items():
        if exposition.has(name):
            text = "".join([line(name, own, base, value) for own, value in samples])
            exposition.put(name, owner, text, partial(_counters, samples, block))
    texts = [
        histogram(STEP_DURATIONS, (("step", step),), base, seen.bounds, counts=seen.counts, total=seen.total)
        for step, seen in block.counters.durations.items()
    ]
    exposition.put(STEP_DURATIONS, owner, "".join(texts), partial(_histograms, block))


def _gauges(samples: Iterable[Sample], base: LabelSet) -> bytes:
    return b"".join([protobuf.gauge(own, base, value) for own, value in samples])


def _counters(samples: Iterable[Sample], block: TargetBlock) -> bytes:
    return b"".join([protobuf.counter(own, block.base, value, block.started[0]) for own, value in samples])


def _histograms(block: TargetBlock) -> bytes:
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
