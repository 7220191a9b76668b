"""Two hours of a fleet in the exporter's own recorder, minute by minute, as a file that Prometheus can import.

The queries and pictures of the dashboards need data. There are two histories: one without a failure, and one with ten different
failures of ten targets.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from exporter.config.settings import Retained, Settings
from exporter.core.values import Fault, Generation, Phase, Step, Vantage
from exporter.knowledge.expiry import Source
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import StepResult
from exporter.knowledge.verdict import AuxiliaryKind
from exporter.probing.schedule import Skip
from tests.support.metric_factories import (
    a_config,
    a_credential,
    a_key,
    a_recorder,
    a_report,
    a_target,
    an_auxiliary_result,
    by_identity,
    certificate,
    failed,
    headers,
    ok,
    probed,
    refused,
    scrape,
    throttled,
)
from tests.support.values import replace
from tests.system.dashboards.recorded_rules import alert_samples

MINUTES = 120
HEALTHY_ENDS = datetime(2026, 11, 24, 8, tzinfo=UTC).timestamp()
TROUBLED_ENDS = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()
DAY = 86400.0
JOB = "ekm"
READER = "central:10377"  # the exporter that reads the SQL Servers
FOREIGN_PROCESS = {
    "process_cpu_seconds_total": 9e9,
    "process_max_fds": 9,
    "process_open_fds": 9,
    "process_resident_memory_bytes": 9e9,
    "process_start_time_seconds": 9,
}
OLD_VERSION, LOST_VERSION = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"


@dataclass(frozen=True)
class Failure:
    """A failure from one minute to another."""

    since: int
    until: int
    step: Callable[[], StepResult]


def _forbidden(code: int = 3077, reason: Reason = Reason.FORBIDDEN_POLICY) -> Callable[[], StepResult]:
    return lambda: failed(Step.UNWRAP_KEY, code, reason, status=403, phase_reached=Phase.TRANSFER)


def _too_many(code: int = 3011) -> Callable[[], StepResult]:
    return lambda: throttled(Step.GET_KEY, code, retry_after_seconds=5.0, phase_reached=Phase.TRANSFER)


def _firewall_refuses() -> StepResult:
    return failed(Step.GET_KEY, 3077, Reason.FORBIDDEN_FIREWALL, status=403, phase_reached=Phase.TRANSFER)


def _wrap_refused() -> StepResult:
    """The verdict stays ready, because databases open by unwrapping."""
    return failed(Step.WRAP_KEY, 3077, Reason.FORBIDDEN_RBAC, status=403, phase_reached=Phase.TRANSFER)


def _gone() -> StepResult:
    return failed(Step.CHALLENGE, 3900, Reason.DNS_NOT_FOUND, fault=Fault.DNS_NOT_FOUND)


def _deleted() -> StepResult:
    return failed(Step.GET_KEY, 3076, Reason.KEY_SOFT_DELETED, status=404, phase_reached=Phase.TRANSFER)


@dataclass(frozen=True)
class TargetHistory:
    """One target and its failures.

    `days` until its key expires; `moves` is the minute in which its region changes. `centrally` are the failures of a central exporter,
    if they differ.
    """

    name: str
    team: str
    region: str
    servers: tuple[tuple[str, str, str], ...] = ()
    failures: tuple[Failure, ...] = ()
    centrally: tuple[Failure, ...] | None = None
    slow: float = 0.03
    days: float | None = None
    moves: int | None = None
    pinned: bool = True
    more: dict = field(default_factory=dict)

    @property
    def vault(self) -> str:
        return f"contoso-{self.name.split('-')[0]}.vault.azure.net"


_WAVES = tuple(Failure(start, start + 4, _too_many()) for start in range(20, MINUTES, 16))
FLEET = (
    TargetHistory("payroll-runs", "hr", "westeurope", (("SQLPAY01", "n1", "AG7"), ("SQLPAY01", "n2", "AG7")),
         (Failure(83, MINUTES, lambda: refused(3303, Reason.SECRET_EXPIRED, phase_reached=Phase.TRANSFER)),), more={"credential": "sql-payroll"}),
    TargetHistory("billing-invoices", "finance", "northeurope", (("SQLBIL01", "b1", "AG2"), ("SQLBIL02", "b2", "AG2")),
         (Failure(104, MINUTES, _wrap_refused),), centrally=(Failure(104, MINUTES, _forbidden()),)),
    TargetHistory("warehouse-stock", "logistics", "westeurope", (("SQLWHS01", "w1", ""),), _WAVES, slow=0.09),
    TargetHistory("archive-2019", "dba", "westeurope", (("SQLARC01", "a1", ""),), (Failure(40, 62, _gone),)),
    TargetHistory("crm-contacts", "sales", "northeurope", (("SQLCRM01", "c1", "AG4"),), slow=1.3, moves=70),
    TargetHistory("hr-people", "hr", "westeurope", (("SQLHR01", "h1", ""),), pinned=False),
    TargetHistory("orders-core", "sales", "westeurope", (("SQLORD01", "o1", "AG1"), ("SQLORD02", "o2", "AG1")), days=9,
         centrally=(Failure(96, MINUTES, _firewall_refuses),),
         more={"next_credential": "sql-prod-2027", "recovery_vault": "contoso-dr.vault.azure.net", "backup_on": date(2026, 3, 1),
               "retained_versions": tuple(Retained(key_name="OrdersKey", key_version=version, vault="contoso-orders.vault.azure.net",
                                          credential="sql-prod") for version in (OLD_VERSION, LOST_VERSION))}),
    TargetHistory("ledger-books", "finance", "swedencentral", (("SQLLED01", "l1", ""),), (Failure(50, 52, _too_many(3109)),), days=400,
         more={"generation": Generation.CURRENT}),
    TargetHistory("legal-hold", "legal", "westeurope", (), (Failure(112, MINUTES, _deleted),)),
    TargetHistory("web-shop", "sales", "swedencentral", (("SQLWEB01", "s1", "AG9"), ("SQLWEB02", "s2", "AG9")),
         (Failure(100, MINUTES, _wrap_refused),)),
)  # fmt: skip
# Targets that the second exporter, on another host, probes too.
SEEN_TWICE = ("payroll-runs", "billing-invoices", "orders-core")
DATES = {"sql-prod": date(2027, 3, 1), "sql-payroll": date(2026, 11, 24), "sql-prod-2027": None}


def fleet(*, healthy: bool) -> tuple[TargetHistory, ...]:
    """Return the fleet of a good or a bad day."""
    if not healthy:
        return FLEET
    return tuple(replace(history, failures=(), centrally=None, slow=0.03, days=400, moves=None, pinned=True) for history in FLEET)


def _target(history: TargetHistory, minute_interval: float = 60.0):
    more = {"labels": {"team": history.team, "env": "prod"}, "interval": minute_interval, **history.more}
    servers = tuple({"sql_instance": name, "host": host, "ag": ag} for name, host, ag in history.servers)
    name = f"{history.name.split('-')[0].capitalize()}Key"
    version = {} if history.pinned else {"key_version": None}
    return a_target(
        history.name,
        vault=history.vault,
        key_name=name,
        instances=servers,
        thumbprint=thumbprint(history.name),
        **(version | more),
    )


def thumbprint(name: str) -> str:
    """Return a thumbprint of its own for each name."""
    return "0x" + hashlib.sha256(name.encode()).hexdigest()[:40].upper()


class Exporter:
    """One exporter that records its targets."""

    def __init__(
        self, instance: str, histories: tuple[TargetHistory, ...], ends: float, vantage: Vantage, *, healthy: bool
    ) -> None:
        self.instance, self.histories, self.vantage, self.healthy = instance, histories, vantage, healthy
        self.begins = ends - MINUTES * 60
        self.dice = random.Random(f"{instance} {ends}")  # noqa: S311 - the same history each time
        self.targets = {history.name: _target(history) for history in histories}
        expires = {name: date(2028, 1, 1) if healthy else day for name, day in DATES.items()}
        credentials = tuple(a_credential(name, expires_on=day) for name, day in expires.items())
        config = a_config(*self.targets.values(), credentials=credentials, settings=Settings(vantage=vantage))
        self.recorder = a_recorder(config=config)
        self.recorder.reloaded(successful=True, at=self.begins)
        if not healthy:
            self.recorder.reloaded(successful=False, at=self.begins)
            self.recorder.credential_expiry_found("sql-payroll", Source.GRAPH, self.begins + 83 * 60, self.begins)
        self.recorder.ready(ready=True)
        self.recorder.watch_event_loop(lambda: self.dice.uniform(0.001, 0.02))
        self.recorder.watch_state(lambda: True)

    def record(self, minute: int) -> None:
        """Record one minute of every target."""
        at = self.begins + minute * 60
        for place, history in enumerate(self.histories):
            self._probe(history, minute, at + place)
        recorder, probes = self.recorder, len(self.histories)
        recorder.requested("vault", 4 * probes)
        recorder.requested("entra", probes)
        for _ in range(probes):
            recorder.schedule_lag(self.dice.uniform(0.001, 0.02))
        if not self.healthy and minute % 16 == 6:
            recorder.skipped(Skip.BACKOFF)

    def _probe(self, history: TargetHistory, minute: int, at: float) -> None:
        central = self.vantage is Vantage.CENTRAL and history.centrally is not None
        failures = history.centrally if central else history.failures
        failure = next((each for each in failures if each.since <= minute < each.until), None)
        steps = [*self._steps(history, minute, at), *([] if failure is None else [failure.step()])]
        target, record = self.targets[history.name], self.recorder.records.get(history.name)
        failing = None if failure is None else failure.step().step
        read, opens = failing in (None, Step.WRAP_KEY, Step.UNWRAP_KEY), failing in (None, Step.WRAP_KEY)
        key = a_key(name=target.key_name, expires=None if history.days is None else TROUBLED_ENDS + history.days * DAY)
        report = a_report(
            history.name,
            steps=steps,
            ready=opens if history.pinned else None,
            started_at=at,
            duration=sum(step.duration for step in steps),
            key=key if read else None,
            discarded=not self.healthy and minute == 30,
        )
        deleted = failure is not None and steps[-1].reason is Reason.KEY_SOFT_DELETED
        rotated = history.name == "orders-core" and not self.healthy
        self._add_auxiliary(target, record, at)
        probed(
            self.recorder,
            report,
            next_probe_at=at + 60,
            purge_at=TROUBLED_ENDS + 80 * DAY if deleted else None,
            newest_version=OLD_VERSION if rotated else target.key_version,
        )

    def _steps(self, history: TargetHistory, minute: int, at: float) -> list[StepResult]:
        region = "northeurope" if history.moves is None or minute >= history.moves else "westeurope"
        region = history.region if history.moves is None else region
        shown = {
            "endpoint": f"{history.vault}:443",
            "certificate": certificate(not_after=TROUBLED_ENDS + 60 * DAY),
            "server_time": at,
            "vault": headers(region),
        }
        results = []
        for step in Step:
            seconds = history.slow * self.dice.uniform(0.6, 1.6)
            connects = step in (Step.CHALLENGE, Step.TOKEN)
            shares = (0.1, 0.2, 0.3, 0.35, 0.05) if connects else (0.0, 0.0, 0.0, 0.95, 0.05)
            phases = {phase: seconds * share for phase, share in zip(Phase, shares, strict=True) if share}
            facts = shown if step is Step.CHALLENGE else {}
            results.append(ok(step, duration=seconds, phases=phases, phase_reached=Phase.TRANSFER, **facts))
        return results

    def _add_auxiliary(self, target, record, at: float) -> None:
        staged, recovery, results = target.next_credential, target.recovery_vault, []
        seen = {"at": at, "usable": self.healthy}
        if staged:
            results.append(an_auxiliary_result(AuxiliaryKind.NEXT, staged, vault=target.vault, credential=staged, **seen))
        for old in target.retained_versions:
            kept = seen | {"usable": self.healthy or old.key_version == OLD_VERSION}
            name = f"{old.key_name}/{old.key_version}"
            results.append(an_auxiliary_result(AuxiliaryKind.RETAINED, name, vault=old.vault, **kept))
        if recovery:
            record.proof_at = at if self.healthy else TROUBLED_ENDS - 3 * DAY
            results.append(an_auxiliary_result(AuxiliaryKind.RECOVERY, recovery, vault=recovery, **seen))
        record.auxiliary = by_identity(*results)


_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")


def _stamped(text: str, exporter: Exporter, at: float, seen: set[str]) -> Iterator[str]:
    """Yield a scrape as Prometheus stores it: with job, instance and a time; metadata of a family only once."""
    for line in text.splitlines():
        if line.startswith("#"):
            if line != "# EOF" and line not in seen:
                seen.add(line)
                yield line
            continue
        name, labels, value = _SAMPLE.fullmatch(line).groups()
        if name == "process_start_time_seconds":
            value = str(exporter.begins)
        elif name == "process_cpu_seconds_total":
            value = str(round((at - exporter.begins) * 0.004, 3))
        yield f'{name}{{job="{JOB}",instance="{exporter.instance}"{"," + labels if labels else ""}}} {value} {at:.0f}'


def recorded(ends: float, *, healthy: bool) -> Iterator[str]:
    """Yield one history, line by line."""
    histories = fleet(healthy=healthy)
    exporters = (
        Exporter("sqlhost1:10377", histories, ends, Vantage.SQL_HOST, healthy=healthy),
        Exporter(
            READER,
            tuple(history for history in histories if history.name in SEEN_TWICE),
            ends,
            Vantage.CENTRAL,
            healthy=healthy,
        ),
    )
    seen: set[str] = set()
    for minute in range(MINUTES):
        at = ends - (MINUTES - 1 - minute) * 60
        for exporter in exporters:
            exporter.record(minute)
            yield from _stamped(scrape(exporter.recorder, openmetrics=True).decode(), exporter, at, seen)
            yield f'up{{job="{JOB}",instance="{exporter.instance}"}} 1 {at:.0f}'
        yield from alert_samples(minute, at, JOB, healthy=healthy)
        if not healthy:
            yield from _lost(minute, at)
        yield from _foreign(at)
        yield from _of_sql_servers(histories, at, healthy=healthy)


MOVED = "crm-contacts"  # its databases use a version that no target pins


def _of_sql_servers(histories: tuple[TargetHistory, ...], at: float, *, healthy: bool) -> Iterator[str]:
    """Yield the encryption states of two databases on each node; on a bad day one moved, and a SQL Server is new."""
    used = [
        (server, thumbprint(one.name if healthy or one.name != MOVED else "moved")) for one in histories for server in one.servers
    ]
    new = [] if healthy else [(("SQLNEW01", "x1", ""), thumbprint("new"))]
    kinds = {thumbprint("new"): ("key_not_probed", ""), thumbprint("moved"): ("other_version", MOVED)}
    for (sql_instance, host, _), key in [*used, *new]:
        labels = f'job="{JOB}",instance="{READER}",sql_instance="{sql_instance}",host="{host}"'
        for database in ("sales", "hr"):
            own = f'database="{database}",encryptor_type="ASYMMETRIC KEY",encryptor_thumbprint="{key}"'
            yield f"mssql_ekm_database_encryption_state{{{labels},{own}}} 3 {at:.0f}"
        if key in kinds:
            own = 'kind="{}",target="{}"'.format(*kinds[key])
            yield f'mssql_ekm_difference_databases{{{labels},{own},thumbprint="{key}"}} 2 {at:.0f}'
        yield f'mssql_ekm_error_log_lines{{{labels},code="other"}} 0 {at:.0f}'
        fails = not healthy and sql_instance == "SQLPAY01"
        yield f"mssql_ekm_backups_failing_since_timestamp_seconds{{{labels}}} {(at - 900) * fails:.0f} {at:.0f}"
        if fails:
            own = 'about="backups",database="",shows="3303, last 10:03 UTC",action="Alter the credential."'
            yield f"mssql_ekm_first_action_info{{{labels},{own}}} 1 {at:.0f}"
        yield from _of_proofs(labels, at, healthy=healthy)
        if not healthy:
            yield f'mssql_ekm_error_log_lines{{{labels},code="3303"}} 4 {at:.0f}'
            yield f'mssql_ekm_error_log_last_timestamp_seconds{{{labels},code="3303"}} {at - 60:.0f} {at:.0f}'


def _of_proofs(labels: str, at: float, *, healthy: bool) -> Iterator[str]:
    """Yield what a SQL Server proved itself, with the room in its logs; SQLPAY01 has no credential on a bad day."""
    key = f'{labels},key_name="key_2C56",thumbprint="0x2C56"'
    yield f"mssql_ekm_read_success{{{labels}}} 1 {at:.0f}"
    for section in ("backups", "logs"):
        yield f'mssql_ekm_section_timestamp_seconds{{{labels},section="{section}"}} {at - 60:.0f} {at:.0f}'
    yield f"mssql_ekm_proof_due{{{key}}} 0 {at:.0f}"
    if not healthy and "SQLPAY01" in labels:
        yield f'mssql_ekm_key_without_credential{{{key},login="tde_login"}} 1 {at:.0f}'
    yield f'mssql_ekm_proven_timestamp_seconds{{{key},source="log_backup",database="sales"}} {at - 720:.0f} {at:.0f}'
    yield f'mssql_ekm_log_full_seconds{{{labels},database="sales"}} 13200 {at:.0f}'
    yield f'mssql_ekm_trace_flag_enabled{{{labels},flag="15025"}} 0 {at:.0f}'


LOST_AFTER = 3  # minutes


def _lost(minute: int, at: float) -> Iterator[str]:
    """Yield an exporter that is scraped for a few minutes and then no more."""
    labels = f'job="{JOB}",instance="sqlhost9:10377"'
    yield f"up{{{labels}}} {int(minute < LOST_AFTER)} {at:.0f}"
    if minute < LOST_AFTER:
        yield f'ekm_exporter_build_info{{{labels},version="0",python="3",mode="run"}} 1 {at:.0f}'


def _foreign(at: float) -> Iterator[str]:
    """Yield another program on the same Prometheus: two instances are down, and one is large."""
    for place in (1, 2):
        yield f'up{{job="node",instance="node{place}:9100"}} 0 {at:.0f}'
    own = 'job="node",instance="node3:9100"'
    yield f"up{{{own}}} 1 {at:.0f}"
    for name, value in FOREIGN_PROCESS.items():
        yield f"{name}{{{own}}} {value} {at:.0f}"


def everything() -> str:
    """Return both histories, as OpenMetrics with times."""
    return "\n".join([*recorded(HEALTHY_ENDS, healthy=True), *recorded(TROUBLED_ENDS, healthy=False), "# EOF", ""])
