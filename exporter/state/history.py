"""History of one target.

Its last probes and its last failures, within a memory limit.

Reports are compressed to about a tenth of the memory of their objects.
"""

from __future__ import annotations

import pickle
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from exporter.config.model import Credential, Module, Target
from exporter.core.faults import Fault, Reason
from exporter.core.model import (
    Facts,
    KeyFacts,
    Outcome,
    PeerCertificate,
    Phase,
    ProbeReport,
    Readiness,
    Step,
    StepResult,
    VaultHeaders,
)

OVERHEAD = 300  # bytes of an entry without its packed report, about the sum of sys.getsizeof
LEVEL = 1
MEMORY_LEVEL = 4  # a larger match table takes longer to clear than packing a report takes


@dataclass(frozen=True, slots=True)
class ProbeContext:
    """Target, module and credential of a probe, as they were when the probe started."""

    target: Target
    module: Module
    credential: Credential


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One stored probe. `id` is unique, also across restarts.

    Entries share most `key` and `context` objects, so these are not packed.
    """

    id: str
    packed: bytes
    key: KeyFacts | None
    context: ProbeContext | None = None  # None if unknown

    @property
    def report(self) -> ProbeReport:
        return replace(_unpack(self.packed), key=self.key)

    @property
    def size(self) -> int:
        return OVERHEAD + len(self.packed)


class History:
    """At most `limit` probes and `limit` failures.

    Iteration yields each entry once, newest first.
    """

    __slots__ = ("_context", "_failures", "_key", "_limit", "_recent")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._recent = _Ring()
        self._failures = _Ring()
        self._key: KeyFacts | None = None
        self._context: ProbeContext | None = None

    def add(self, report: ProbeReport, number: int, *, most_bytes: float, context: ProbeContext | None = None) -> HistoryEntry:
        """Add a probe and drop the oldest above `most_bytes`.

        `number` counts the probes of this process, from 1.
        """
        if report.key is not None and report.key != self._key:
            self._key = report.key
        key = None if report.key is None else self._key
        if context != self._context:
            self._context = context  # reuse the object of older entries: a reload creates equal copies
        entry = HistoryEntry(f"{int(report.started_at)}-{number}", _pack(replace(report, key=None)), key, self._context)
        self._recent.add(entry)
        if not report.success:
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

    def __len__(self) -> int:
        return sum(1 for _ in self)


class _Ring:
    """Entries and their size. The newest entry is always kept."""

    __slots__ = ("entries", "size")

    def __init__(self) -> None:
        self.entries: deque[HistoryEntry] = deque()
        self.size = 0

    def add(self, entry: HistoryEntry) -> None:
        self.entries.append(entry)
        self.size += entry.size

    def trim(self, most: int, most_bytes: float) -> None:
        while len(self.entries) > 1 and (len(self.entries) > most or self.size > most_bytes):
            self.size -= self.entries.popleft().size


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


def _pack(report: ProbeReport) -> bytes:
    packer = zlib.compressobj(LEVEL, memLevel=MEMORY_LEVEL, zdict=_COMMON)
    return packer.compress(pickle.dumps(report, pickle.HIGHEST_PROTOCOL)) + packer.flush()


def _unpack(packed: bytes) -> ProbeReport:
    report = pickle.loads(zlib.decompressobj(zdict=_COMMON).decompress(packed))  # noqa: S301 - packed by this very process
    assert isinstance(report, ProbeReport)  # noqa: S101 - for the type checker
    return report
