"""The last probes and the last failures of one target, within a memory limit.

Reports are kept as bytes, about a tenth of the memory of their objects. Most probes of a target differ from the one before only in what
was measured: times and request ids. Then the measured values alone are packed, which costs a tenth of the processor time of a whole report.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

from msgspec import Struct, msgpack
from msgspec.structs import replace

from exporter.config.settings import Credential, Module, Target
from exporter.core.values import Facts, KeyFacts
from exporter.knowledge.report import ProbeReport

_LEVEL: Final = 1
_UNPACKED: Final = 8  # reports that a page of a history reads again and again
_MEASURED: Final = ("request_id", "correlation_id", "addresses", "local_address", "server_time")  # of the facts, with the phases
_measured_of = attrgetter(*_MEASURED)
_NOTHING: Final = Facts()
_WITHOUT: Final[dict[str, Any]] = dict(zip(_MEASURED, _measured_of(_NOTHING), strict=True))

_Measured = tuple[str | None, str | None, tuple[str, ...], str | None, float | None]
_encode = msgpack.Encoder().encode
_report_in = msgpack.Decoder(ProbeReport).decode
_measured_in = msgpack.Decoder(tuple[float, float, tuple[tuple[float, _Measured, tuple[float, ...]], ...]]).decode


def similar(report: ProbeReport) -> ProbeReport:
    """Return the report without its key and what was measured: most reports of a target are alike."""
    steps = [
        replace(
            step, duration=0.0, facts=step.facts and replace(step.facts, **_WITHOUT, phases=dict.fromkeys(step.facts.phases, 0))
        )
        for step in report.steps
    ]
    return replace(report, started_at=0.0, duration=0.0, steps=tuple(steps), key=None)


def measured(report: ProbeReport) -> bytes:
    """Return the times, ids and addresses of a report."""
    facts = [(step.duration, step.facts or _NOTHING) for step in report.steps]
    steps = [(duration, _measured_of(each), [*each.phases.values()]) for duration, each in facts]
    return _encode((report.started_at, report.duration, steps))


@lru_cache(maxsize=_UNPACKED)
def unpack(packed: bytes) -> ProbeReport:
    return _report_in(zlib.decompress(packed))


def _with_measured(facts: Facts, values: _Measured, phases: tuple[float, ...]) -> Facts:
    found: dict[str, Any] = dict(zip(_MEASURED, values, strict=True))
    return replace(facts, **found, phases=dict(zip(facts.phases, phases, strict=True)))


OVERHEAD: Final = 300  # bytes of an entry without what is packed, about the sum of sys.getsizeof


class ProbeContext(Struct, frozen=True, gc=False):
    """Target, module and credential of a probe, as they were when the probe started."""

    target: Target
    module: Module
    credential: Credential


class HistoryEntry(Struct, frozen=True, gc=False):
    """One stored probe. `id` is unique, also across restarts.

    `packed` is what is similar in most reports of the target. Entries share most `packed`, `key` and `context` objects.
    """

    id: str
    packed: bytes
    measured: bytes
    key: KeyFacts | None
    context: ProbeContext | None = None  # None if unknown

    @property
    def report(self) -> ProbeReport:
        report, (started_at, duration, found) = unpack(self.packed), _measured_in(self.measured)
        steps = [
            replace(step, duration=took, facts=step.facts and _with_measured(step.facts, values, phases))
            for step, (took, values, phases) in zip(report.steps, found, strict=True)
        ]
        return replace(report, started_at=started_at, duration=duration, steps=tuple(steps), key=self.key)

    def size_next_to(self, neighbour: HistoryEntry | None) -> int:
        """Return the size in bytes without what a neighbour has too."""
        shared = neighbour is not None and neighbour.packed is self.packed
        return OVERHEAD + len(self.measured) + (0 if shared else len(self.packed))


class History:
    """At most `limit` probes and `limit` failures. Iteration yields each entry once, newest first."""

    __slots__ = ("_context", "_failures", "_last", "_limit", "_packed", "_recent")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._recent = _Ring()
        self._failures = _Ring()
        self._context: ProbeContext | None = None
        self._last: ProbeReport | None = None  # the newest, which the record of the target holds anyway
        self._packed = b""  # what is similar in it

    def add(self, report: ProbeReport, number: int, *, most_bytes: float, context: ProbeContext | None = None) -> HistoryEntry:
        """Add a probe and drop the oldest above `most_bytes`. `number` counts the probes of this process, from 1."""
        if context != self._context:
            self._context = context  # reuse the object of older entries: a reload creates equal copies
        now = _encode(similar(report))  # as bytes, the order of the phases counts too, by which the measured values are read
        if self._last is None or _encode(similar(self._last)) != now:
            self._packed = zlib.compress(now, _LEVEL)
        self._last = report
        entry = HistoryEntry(f"{int(report.started_at)}-{number}", self._packed, measured(report), report.key, self._context)
        self._recent.add(entry)
        if not report.success and not report.discarded:
            self._failures.add(entry)
        for ring in (self._recent, self._failures):
            ring.trim(self._limit, most_bytes / 2)
        return entry

    @property
    def size(self) -> int:
        """Size in bytes; entries in both rings count twice."""
        return self._recent.size + self._failures.size

    def __iter__(self) -> Iterator[HistoryEntry]:
        yield from reversed(self._recent.entries)
        if not self._recent.entries:
            return
        shown = {entry.id for entry in self._recent.entries}
        yield from (entry for entry in reversed(self._failures.entries) if entry.id not in shown)

    def failures(self) -> Iterator[HistoryEntry]:
        """Yield the stored failed probes, newest first."""
        return reversed(self._failures.entries)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class _Ring:
    """Entries and their size. The newest entry is always kept."""

    __slots__ = ("entries", "size")

    def __init__(self) -> None:
        self.entries: list[HistoryEntry] = []  # an empty deque takes 760 bytes
        self.size = 0

    def add(self, entry: HistoryEntry) -> None:
        self.size += entry.size_next_to(self.entries[-1] if self.entries else None)
        self.entries.append(entry)

    def trim(self, most: int, most_bytes: float) -> None:
        while len(self.entries) > 1 and (len(self.entries) > most or self.size > most_bytes):
            oldest = self.entries.pop(0)
            self.size -= oldest.size_next_to(self.entries[0])
