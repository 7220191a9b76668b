"""Targets, reports and scrapes for the tests of the metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from prometheus_client.parser import text_string_to_metric_families

from exporter.config.settings import Module
from exporter.core.values import Facts, Fault, Outcome, PeerCertificate, Phase, Readiness, Step, VaultHeaders
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import ProbeReport, StepResult
from exporter.knowledge.verdict import AuxiliaryResult
from exporter.metrics.recorder import Recorder
from exporter.metrics.sql_server import readiness_samples, sql_server_samples
from exporter.state.store import StateStore
from tests.support import factories

VERSION = "cgacf4f763ar42ffb0a1gca546aygd87"
CONNECTED = dict.fromkeys(Phase, 0.01)
REUSED = {Phase.WAIT: 0.02, Phase.TRANSFER: 0.001}
MODULE = Module(name="default")
START = 1_800_000_000.0


def a_target(name="t", **changes):
    written = {"key_name": "ContosoRSAKey0", "key_version": VERSION, "credential": "sql-prod"}
    return factories.a_target(name, **(written | changes))


def a_credential(name="sql-prod", **changes):
    return factories.a_credential(name, **changes)


def a_config(*targets, credentials=None, **options):
    return factories.a_config(*targets, credentials=(a_credential(),) if credentials is None else credentials, **options)


def a_recorder(*targets, config=None, **options):
    config = config or a_config(*targets)
    recorder = Recorder(config, version="1.2.3", mode="scheduler", **options)
    recorder.records = StateStore(history_limit=1)
    for target in config.targets.values():
        add(recorder, target, config.modules[target.module])
    return recorder


def show_reading(recorder, reading, *differences):
    """Show the series of a SQL Server."""
    recorder.sql_servers.render(reading, sql_server_samples(reading, differences))()


def show_readiness(recorder, reading, *readiness, now=START):
    """Show the series of the restart readiness of a SQL Server."""
    recorder.sql_servers.render(reading, readiness_samples(readiness, now))()


def add(recorder, target, module=MODULE, *, now=START, **known):
    """Add a target, or change it as a reload does. `known` are the facts of its record before that."""
    record = recorder.records.expect(target)
    _know(record, known)
    recorder.add_target(target, module, record, now=now)


def probed(recorder, report, **known):
    """Add a report to the record and the metrics of its target. `known` are the facts of the record afterwards."""
    record = recorder.records.get(report.target)
    record.add_report(report)
    _know(record, known)
    recorder.record(report, record)


def record_auxiliary(recorder, name="t", **known):
    """Change the record of a target and update the metrics of its auxiliary probes."""
    record = recorder.records.get(name)
    _know(record, known)
    recorder.auxiliary_recorded(name, record)


def _know(record, known):
    for name, value in known.items():
        setattr(record, name, value)


def a_key(**changes):
    return factories.a_key(**({"name": "ContosoRSAKey0", "version": VERSION, "modulus": b"", "exponent": b""} | changes))


def ok(step, *, duration=0.03, shared=False, **facts):
    phases = CONNECTED if step in (Step.CHALLENGE, Step.TOKEN) else REUSED
    return StepResult(
        step=step,
        outcome=Outcome.OK,
        duration=duration,
        shared=shared,
        facts=Facts(**({"status": 200, "phases": phases, "phase_reached": Phase.TRANSFER} | facts)),
    )


def failed(step, code, reason, *, fault=Fault.HTTP_STATUS, duration=0.03, shared=False, **facts):
    return StepResult(
        step=step,
        outcome=Outcome.FAILED,
        duration=duration,
        code=code,
        reason=reason,
        shared=shared,
        facts=Facts(**({"fault": fault, "phases": REUSED, "phase_reached": Phase.WAIT} | facts)),
    )


def throttled(step=Step.GET_KEY, code=3011, **facts):
    return failed(step, code, Reason.THROTTLED, status=429, **facts)


def refused(code=3303, reason=Reason.SECRET_EXPIRED, **facts):
    return failed(Step.TOKEN, code, reason, **({"status": 401} | facts))


def silent(step=Step.GET_KEY):
    return failed(step, 3008, Reason.READ_TIMEOUT, fault=Fault.READ_TIMEOUT)


def a_report(
    target="t", *, steps: Sequence[StepResult] = (), ready=None, started_at=START, duration=0.2, discarded=False, **changes
):
    """A probe with these results. Other steps succeed, or are skipped after a failure other than that of wrap."""
    given = {result.step: result for result in steps}
    made: list[StepResult] = []
    stopped = False
    for step in Step:
        result = given.get(step) or ok(step)
        if stopped:
            result = StepResult(step=step, outcome=Outcome.SKIPPED)
        stopped = stopped or (result.outcome is Outcome.FAILED and step is not Step.WRAP_KEY)
        made.append(result)
    return ProbeReport(
        target=target,
        started_at=started_at,
        duration=duration,
        steps=tuple(made),
        readiness=factories.DISCARDED if discarded else Readiness(ready=ready, why="ready" if ready else "not_tested"),
        **changes,
    )


def an_auxiliary_result(what, name, *, usable=True, at=START, **changes):
    """The result of an auxiliary probe of target `t`."""
    written = {"vault": "contoso.vault.azure.net", "credential": "sql-prod", "steps": ()}
    return AuxiliaryResult(kind=what, name=name, usable=usable, at=at, **(written | changes))


def by_identity(*made):
    """The results as a record stores them, one for each identity."""
    return {result.identity: result for result in made}


def headers(region="westeurope", service_version="1.9", connection="private"):
    return VaultHeaders(region=region, service_version=service_version, connection=connection)


def certificate(issuer="CN=DigiCert", not_after=START + 86400):
    return PeerCertificate(not_after=not_after, issuer=issuer)


async def _whole(recorder, openmetrics):
    return b"".join([piece async for piece in recorder.scrape(openmetrics=openmetrics)])


def scrape(recorder, *, openmetrics=False) -> bytes:
    return asyncio.run(_whole(recorder, openmetrics))


def series(text: bytes, name: str | None = None) -> dict[tuple[tuple[str, str], ...] | tuple, float]:
    """A scrape as {(name, (label, value), ...): value}; for one name, its series as {own labels: value}."""
    found = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            if name is None:
                found[(sample.name, *labels)] = sample.value
            elif sample.name == name:
                found[tuple(value for label, value in labels if label not in ("target", "vault"))] = sample.value
    return found


def shown(recorder, name):
    """The series of one name by the values of their own labels, in the order of the label names."""
    return series(scrape(recorder), name)


def names_in(text: bytes) -> set[str]:
    return {key[0] for key in series(text)}


def lines_of(text: bytes, *parts: str) -> Iterable[str]:
    return [line for line in text.decode().splitlines() if all(part in line for part in parts) and not line.startswith("#")]
