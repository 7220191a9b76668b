"""The last probes and the last failures of one target, within a memory limit.

Reports are packed (see `packing`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from exporter.config.settings import Credential, Module, Target
from exporter.core.model import KeyFacts, ProbeReport
from exporter.state.packing import differ_as_measured, pack, pack_measured, unpack, unpack_measured

OVERHEAD = 300  # bytes of an entry without what is packed, about the sum of sys.getsizeof


@dataclass(frozen=True, slots=True)
class ProbeContext:
    """Target, module and credential of a probe, as they were when the probe started."""

    target: Target
    module: Module
    credential: Credential


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One stored probe. `id` is unique, also across restarts.

    `packed` is its report, or one that differs from it only in what `measured` holds. Entries share most `packed`, `key` and
    `context` objects.
    """

    id: str
    packed: bytes
    measured: bytes | None  # None: `packed` is its own report
    key: KeyFacts | None
    context: ProbeContext | None = None  # None if unknown

    @property
    def report(self) -> ProbeReport:
        report = unpack(self.packed)
        return replace(report if self.measured is None else unpack_measured(self.measured, report), key=self.key)

    def size_next_to(self, neighbour: HistoryEntry | None) -> int:
        """Return the size in bytes without what a neighbour has too."""
        shared = neighbour is not None and neighbour.packed is self.packed
        return OVERHEAD + len(self.measured or b"") + (0 if shared else len(self.packed))


class History:
    """At most `limit` probes and `limit` failures.

    Iteration yields each entry once, newest first.
    """

    __slots__ = ("_context", "_failures", "_last", "_limit", "_packed", "_recent")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._recent = _Ring()
        self._failures = _Ring()
        self._context: ProbeContext | None = None
        self._last: ProbeReport | None = None  # the newest, which the record of the target holds anyway
        self._packed = b""  # its report, or one that differs as measured

    def add(self, report: ProbeReport, number: int, *, most_bytes: float, context: ProbeContext | None = None) -> HistoryEntry:
        """Add a probe and drop the oldest above `most_bytes`.

        `number` counts the probes of this process, from 1.
        """
        if context != self._context:
            self._context = context  # reuse the object of older entries: a reload creates equal copies
        measured = self._pack(report)
        entry = HistoryEntry(f"{int(report.started_at)}-{number}", self._packed, measured, report.key, self._context)
        self._recent.add(entry)
        if not report.success and not report.discarded:
            self._failures.add(entry)
        for ring in (self._recent, self._failures):
            ring.trim(self._limit, most_bytes / 2)
        return entry

    def _pack(self, report: ProbeReport) -> bytes | None:
        """Pack what differs from the last report: all of it, or what was measured, which is returned."""
        last, self._last = self._last, report
        if last is not None and differ_as_measured(last, report):
            return pack_measured(report)
        self._packed = pack(report)
        return None

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
