"""What exporters and their targets expose, scrape by scrape.

The series follow from a literal list of probe outcomes, with restarts and lost scrapes. Causes and first actions are the exporter's own.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from exporter.core.values import Outcome as StepOutcome
from exporter.core.values import Readiness, Step
from exporter.knowledge import causes, incident
from exporter.knowledge.advice import action_line, owner_of_failure
from exporter.knowledge.causes import CauseFinder
from exporter.knowledge.codes import BY_CODE
from exporter.knowledge.names import Names
from exporter.knowledge.reason_row import Link
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import StepResult
from exporter.knowledge.verdict import CREDENTIAL_REFUSED, FailedProbe
from exporter.metrics.counters import COUNTED
from exporter.metrics.families import CODE

SIGN_IN = "login.microsoftonline.com"
CLIENT = "8d1c7a52-0f2e-4f5b-9c53-2f1f0f3b6a11"
RUNS = ("failures", "blocking_failures", "unready_probes")
STEPS = ("challenge", "token", "get_key", "wrap_key", "unwrap_key")
Sample = tuple[str, tuple[tuple[str, str], ...]]
Samples = Iterator[tuple[Sample, float]]


@dataclass(frozen=True)
class Failed:
    """A probe that failed. `ready` is its verdict; `failed` names further steps that failed with the same code."""

    step: str
    code: int
    reason: str
    ready: bool | None = False
    failed: tuple[str, ...] = ()
    unwraps: bool = False

    @property
    def blocks(self) -> bool:
        return {self.step, *self.failed} != {"wrap_key"}


OK = None
NOT_PROBED = "not probed"
DISCARDED = "discarded"  # the host is too slow
READ = "read only"  # a good probe without wrap and unwrap
Outcome = Failed | str | None


@dataclass(frozen=True, kw_only=True)
class Target:
    """One target of one exporter. `probes` come one each `interval` seconds; `more` are further series, value by value.

    A reload removes the target at `removed` (in seconds). `maintenance` is the start and the end of a window, `rolled` when a reload
    gives it another credential, and its name.
    """

    name: str = "billing"
    vault: str = "contoso.vault.azure.net"
    interval: int = 60
    probes: Sequence[Outcome] = ()
    credential: str = "sql-prod"
    labels: Mapping[str, str] = field(default_factory=lambda: {"team": "dba", "env": "prod"})
    info: Mapping[str, str] = field(default_factory=dict)
    instances: Sequence[Mapping[str, str]] = (
        {"sql_instance": "SQLPRD02"},
        {"sql_instance": "SQLPRD01", "host": "n1", "ag": "AG7"},
    )
    region: str | None = "westeurope"
    removed: float = math.inf
    maintenance: Sequence[int] = ()
    rolled: tuple[float, str] = (math.inf, "")
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def all_info(self) -> dict[str, str]:
        return {
            "key": "tde/0123", "credential": self.credential, "module": "default", "mode": "full", "cloud": "public",
            "tenant": "contoso", "generation": "classic", "pin": "config", "vantage": "central", **self.info, **self.labels,
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Exporter:
    """An exporter. `restarts` and `gaps` are spans of seconds without a successful scrape; `labels` are those of the scrape target.

    Counters begin at 0 after a restart. An exporter that is not `listed` is no scrape target in those spans. A restart of one
    without `state` forgets each region until a probe of it succeeds.
    """

    targets: Sequence[Target] = ()
    instance: str = "mon1:10377"
    job: str = "ekm"
    labels: Mapping[str, str] = field(default_factory=dict)
    restarts: Sequence[tuple[int, int]] = ()
    gaps: Sequence[tuple[int, int]] = ()
    more: Mapping[str, str] = field(default_factory=dict)
    listed: bool = True
    state: bool = True


class Record:
    """What an exporter exposes of one target, probe by probe since its start at `started`."""

    def __init__(self, target: Target, started: int, region: str | None, *, more: Mapping[str, str], scrape: int) -> None:
        self.target = target
        self.more, self.scrape = more, scrape  # of its exporter
        self.region = region
        self.info = target.all_info
        self.next = -(-started // target.interval)  # the number of the next probe
        self.last: Failed | str | None = NOT_PROBED
        self.runs = dict.fromkeys(RUNS, 0)
        self.least = incident.RUN
        self.since = 0
        self.discarded = 0
        self.is_lost = False  # the last result was discarded
        self.counters: dict[Sample, int] = {
            ("ekm_probes_total", ()): 0,
            ("ekm_probe_failures_total", ()): 0,
            ("ekm_unsteady_failures_total", ()): 0,
            **{("ekm_probe_verdicts_total", (("verdict", verdict),)): 0 for verdict in ("not_ready", "ready")},
            **{_error(step.value, _in(self.info, code)): 0 for code, steps in COUNTED for step in steps if step in self.steps},
        }
        self.gauges: dict[Sample, float] = {}

    @property
    def links(self) -> dict[Link, str]:
        target = self.target
        names = {
            Link.HOST: "", Link.ENTRA: SIGN_IN, Link.REGION: self.region, Link.CREDENTIAL: target.credential, Link.VAULT: target.vault,
            Link.KEY: f"{target.vault}/{self.info['key']}",
        }  # fmt: skip
        return {link: name for link, name in names.items() if name is not None}

    @property
    def steps(self) -> tuple[str, ...]:
        return STEPS[:3] if self.info["mode"] == "read_only" else STEPS

    def advance(self, now: int) -> bool:
        """Add the probes that ended by `now`, and return whether there are any."""
        begin, target = self.next, self.target
        if now >= target.rolled[0]:
            self.info |= {"credential": target.rolled[1]}
        while self.next < len(target.probes) and self.next * target.interval <= now:
            if (probe := target.probes[self.next]) == DISCARDED:
                self.discarded += 1
                self.is_lost = True
            elif probe != NOT_PROBED:
                self._add(probe, self.next * target.interval)
            self.next += 1
        return self._forget(now) or self.next > begin

    def _add(self, probe: Outcome, now: int) -> None:
        verdict = self._verdict(probe)
        failed = probe if isinstance(probe, Failed) else None
        self.region = self.region if failed else self.target.region
        self._count(failed, None if self._is_maintained(now) else verdict)
        bad = (failed is not None, failed is not None and failed.blocks, verdict is False)
        self.runs = {name: self.runs[name] + 1 if one else 0 for name, one in zip(self.runs, bad, strict=True)}
        self.since = now if self.runs["failures"] == 1 else self.since
        self.last, self.is_lost = probe, False
        self.gauges = dict(self._gauges(probe, verdict, now))
        self._count_unsteady(now)

    def _count_unsteady(self, now: int) -> None:
        """Count a failed probe that is not long enough for a page."""
        self.least = self._least()
        if self.run and self.runs["blocking_failures"] and not incident.is_long(self.run, self.least, deleted=self.deleted(now)):
            self.counters["ekm_unsteady_failures_total", ()] += 1

    def _least(self) -> int:
        """The failed probes in a row that page, by the time to the next probe."""
        later = range(self.next + 1, len(self.target.probes))
        gaps = (number - self.next for number in later if self.target.probes[number] != NOT_PROBED)
        code = self.last.code if isinstance(self.last, Failed) else None
        interval = self.target.interval
        return incident.least_run(code, interval=interval, gap=next((gap * interval for gap in gaps), None))

    @property
    def is_maintained(self) -> bool:
        return bool(self.gauges.get(("ekm_maintenance", ())))

    @property
    def run(self) -> int:
        """The failed probes in a row that count for a page."""
        if not isinstance(self.last, Failed) or self.is_maintained:
            return 0
        last, runs = self.last, incident.Runs(*self.runs.values())
        failure = FailedProbe(Step(last.step), last.code, Reason(last.reason))
        return incident.counted_run(failure, runs, Readiness(ready=last.ready, why=self.why))

    @property
    def why(self) -> str:
        """Why there is no verdict by design; empty if there may be one."""
        known = [name for name in self.more if name.startswith("ekm_credential_expiry_known")]
        managed = known and not any(f'"{self.target.credential}"' in name for name in known)
        if self.info["mode"] == "canary":
            return "canary"
        if self.info["pin"] != "config":
            return "version_not_pinned"
        return "identity_of_another_host" if managed and self.info["vantage"] == "central" else ""

    def deleted(self, now: int) -> bool:
        """Whether the purge date of the key is ahead."""
        written = self.target.more.get("ekm_key_scheduled_purge_timestamp_seconds")
        return written is not None and (value_at(written, now // self.scrape) or 0) > now

    def expired(self, now: int) -> bool:
        """Whether the known date of the credential has passed: one that was looked up, else a declared one."""
        of = f'ekm_credential_expiry_timestamp_seconds{{credential="{self.target.credential}",source='
        dates = {name: value_at(written, now // self.scrape) for name, written in self.more.items() if name.startswith(of)}
        found = {"declared" in name: date for name, date in dates.items() if date is not None}
        date = found.get(False, found.get(True))
        return date is not None and date <= now

    def page(self, now: int) -> incident.Page:
        """The page of the present failure."""
        assert isinstance(self.last, Failed)
        failure = FailedProbe(Step(self.last.step), self.last.code, Reason(self.last.reason))
        return incident.page_of(failure, expired=self.expired(now), deleted=self.deleted(now))

    def advice(self, now: int) -> Samples:
        if isinstance(self.last, Failed):
            failed, target = self.last, self.target
            labels = (
                ("action", _action(failed, target.name, target.vault, self.info["key"])),
                ("meaning", Reason(failed.reason).row.meaning_at(Step(failed.step))),
                ("owner", _owner(failed)),
                ("page", self.page(now)),
            )
            yield ("ekm_failure_action_info", labels), 1

    def incident(self, now: int, common: incident.CommonCause | None) -> Samples:
        """What the exporter says of the incident."""
        if not isinstance(self.last, Failed):
            return
        page = self.page(now)
        cause, name = ("", "") if common is None or page is incident.Page.KEY_DELETED else common
        if incident.is_long(self.run, self.least, shared=bool(cause), deleted=self.deleted(now)):
            yield ("ekm_incident", (("page", page), ("cause", cause), ("name", name))), self.since

    def _forget(self, now: int) -> bool:
        """Return whether two intervals without a result end what the last one showed, because the host is too slow."""
        at = self.gauges.get(("ekm_last_probe_timestamp_seconds", ()), 0)
        if not self.is_lost or self.last == NOT_PROBED or now - at <= 2 * self.target.interval:
            return False
        kept = ("ekm_last_probe_timestamp_seconds", "ekm_maintenance", *(f"ekm_consecutive_{name}" for name in self.runs))
        self.last = NOT_PROBED
        self.gauges = {sample: value for sample, value in self.gauges.items() if sample[0] in kept}
        return True

    def _is_maintained(self, now: int) -> bool:
        return bool(self.target.maintenance) and self.target.maintenance[0] <= now < self.target.maintenance[1]

    def _verdict(self, probe: Outcome) -> bool | None:
        if self.info["mode"] == "canary" or self.info["pin"] != "config":
            return None
        if isinstance(probe, Failed):
            return probe.ready
        return None if self.info["mode"] == "read_only" else True

    def _count(self, failed: Failed | None, verdict: bool | None) -> None:
        names: list[Sample] = [("ekm_probes_total", ())]
        if failed is not None:
            names.append(("ekm_probe_failures_total", ()))
            names += [_error(step, failed.code) for step in (failed.step, *failed.failed)]
        if verdict is not None and self.info["mode"] != "read_only":
            names.append(("ekm_probe_verdicts_total", (("verdict", "ready" if verdict else "not_ready"),)))
        for name in names:
            self.counters[name] = self.counters.get(name, 0) + 1

    def _gauges(self, probe: Outcome, verdict: bool | None, now: int) -> Samples:
        failed = probe if isinstance(probe, Failed) else None
        yield ("ekm_last_probe_timestamp_seconds", ()), now
        yield ("ekm_probe_success", ()), failed is None
        if verdict is not None:
            yield ("ekm_vault_side_ready", ()), verdict
        if self.target.maintenance:
            yield ("ekm_maintenance", ()), self._is_maintained(now)
        for name, run in self.runs.items():
            yield (f"ekm_consecutive_{name}", ()), run
        yield from self._steps(probe)
        if failed is not None:
            row = BY_CODE[failed.code]
            labels = (("step", failed.step), ("code", str(failed.code)), ("symbol", row.symbol), ("reason", failed.reason))
            yield ("ekm_last_failure_info", labels), 1

    def _steps(self, probe: Outcome) -> Samples:
        steps = dict.fromkeys(self.steps[:3] if probe == READ else self.steps, 1)
        if isinstance(probe, Failed):
            steps = dict.fromkeys(STEPS[: STEPS.index(probe.step)], 1) | dict.fromkeys((probe.step, *probe.failed), 0)
            steps |= {"unwrap_key": 1} if probe.unwraps else {}
        for step, value in steps.items():
            yield ("ekm_step_success", (("step", step),)), value
        if steps.get("token") == 1 or (isinstance(probe, Failed) and probe.reason in CREDENTIAL_REFUSED):
            labels = (("credential", self.target.credential), ("role", "current"))
            yield ("ekm_credential_usable", labels), steps["token"]

    @property
    def failed(self) -> causes.Failed | None:
        """The failure as the exporter groups it; None after a good probe."""
        if not isinstance(self.last, Failed):
            return None
        step, reason = Step(self.last.step), Reason(self.last.reason)
        return causes.Failed(step=step, reason=reason, names=self.links, since=self.since)

    def samples(self) -> Samples:
        yield ("ekm_target_info", tuple(self.info.items())), 1
        yield ("ekm_probe_interval_seconds", ()), self.target.interval
        for instance in self.target.instances:
            yield ("ekm_instance_info", tuple(instance.items())), 1
        if self.target.region is not None:
            yield ("ekm_vault_info", (("region", self.region or ""), ("service_version", "1"), ("connection", "private"))), 1
        yield from self.counters.items()
        yield from ((sample, value) for sample, value in self.gauges.items() if sample[0] not in self.target.more)


class Scraped:
    """An exporter, scrape by scrape."""

    def __init__(self, exporter: Exporter, every: int) -> None:
        self.exporter, self.every = exporter, every
        codes = {probe.code for target in exporter.targets for probe in target.probes if isinstance(probe, Failed)}
        self.codes = sorted(codes | {BY_CODE[code].counterpart or code for code in codes})
        self.records: list[Record] = []
        self.causes: dict[str, causes.Cause] = {}
        self.common: dict[str, incident.CommonCause] = {}
        self._start(0)

    def _start(self, now: int) -> None:
        self.started = now
        known = self.exporter.state or now == 0
        self.records = [
            Record(target, now, target.region if known else None, more=self.exporter.more, scrape=self.every)
            for target in self.exporter.targets
        ]

    def scrape(self, now: int) -> dict[Sample, float]:
        """Return everything at `now`; nothing if the scrape fails."""
        started = max((end for _, end in self.exporter.restarts if end <= now), default=0)
        if started != self.started:
            self._start(started)
        self.records = [record for record in self.records if now < record.target.removed]
        advanced = [record.advance(now) for record in self.records]
        if any(advanced):
            self.causes = _causes(self.records)
            self.common = _common(self.records, self.causes)
        scraped = not any(begin <= now < end for begin, end in (*self.exporter.restarts, *self.exporter.gaps))
        up = {("up", ()): float(scraped)} if scraped or self.exporter.listed else {}
        return up | (dict(self._all(now)) if scraped else {})

    def _all(self, now: int) -> Samples:
        yield ("ekm_exporter_build_info", (("mode", "run"), ("python", "3.13.5"), ("version", "0.1.0"))), 1
        if any(DISCARDED in record.target.probes for record in self.records):
            yield ("ekm_exporter_probes_tainted_total", ()), sum(record.discarded for record in self.records)
        for code in self.codes:
            for labels, _ in CODE.of(BY_CODE[code])["ekm_error_info"]:
                yield ("ekm_error_info", (("code", str(code)), *labels)), 1
        if not any(name.startswith("ekm_credential_expiry_known") for name in self.exporter.more):
            for credential in dict.fromkeys(record.target.credential for record in self.records):
                yield ("ekm_credential_expiry_known", (("credential", credential),)), 1
        for record in self.records:
            own = (("target", record.target.name), ("vault", record.target.vault))
            found = self.common.get(record.target.name)
            for (name, labels), value in (*record.samples(), *record.incident(now, found), *record.advice(now)):
                yield (name, (*own, *labels)), value
            if (cause := self.causes.get(record.target.name)) is not None:
                labels = (("link", cause.link), ("name", cause.name), ("reason", cause.reason or ""))
                yield ("ekm_failure_cause_info", (*own, *labels)), 1


def _causes(records: Iterable[Record]) -> dict[str, causes.Cause]:
    """Return the cause of each failed target, as the exporter finds it."""
    every = CauseFinder()
    for record in records:
        every.add(record.target.name, record.links, record.failed)
    return every.find()


def _common(records: Iterable[Record], found: Mapping[str, causes.Cause]) -> dict[str, incident.CommonCause]:
    """Return the common cause of each target that has one."""
    counted = [record for record in records if not record.is_maintained]
    members = [
        incident.Member(
            record.target.name, record.target.vault, record.target.credential, found[record.target.name], record.failed.reason
        )
        for record in counted
        if record.failed is not None and record.run >= incident.CYCLES
    ]
    return incident.common_causes(members, len(counted))


def value_at(written: str, place: int) -> float | None:
    """Return a value of the notation of promtool, as far as the cases use it: the last one goes on."""
    values: list[float | None] = []
    for part in written.split():
        value, _, count = part.partition("x")
        start, _, step = value.partition("+")
        repeated = int(count or 0) + (start != "_" or not count)
        values += [None if start in ("_", "stale") else float(start) + float(step or 0) * number for number in range(repeated)]
    return values[min(place, len(values) - 1)]


@cache
def _action(failed: Failed, target: str, vault: str, key: str) -> str:
    name, _, version = key.partition("/")
    names = Names(target=target, vault=vault, key=name, version=version or None, client_id=CLIENT)
    return action_line(failed.code, Reason(failed.reason), names, step=Step(failed.step))


def _owner(failed: Failed) -> str:
    result = StepResult(step=Step(failed.step), outcome=StepOutcome.FAILED, code=failed.code, reason=Reason(failed.reason))
    return owner_of_failure(result, BY_CODE[failed.code].owner).value


def _in(info: Mapping[str, str], code: int) -> int:
    return code if info["generation"] == "classic" else BY_CODE[code].counterpart or code


def _error(step: str, code: int) -> Sample:
    return ("ekm_errors_total", (("step", step), ("code", str(code))))
