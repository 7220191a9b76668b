"""The last probes and the last failures of one target, within a memory limit.

Reports are kept as bytes, about a tenth of the memory of their objects. Most probes of a target differ from the one before only in what
was measured: times and request ids. Then the measured values alone are packed, which costs a tenth of the processor time of a whole report.
"""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

from msgspec.structs import replace

from exporter.config.settings import Credential, Module, Target
from exporter.core.values import (
    CredentialKind,
    Facts,
    Fault,
    KeyFacts,
    Outcome,
    PeerCertificate,
    Phase,
    Readiness,
    Step,
    VaultHeaders,
)
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import ProbeReport, StepResult

LEVEL: Final = 1
MEMORY_LEVEL: Final = 4  # a larger match table takes longer to clear than packing a report takes
_UNPACKED: Final = 8  # reports that a page of a history reads again and again


def _all_but(kind: type[Any], *names: str) -> attrgetter[tuple[object, ...]]:
    """Return a getter of all fields of a struct, also of future ones, but those with these names."""
    return attrgetter(*(name for name in kind.__struct_fields__ if name not in names))


_of_report = _all_but(ProbeReport, "started_at", "duration", "steps", "key")
_of_step = _all_but(StepResult, "duration", "facts")
_MEASURED: Final = ("request_id", "correlation_id", "addresses", "local_address", "server_time")  # of facts, with the phases
_measured_of = attrgetter(*_MEASURED)
_of_facts = _all_but(Facts, *_MEASURED, "phases")


def pack(report: ProbeReport) -> bytes:
    """Return the report without its key."""
    packer = zlib.compressobj(LEVEL, memLevel=MEMORY_LEVEL, zdict=_COMMON)
    return packer.compress(pickle.dumps(replace(report, key=None), pickle.HIGHEST_PROTOCOL)) + packer.flush()


@lru_cache(maxsize=_UNPACKED)
def unpack(packed: bytes) -> ProbeReport:
    report = pickle.loads(zlib.decompressobj(zdict=_COMMON).decompress(packed))  # noqa: S301 - packed by this very process
    assert isinstance(report, ProbeReport)  # noqa: S101 - for the type checker
    return report


def differ_as_measured(one: ProbeReport, other: ProbeReport) -> bool:
    """Return whether two reports differ at most in their keys and in what `pack_measured` packs."""
    return (
        len(one.steps) == len(other.steps)
        and _of_report(one) == _of_report(other)
        and all(_of_step(step) == _of_step(same) for step, same in zip(one.steps, other.steps, strict=True))
        and all(_are_alike(step.facts, same.facts) for step, same in zip(one.steps, other.steps, strict=True))
    )


def pack_measured(report: ProbeReport) -> bytes:
    """Return the times, ids and addresses of a report."""
    values: list[object] = [report.started_at, report.duration]
    for result in report.steps:
        values.append(result.duration)
        if result.facts is not None:
            values += (*_measured_of(result.facts), *result.facts.phases.values())
    return pickle.dumps(values, pickle.HIGHEST_PROTOCOL)


def unpack_measured(packed: bytes, similar: ProbeReport) -> ProbeReport:
    """Return the report with these times, ids and addresses, and with the other facts of `similar`."""
    values = iter(pickle.loads(packed))  # noqa: S301 - packed by this very process
    started_at, duration = next(values), next(values)
    return replace(similar, started_at=started_at, duration=duration, steps=tuple(_step(each, values) for each in similar.steps))


def _are_alike(one: Facts | None, other: Facts | None) -> bool:
    if one is None or other is None:
        return one is other
    return _of_facts(one) == _of_facts(other) and tuple(one.phases) == tuple(other.phases)


def _step(similar: StepResult, values: Iterator[Any]) -> StepResult:
    duration = next(values)
    if similar.facts is None:
        return replace(similar, duration=duration)
    measured = dict(zip(_MEASURED, values, strict=False))
    phases = dict(zip(similar.facts.phases, values, strict=False))  # the values of later steps follow
    return replace(
        similar,
        duration=duration,
        facts=replace(similar.facts, **measured, phases=phases),
    )


def _typical_facts(detail: str) -> Facts:
    return Facts(
        fault=Fault.HTTP_STATUS,
        status=403,
        service_code="Forbidden",
        inner_code="ForbiddenByPolicy",
        request_id="00000000-0000-0000-0000-000000000000",
        detail=detail,
        phases=dict.fromkeys(Phase, 0.01),
        phase_reached=Phase.TRANSFER,
        server_time=1.8e9,
        endpoint=".vault.azure.net:443 login.microsoftonline.com:443",
        credential_kind=CredentialKind.CLIENT_SECRET,
        vault=VaultHeaders(region="westeurope", service_version="1.9.2000.1", connection="public"),
        certificate=PeerCertificate(not_after=1.8e9, issuer="CN=Microsoft Azure RSA TLS Issuing CA,O=Microsoft Corporation,C=US"),
    )


def _typical_report() -> ProbeReport:
    steps = tuple(
        StepResult(step=step, outcome=outcome, duration=0.01, code=3077, reason=Reason.FORBIDDEN, facts=_typical_facts(outcome))
        for step, outcome in zip(Step, (*Outcome, *Outcome), strict=False)
    )
    readiness = Readiness(ready=False, why="not_ready")
    return ProbeReport(target="", started_at=1.8e9, duration=0.1, steps=steps, readiness=readiness)


# Compression dictionary with the content of most reports, above all names of classes and fields.
_COMMON = pickle.dumps(_typical_report(), pickle.HIGHEST_PROTOCOL)

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
    """At most `limit` probes and `limit` failures. Iteration yields each entry once, newest first."""

    __slots__ = ("_context", "_failures", "_last", "_limit", "_packed", "_recent")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._recent = _Ring()
        self._failures = _Ring()
        self._context: ProbeContext | None = None
        self._last: ProbeReport | None = None  # the newest, which the record of the target holds anyway
        self._packed = b""  # its report, or one that differs as measured

    def add(self, report: ProbeReport, number: int, *, most_bytes: float, context: ProbeContext | None = None) -> HistoryEntry:
        """Add a probe and drop the oldest above `most_bytes`. `number` counts the probes of this process, from 1."""
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
