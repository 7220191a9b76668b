"""Render samples into an exposition, as text and as protobuf."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.config.model import Module, Target
from exporter.metrics import protobuf
from exporter.metrics.counters import Durations, TargetCounters
from exporter.metrics.exposition import Exposition
from exporter.metrics.samples import Values
from exporter.metrics.text_format import LabelSet, histogram, line
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
            encoded = [protobuf.gauge(own, base, value) for own, value in samples] if exposition.encodes else []
            exposition.put(name, owner, text, b"".join(encoded))


def put_counters(exposition: Exposition, block: TargetBlock) -> None:
    """Render the counters and histograms of a target."""
    base, owner, started = block.base, block.target.name, block.started[0]
    for name, samples in block.counters.samples().items():
        if exposition.has(name):
            text = "".join([line(name, own, base, value) for own, value in samples])
            encoded = [protobuf.counter(own, base, value, started) for own, value in samples] if exposition.encodes else []
            exposition.put(name, owner, text, b"".join(encoded))
    durations = block.counters.durations
    texts = [
        histogram(STEP_DURATIONS, (("step", step),), base, seen.bounds, counts=seen.counts, total=seen.total)
        for step, seen in durations.items()
    ]
    encoded = [_histogram(step, block, seen) for step, seen in durations.items()] if exposition.encodes else []
    exposition.put(STEP_DURATIONS, owner, "".join(texts), b"".join(encoded))


def _histogram(step: str, block: TargetBlock, seen: Durations) -> bytes:
    own, started = (("step", step),), block.started[1]
    return protobuf.histogram(
        own, block.base, seen.bounds, counts=seen.counts, total=seen.total, native=seen.native, started=started
    )
