"""Recorder: receives events, renders the series that changed, and streams scrapes; and the body of /probe.

Samples are pure functions of configuration, target and record (`target_families`); the recorder keeps counters and rendered bytes.
Counters and histograms are on /metrics only: the body of /probe has gauges and infos of one probe, and last known values.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from msgspec import structs

from exporter.config.settings import Config, Module, Target
from exporter.config.usage import credentials_in_use, names_of, probed_vaults
from exporter.knowledge.advice import action_line, happened, owner_of_failure
from exporter.knowledge.causes import Cause, Failed, cause_of
from exporter.knowledge.checks_vault import CheckOutcome, CheckResult
from exporter.knowledge.codes import BY_CODE, CODES
from exporter.knowledge.expiry import Source
from exporter.knowledge.incident import CYCLES, CommonCause, Member, Page, common_causes, is_long, page_of
from exporter.knowledge.report import ProbeReport
from exporter.knowledge.verdict import AuxiliaryResult, FailedProbe, deciding_failure
from exporter.metrics.counters import Budgets, SeriesOwners, TargetCounters, path_of
from exporter.metrics.exposition import STEP_DURATIONS, Exposition, Failure, TargetBlock, base_of
from exporter.metrics.families import (
    BUDGET,
    BY_NAME,
    CERTIFICATE,
    CODE,
    COMMON_CAUSE,
    CREDENTIAL,
    ON_DEMAND,
    PROBE_METRICS,
    SHARED_METRICS,
    CredentialEnds,
    endpoint_samples,
    possible_codes,
)
from exporter.metrics.own import Instruments
from exporter.metrics.protobuf import started_at
from exporter.metrics.spec import Group, Level, SeriesScope, Values, one
from exporter.metrics.sql_server_families import SQL_SERVER_METRICS
from exporter.metrics.target_families import (
    ADVICE,
    AUXILIARY,
    CAUSE,
    CHECKS,
    DECLARED,
    FACTS,
    INCIDENT,
    KEY,
    MAINTENANCE,
    OUTCOME,
    RUNS,
    TARGET_METRICS,
    TIMES,
    TIMING,
    Declared,
    FailureAdvice,
    Incident,
    RecordFacts,
    Standing,
    Timing,
    auxiliary_facts,
    cause_labels,
    outcome_of,
    phases_at,
    runs_of,
    standing_of,
)
from exporter.metrics.text import NO_LABELS, Labels, LabelSet
from exporter.runtime.loop import yield_with_pauses
from exporter.state.causes import MOST_CAUSES, TARGETS_PER_SLICE, CauseGroup, Linked, cause_groups, linked, links_of
from exporter.state.history import History
from exporter.state.record import TargetRecord, failed_probe, headers_after, readiness_at

if TYPE_CHECKING:
    from exporter.sqlserver.reading import SqlServerReading

_GAUGES = (SeriesScope.TARGET, SeriesScope.SQL_SERVER)  # not exposed if only probes on request return gauges
_TIED = (SeriesScope.CREDENTIAL, SeriesScope.VAULT, SeriesScope.ENDPOINT)


class FailureSeries:
    """The first action, the cause and the incident of each failing target, and the common causes.

    `blocks` are those of the recorder, by target, and `expiry` is when a credential expires. Causes depend on all targets, so a scrape
    renders them and the incidents, in slices, and only after a failure changed. `now` is the latest Unix time that the recorder was told.
    """

    def __init__(
        self, exposition: Exposition, blocks: Mapping[str, TargetBlock], expiry: Callable[[str], float | None], *, incidents: bool
    ) -> None:
        self._exposition, self._blocks, self._expiry, self._incidents = exposition, blocks, expiry, incidents
        self._shown: set[str] = set()  # ids of causes
        self.changes = self._rendered = 0  # of what causes and incidents depend on
        self._until = math.inf  # when the page of a failure changes with time alone
        self._rendering = asyncio.Lock()
        self.now = 0.0

    def update(self, block: TargetBlock) -> Values:
        """Note whether the failure of a target changed with its record; return the first action if that did."""
        record, report = block.record, block.record.last
        failed = standing = advice = None
        if report is not None and not report.success:
            failed = linked(block.target, block.module, record, report.started_at).failed
            standing = standing_of(record)
            advice = self.advice_of(block.target, report, record)
        before, block.failure = block.failure, Failure(failed, standing, record.region)
        self.changes += before != block.failure
        return block.changed(ADVICE, advice)

    def is_unsteady(self, block: TargetBlock) -> bool:
        """Whether a step other than wrap failed in the last probe, and too few of them in a row for a page."""
        standing, record = block.failure.standing, block.record
        if standing is None or not standing.run or not record.consecutive_blocking:
            return False
        return not is_long(standing.run, standing.least, deleted=self._is_deleted(record.purge_at))

    def advice_of(self, target: Target, report: ProbeReport, record: TargetRecord) -> FailureAdvice | None:
        """Return the first of the actions that the pages recommend, what happened, who acts and the page; None without a failure."""
        failure = deciding_failure(report)
        if failure is None or failure.code is None:
            return None
        names = names_of(target, report.steps, failure, auxiliary=record.auxiliary.values())
        return FailureAdvice(
            action=action_line(failure.code, failure.reason, names, step=failure.step),
            meaning=happened(failure).replace("`", ""),
            owner=owner_of_failure(failure, BY_CODE[failure.code].owner).value,
            page=self._page(target, failed_probe(report), report.purge_after(record.purge_at)),
        )

    async def refresh(self) -> None:
        """Render the causes and incidents if a failure changed, and let other tasks run in between."""
        async with self._rendering:
            changes = self.changes
            if changes == self._rendered and self.now < self._until:
                return
            self._rendered, self._until = -1, math.inf  # an end before the end of this leaves it to the next scrape
            blocks = list(self._blocks.values())
            is_failing = any(block.failure.failed is not None for block in blocks)
            groups = await cause_groups(map(_linked, blocks)) if is_failing else []
            causes = {target: group.cause for group in groups for target in group.targets}
            common = await self._common_causes(blocks, causes) if is_failing and self._incidents else {}
            async for block in yield_with_pauses(blocks, TARGETS_PER_SLICE):
                if self._blocks.get(block.target.name) is block:
                    self._show_failure(block, causes.get(block.target.name), common.get(block.target.name))
            self._show_groups(groups[:MOST_CAUSES])
            self._rendered = changes

    async def _common_causes(self, blocks: Iterable[TargetBlock], causes: Mapping[str, Cause]) -> Mapping[str, CommonCause]:
        members, targets = list[Member](), 0
        async for block in yield_with_pauses(blocks, TARGETS_PER_SLICE):
            target, standing, is_planned = block.target, block.failure.standing, block.shown.get(MAINTENANCE)
            targets += not is_planned
            if standing is not None and standing.run >= CYCLES and not is_planned and target.name in causes:
                members.append(Member(target.name, target.vault, target.credential, causes[target.name], standing.failure.reason))
        return await asyncio.to_thread(common_causes, members, targets)

    def _show_failure(self, block: TargetBlock, cause: Cause | None, common: CommonCause | None) -> None:
        """Render the cause and the incident of a target, and its advice if the page changed with time."""
        failed, standing, _ = block.failure
        values = block.changed(CAUSE, None if failed is None else cause)
        incident = None
        if failed is not None and standing is not None:
            page, advice = self._page(block.target, standing.failure, block.record.purge_at), block.shown.get(ADVICE)
            values |= block.changed(ADVICE, advice and advice._replace(page=page))
            incident = self._incident(block, standing, failed.since, page, common)
            turns = self._expiry(block.target.credential), block.record.purge_at
            self._until = min([self._until, *(at for at in turns if at is not None and at > self.now)])
        if values := values | block.changed(INCIDENT, incident):
            self._exposition.show(block.target.name, block.base, values)

    def _incident(
        self, block: TargetBlock, standing: Standing, since: float, page: Page, common: CommonCause | None
    ) -> Incident | None:
        common, deleted = None if page is Page.KEY_DELETED else common, self._is_deleted(block.record.purge_at)
        pages = is_long(standing.run, standing.least, shared=common is not None, deleted=deleted)
        return Incident(since, page, common) if pages and self._incidents and not block.shown.get(MAINTENANCE) else None

    def _page(self, target: Target, failure: FailedProbe, purge_at: float | None) -> Page:
        """Return the page of a failure at `now`."""
        end = self._expiry(target.credential)
        return page_of(failure, expired=end is not None and end <= self.now, deleted=self._is_deleted(purge_at))

    def _is_deleted(self, purge_at: float | None) -> bool:
        return purge_at is not None and purge_at > self.now

    def _show_groups(self, groups: list[CauseGroup]) -> None:
        ids = {group.cause.id for group in groups}
        for gone in self._shown - ids:
            self._exposition.drop(SeriesScope.CAUSE, gone)
        self._shown = ids
        for group in groups:
            labels = LabelSet.from_labels(*cause_labels(group.cause))
            self._exposition.show(group.cause.id, labels, COMMON_CAUSE.of(group))


def _linked(block: TargetBlock) -> Linked:
    failed = block.failure.failed
    names = links_of(block.target, block.module, block.record, None) if failed is None else failed.names
    return Linked(block.target, names, failed)


class SqlServerSeries:
    """The series of all SQL Servers: each reading replaces those of one as a whole.

    The labels of a SQL Server are its own: of servers that answer with one name, `SqlServerReading.contested` has those without it.
    """

    def __init__(self, exposition: Exposition) -> None:
        self._exposition = exposition
        self._labels: dict[str, Labels] = {}  # by address

    def render(self, reading: SqlServerReading, values: Values) -> Callable[[], None]:
        """Render these samples of a SQL Server (see `metrics.sql_server`), and return what shows them, for the event loop.

        Any thread may call this: a large SQL Server takes 50 ms.
        """
        from exporter.metrics.sql_server import labels_of  # noqa: PLC0415 - with all rules of `sqlserver`

        base, address = labels_of(reading), reading.address
        rendered = self._exposition.rendered(address, base, values)

        def show() -> None:
            if self._labels.get(address, base.labels) != base.labels:
                self.forget(address)
            self._labels[address] = base.labels
            self._exposition.put(rendered)

        return show

    def forget(self, address: str) -> None:
        """Remove the series of a SQL Server."""
        if self._labels.pop(address, None) is not None:
            self._exposition.drop(SeriesScope.SQL_SERVER, address)


class Recorder(Instruments):
    """All metrics of the exporter. Use it from the event loop only.

    With `per_target_gauges=False` a scrape has no gauges of targets and SQL Servers; `render_probe` returns those of a target.
    `level` leaves out families and buckets of targets.
    """

    def __init__(
        self, config: Config, *, version: str, mode: str, per_target_gauges: bool = True, level: Level = Level.FULL
    ) -> None:
        super().__init__(version=version, mode=mode)
        self._config = config
        self._level = level
        self._phases = phases_at(level)
        self._bounds = BY_NAME[STEP_DURATIONS].bounds(level)
        self._exposition = Exposition(
            spec
            for spec in (*TARGET_METRICS, *SHARED_METRICS, *SQL_SERVER_METRICS)
            if level.includes(spec.level) and (per_target_gauges or spec.scope not in _GAUGES or spec.is_counted)
        )
        self._per_target_gauges = per_target_gauges
        self._blocks: dict[str, TargetBlock] = {}
        self._failures = FailureSeries(self._exposition, self._blocks, self._expiry_of, incidents=per_target_gauges)
        self.sql_servers = SqlServerSeries(self._exposition)
        self._owners = SeriesOwners()
        self._budgets = Budgets()
        self._lookups: dict[str, dict[Source, tuple[float | None, float]]] = {}
        self._show_codes()

    def configure(self, config: Config) -> None:
        """Apply a new configuration. The caller then adds changed targets and forgets removed ones."""
        self._config = config
        self._failures.changes += 1
        self._show_codes()

    def add_target(self, target: Target, module: Module, record: TargetRecord, *, now: float) -> None:
        """Add or change a target, and render its record at `now` (a Unix time).

        A known target keeps its counters, unless its vault changed: then its series have other labels and start again.
        """
        block = self._blocks.get(target.name)
        if block is not None and block.target.vault != target.vault:
            self.forget(target.name)
            block = None
        if block is None:
            counters = TargetCounters(self._bounds)
            block = TargetBlock(target, module, base_of(target), record, counters, started_at(now))
            self._blocks[target.name] = block
            self._failures.changes += 1
        self._failures.now = now
        block.target, block.module, block.record = target, module, record
        block.counters.expect(target, module)
        block.counters.path = path_of(record)
        block.sums = ()  # of new counters, too
        last = record.last and structs.replace(record.last, readiness=readiness_at(target, record, now))
        self._exposition.show(target.name, block.base, self._values(block, last))
        self._exposition.show_counters(block)
        self._show_endpoints(target.name, {name: CERTIFICATE.of(shown) for name, shown in record.certificates.items()})
        self._tie(target)
        self._targets.set(len(self._blocks))

    def forget(self, name: str) -> None:
        """Remove all series of a target, and shared ones that no other target uses."""
        if self._blocks.pop(name, None) is None:
            return
        self._exposition.drop(SeriesScope.TARGET, name)
        self._failures.changes += 1
        for scope in _TIED:
            self._drop(scope, self._owners.replace(name, scope, ()))
        self._targets.set(len(self._blocks))

    def record(self, report: ProbeReport, record: TargetRecord) -> None:
        """Record one probe, which `record` already includes. A probe of a forgotten target is ignored."""
        block = self._blocks.get(report.target)
        if block is None:
            return
        block.record, ended = record, report.started_at + report.duration
        self._failures.now = ended
        windows = (*self._config.settings.maintenance, *block.target.maintenance)
        is_planned = any(window.contains(report.started_at) for window in windows) if windows else None
        values = block.changed(MAINTENANCE, is_planned)
        self._failures.changes += bool(values)
        if report.discarded:
            self._tainted.inc()
            values |= TIMES.of((record.last_success_at, record.next_probe_at))
        else:
            values |= self._values(block, report)
            self._show_endpoints(report.target, endpoint_samples(report))
        unsteady = not report.discarded and self._failures.is_unsteady(block)
        block.counters.add(report, record, maintenance=bool(is_planned), unsteady=unsteady)
        self._exposition.show(report.target, block.base, values)
        self._exposition.show_counters(block)
        self._show_budgets(self._budgets.add(block.target.vault, report.started_at, report.steps, report.key, now=ended))

    def auxiliary_recorded(self, name: str, record: TargetRecord) -> None:
        """Render the auxiliary probes of a record; ignored for a forgotten target."""
        if (block := self._blocks.get(name)) is not None:
            block.record = record
            self._exposition.show(name, block.base, self._values(block))

    def checked(self, name: str, results: Iterable[CheckResult] | None) -> None:
        """Render the failed preflight checks of a target; None removes them. Only the outcome `fail` counts."""
        if (block := self._blocks.get(name)) is not None:
            failed = None if results is None else [each.check for each in results if each.outcome is CheckOutcome.FAIL]
            self._exposition.show(name, block.base, CHECKS.of(failed))

    def spend(self, name: str, result: AuxiliaryResult) -> None:
        """Add the requests of an auxiliary probe to the request budget of their vault."""
        if name in self._blocks:
            ended = result.at + sum(step.duration for step in result.steps)
            self._show_budgets(self._budgets.add(result.vault, result.at, result.steps, result.key, now=ended))

    def sweep(self, now: float) -> None:
        """Update values that change with time; call this every few seconds. `now` is a Unix time."""
        self._failures.now = now
        self._show_budgets(self._budgets.sweep(now))

    def drop_result(self, name: str) -> None:
        """Remove the result of a target that is not measured: its record has none."""
        if (block := self._blocks.get(name)) is not None:
            # A target that is not measured has not succeeded. The alert of a failed run stays.
            failures, blocking, unready = (run or None for run in runs_of(block.record))
            values = block.changed(OUTCOME, None) | block.changed(RUNS, (failures, blocking, unready))
            self._exposition.show(name, block.base, values | self._values(block))

    def drop_verdict(self, name: str) -> None:
        """Remove the verdict of a target, because its last probe is too old."""
        if (block := self._blocks.get(name)) is not None:
            outcome = block.shown.get(OUTCOME)
            self._exposition.show(name, block.base, block.changed(OUTCOME, outcome and outcome._replace(ready=None)))

    def credential_expiry_found(self, credential: str, source: Source, expires_at: float | None, at: float) -> None:
        """Record a successful expiry lookup at `at` (Unix times), which is shown until the next one.

        None means that the source has no expiry date. A lookup may end after a reload has removed its credential; it is ignored.
        """
        if credential not in self._config.credentials:
            return
        self._lookups.setdefault(credential, {})[source] = expires_at, at
        self._show_credential(credential)

    def credential_forgotten(self, credential: str, source: Source) -> None:
        """Remove the lookup result of a source after the credential changed."""
        self._lookups.get(credential, {}).pop(source, None)
        if credential in self._config.credentials:
            self._show_credential(credential)

    async def scrape(self, *, openmetrics: bool) -> AsyncIterator[bytes]:
        """Yield the response of /metrics in chunks; other tasks run between two chunks."""
        await self._failures.refresh()
        for chunk in self._exposition.chunks(openmetrics=openmetrics):
            yield chunk
        yield self.render_own(openmetrics=openmetrics)

    async def scrape_protobuf(self) -> AsyncIterator[bytes]:
        """Yield the response of /metrics as protobuf; the first one encodes everything."""
        await self._failures.refresh()
        if not self._exposition.encodes:
            self._exposition.encodes = True
            for block in self._blocks.values():
                block.sums = ()
        await self._exposition.encode_gauges()
        for block in list(self._blocks.values()):
            name = block.target.name
            if self._blocks.get(name) is block and not self._exposition.is_encoded(STEP_DURATIONS, name):
                self._exposition.show_counters(block)
                await asyncio.sleep(0)
        for chunk in self._exposition.protobuf_chunks():
            yield chunk
        yield self.render_own_protobuf()

    def render_probe(self, target: Target, module: Module, report: ProbeReport, *, openmetrics: bool = False) -> bytes:
        """Return the response of /probe: gauges and infos of the report, and last known values of the target.

        OpenMetrics includes the end mark.
        """
        block = self._blocks.get(target.name)
        record = TargetRecord(target, History(0)) if block is None else block.record
        failed, cause = (None, None) if block is None else (block.failure.failed, block.shown.get(CAUSE))
        step, _, reason = failed_probe(report)
        if step is None:
            cause = None
        elif cause is None or failed is None or (failed.step, failed.reason) != (step, reason):
            # Another failure than that of the record has the cause of its target alone.
            cause = cause_of(Failed(step=step, reason=reason, names=links_of(target, module, record, report)))
        # If requested probes are counted, the record includes this one and its runs of failures.
        runs = None if self._per_target_gauges or record.last is None else runs_of(record)
        advice = self._failures.advice_of(target, report, record)
        after = structs.replace(
            record,
            target=target,
            last=report,
            credential=target.credential,
            last_success_at=report.started_at if report.success else record.last_success_at,
            next_probe_at=None,
            key=report.key or record.key,
            tenant=report.tenant or record.tenant,
            vault=headers_after(record.vault, report),
            purge_at=report.purge_after(record.purge_at),
        )
        made: dict[Group[Any], Any] = {
            **self._made_from(target, module, after),
            TIMING: Timing(report, self._phases),
            OUTCOME: outcome_of(report),
            ON_DEMAND: report,
            RUNS: runs,
            ADVICE: advice,
            CAUSE: cause,
        }
        values = {name: samples for group, value in made.items() for name, samples in group.of(value).items()}
        if report.discarded:
            values["ekm_last_probe_timestamp_seconds"] = one(record.last_probe_at)
        families = (*TARGET_METRICS, *PROBE_METRICS)
        page = Exposition(spec for spec in families if self._level.includes(spec.level) and not spec.is_counted)
        for base, of_target in ((base_of(target), True), (NO_LABELS, False)):
            shown = {name: each for name, each in values.items() if (BY_NAME[name].scope is SeriesScope.TARGET) is of_target}
            page.show(target.name, base, shown)
        return page.render(openmetrics=openmetrics) + (b"# EOF\n" if openmetrics else b"")

    def _show_budgets(self, ratios: Mapping[str, float]) -> None:
        for vault, ratio in ratios.items():
            self._exposition.show(vault, LabelSet.from_labels(("vault", vault)), BUDGET.of(ratio))

    def _show_endpoints(self, target: str, values: Mapping[str, Values]) -> None:
        """Render the samples of endpoints that this target uses."""
        for endpoint, shown in values.items():
            self._owners.add(target, SeriesScope.ENDPOINT, endpoint)
            self._exposition.show(endpoint, LabelSet.from_labels(("endpoint", endpoint)), shown)

    def _values(self, block: TargetBlock, report: ProbeReport | None = None) -> Values:
        """Return what a record and the configuration show, as far as it changed, and the first action; the times and the report always."""
        made = self._made_from(block.target, block.module, block.record)
        values = TIMES.of(made.pop(TIMES)) | self._failures.update(block)
        if report is not None:
            values |= TIMING.of(Timing(report, self._phases))
            made |= {OUTCOME: outcome_of(report), RUNS: runs_of(block.record)}
        for group, value in made.items():
            values |= block.changed(group, value)
        return values

    def _made_from(self, target: Target, module: Module, record: TargetRecord) -> dict[Group[Any], Any]:
        """Return what each group of families is made from that does not depend on one report alone."""
        credential, vantage = self._config.credentials[target.credential], self._config.settings.vantage
        return {
            TIMES: (record.last_success_at, record.next_probe_at),
            KEY: record.key,
            FACTS: RecordFacts(record.vault, record.purge_at, module.expect_path),
            DECLARED: Declared(target, module, credential, vantage, record.tenant),
            AUXILIARY: auxiliary_facts(target, record),
        }

    def _show_codes(self) -> None:
        """Show the meaning of each code that can occur with the active configuration."""
        possible = possible_codes(self._config)
        for error in CODES:
            if error in possible:
                labels = LabelSet.from_labels(("code", str(error.code)))
                self._exposition.show(str(error.code), labels, CODE.of(error))
            else:
                self._exposition.drop(SeriesScope.CODE, str(error.code))

    def _expiry_of(self, name: str) -> float | None:
        """Return when a credential expires; None if that is unknown, or if a reload removed it and not yet its targets."""
        credential = self._config.credentials.get(name)
        return None if credential is None else CredentialEnds(credential, self._lookups.get(name, {})).end

    def _show_credential(self, name: str) -> None:
        self._failures.changes += 1
        ends = CredentialEnds(self._config.credentials[name], self._lookups.get(name, {}))
        self._exposition.show(name, LabelSet.from_labels(("credential", name)), CREDENTIAL.of(ends))

    def _tie(self, target: Target) -> None:
        """Tie credentials and vaults to the target. Remove those that no target uses any more."""
        credentials = sorted(credentials_in_use(replace(self._config, targets={target.name: target})))
        self._drop(SeriesScope.CREDENTIAL, self._owners.replace(target.name, SeriesScope.CREDENTIAL, credentials))
        self._drop(SeriesScope.VAULT, self._owners.replace(target.name, SeriesScope.VAULT, probed_vaults(target)))
        for name in credentials:
            self._show_credential(name)

    def _drop(self, scope: SeriesScope, owners: Iterable[str]) -> None:
        for owner in owners:
            self._exposition.drop(scope, owner)
            if scope is SeriesScope.VAULT:
                self._budgets.forget(owner)
            if scope is SeriesScope.CREDENTIAL:
                self._lookups.pop(owner, None)
