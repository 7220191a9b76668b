"""A report as bytes, about a tenth of the memory of its objects.

Most probes of a target differ from the one before only in what was measured: times and request ids. Then the measured values
alone are packed, which costs a tenth of the processor time of a whole report.
"""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterator
from dataclasses import fields, replace
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

from exporter.core.faults import Fault
from exporter.core.model import (
    CredentialKind,
    Facts,
    Outcome,
    PeerCertificate,
    Phase,
    ProbeReport,
    Readiness,
    Step,
    StepResult,
    VaultHeaders,
)
from exporter.core.reasons import Reason

LEVEL: Final = 1
MEMORY_LEVEL: Final = 4  # a larger match table takes longer to clear than packing a report takes
_UNPACKED: Final = 8  # reports that a page of a history reads again and again


def _all_but(kind: type[Any], *names: str) -> attrgetter[tuple[object, ...]]:
    """Return a getter of all fields of a dataclass, also of future ones, but those with these names."""
    return attrgetter(*(field.name for field in fields(kind) if field.name not in names))


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
