"""The flight recorder of one target: its last probes and, kept longer, its last failures, within a number of bytes.

For: adding reports, each under an id that fits in an address.
Not for: counters and last known values (see `records`), files (see `files`), showing anything.

Reports are kept packed, in about a tenth of the memory of their objects: thousands of targets have long histories.
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

OVERHEAD = 300  # bytes of an entry beside its packed report: about what sys.getsizeof adds up to
LEVEL = 1
MEMORY_LEVEL = 4  # a larger table of matches takes longer to clear than a report takes to pack


@dataclass(frozen=True, slots=True)
class ProbeContext:
    """What a probe was told to ask, and as whom; a reload may have changed it since."""

    target: Target
    module: Module
    credential: Credential


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One remembered probe. `id` is unique in this process and not met again after a restart.

    `key` and `asked` are mostly the same objects in all entries, so they are not packed.
    """

    id: str
    packed: bytes
    key: KeyFacts | None
    asked: ProbeContext | None = None  # None where it was not told

    @property
    def report(self) -> ProbeReport:
        return replace(_unpack(self.packed), key=self.key)

    @property
    def size(self) -> int:
        return OVERHEAD + len(self.packed)


class History:
    """At most `limit` probes and `limit` failures. Iterating gives the entries, each once, the newest first."""

    __slots__ = ("_asked", "_failures", "_key", "_limit", "_recent")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._recent = _Ring()
        self._failures = _Ring()
        self._key: KeyFacts | None = None
        self._asked: ProbeContext | None = None

    def add(self, report: ProbeReport, number: int, *, most_bytes: float, asked: ProbeContext | None = None) -> HistoryEntry:
        """Remember one more probe; `number` is the how-manieth of this process. The oldest go until `most_bytes` suffice."""
        if report.key is not None and report.key != self._key:
            self._key = report.key
        key = None if report.key is None else self._key
        if asked != self._asked:
            self._asked = asked  # else the one that older entries have: a reload makes all objects anew
        entry = HistoryEntry(f"{int(report.started_at)}-{number}", _pack(replace(report, key=None)), key, self._asked)
        self._recent.add(entry)
        if not report.success:
            self._failures.add(entry)
        for ring in (self._recent, self._failures):
            ring.trim(self._limit, most_bytes / 2)
        return entry

    @property
    def size(self) -> int:
        """Bytes, counting what stands in both rings twice."""
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
    """Entries and their size. The newest always stays."""

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


# What nearly every packed report holds (names of classes and fields, above all), so that none has to carry it.
_COMMON = pickle.dumps(_typical_report(), pickle.HIGHEST_PROTOCOL)


def _pack(report: ProbeReport) -> bytes:
    packer = zlib.compressobj(LEVEL, memLevel=MEMORY_LEVEL, zdict=_COMMON)
    return packer.compress(pickle.dumps(report, pickle.HIGHEST_PROTOCOL)) + packer.flush()


def _unpack(packed: bytes) -> ProbeReport:
    report = pickle.loads(zlib.decompressobj(zdict=_COMMON).decompress(packed))  # noqa: S301 - packed by this very process
    assert isinstance(report, ProbeReport)  # noqa: S101 - for the type checker
    return report
