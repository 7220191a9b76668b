"""The running exporter: what a start needs of the system, and its parts, which it starts, connects, reloads and stops.

`serve` runs it until a signal. An error of one part ends no other: it is counted and logged.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from exporter import __version__
from exporter.app.reload import Reloader, select_shard
from exporter.app.sql_servers import SqlServerReadings
from exporter.app.web_endpoint import DEMO, RunOptions, WebEndpoint
from exporter.clients.entra import quiet_sdk_loggers
from exporter.config.settings import Config, Target
from exporter.config.usage import changed_targets, changed_verdicts, configured_auxiliary
from exporter.core.limits import auxiliary_slots, files_of, slots_within
from exporter.core.values import Facts
from exporter.doctor.monitor import PreflightMonitor, run_preflight
from exporter.knowledge.expiry import mark_wrong_dates
from exporter.knowledge.report import ProbeReport
from exporter.knowledge.verdict import AuxiliaryResult
from exporter.metrics.recorder import Recorder
from exporter.presentation.log import ProbeLog
from exporter.probing.auxiliary import AuxiliaryRunner, auxiliary_probes
from exporter.probing.expiry import ExpiryLookup
from exporter.probing.expiry_monitor import ExpiryCallbacks, ExpiryMonitor
from exporter.probing.prober import Prober, ProberCallbacks
from exporter.probing.schedule import Scheduler
from exporter.runtime import loop, process, signals
from exporter.runtime.logging import fields, place_of
from exporter.runtime.loop import LoopLag, loop_time
from exporter.runtime.tasks import reported
from exporter.state.history import ProbeContext
from exporter.state.store import DocumentKind, StateStore
from exporter.web.listener import most_clients

if TYPE_CHECKING:
    from exporter.knowledge.checks_vault import CheckResult
    from exporter.knowledge.expiry import CredentialExpiry
    from exporter.presentation.payloads import Payload

_log = logging.getLogger(__name__)

# What a start needs of the system: a shortage during a probe skips that probe, but one during an import would end the process. So `run`
# counts threads and files before.
FEWEST_THREADS = 16  # one for each part that blocks, and some for names
SQL_FILES = 12  # readings of SQL Servers at once, and requests for their tokens
_OTHER_FILES = 3 + 16  # of the loop; of the state directory, imports, expiry lookups and preflight checks
SWEEP_SECONDS = 2.0  # how long a verdict may stay that is too old
READY_AFTER_SECONDS = 120.0  # ready after this time, even if a first probe has not finished


class CapacityError(Exception):
    """The system grants too little. The message is one line, names the limit and how much is needed."""


def require_threads() -> None:
    """Raise CapacityError if the system grants too few threads."""
    granted = process.threads_granted(FEWEST_THREADS)
    if granted < FEWEST_THREADS:
        raise CapacityError(
            f"the system grants this process {granted} more threads, and it needs at least {FEWEST_THREADS}: raise the limit "
            "(ulimit -u, TasksMax= of systemd, the process limit of a container)"
        )


def files_left(config: Config, *, listeners: int) -> int | None:
    """Raise the limit of open files, and return how many are left for probes and SQL Servers; None without a limit.

    Raises CapacityError if they are too few for one probe.
    """
    process.raise_file_limit()
    limit = process.file_limit()
    if limit is None:
        return None
    taken = process.open_files(limit) + listeners + _OTHER_FILES
    left = limit - most_clients(limit) - taken
    fewest = files_of(1) + _sql_files(config)
    if left < fewest:
        needed = next(each for each in itertools.count(limit + 1) if each - most_clients(each) - taken >= fewest)
        raise CapacityError(
            f"the process may open {limit} files, and needs at least {needed}: raise the limit (ulimit -n, LimitNOFILE= of systemd)"
        )
    return left


def probes_at_once(config: Config, files: int | None) -> int:
    """Return how many probes may run at once with so many files; logs if these are fewer than configured."""
    wanted = config.settings.concurrency
    if files is None:
        return wanted
    granted = max(1, min(wanted, slots_within(files - _sql_files(config))))
    if granted < wanted:
        extra = fields(concurrency=granted, wanted=wanted, limit=process.file_limit())
        _log.warning("fewer probes at once: the limit of open files is low", extra=extra)
    return granted


def _sql_files(config: Config) -> int:
    return SQL_FILES if config.sql_servers else 0


class Sweeper:
    """Updates what changes with time alone: results and verdicts that are too old, budgets, readiness. Use it from one event loop.

    An error ends no sweep and delays no other target. `on_sweep` is called with the Unix time. `on_unmeasured` receives the targets that are not measured, and the share of the time that this host lost.
    `on_internal_error` receives internal errors.
    """

    def __init__(
        self,
        recorder: Recorder,
        records: StateStore,
        *,
        ready: Callable[[], bool],
        on_sweep: Callable[[float], None],
        on_unmeasured: Callable[[Mapping[str, float]], None],
        on_internal_error: Callable[[Exception], None],
    ) -> None:
        self._recorder, self._records, self._ready, self._on_internal_error = recorder, records, ready, on_internal_error
        self._on_sweep, self._on_unmeasured = on_sweep, on_unmeasured
        self._dropped: set[str] = set()
        self._unmeasured: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="sweep")

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            self._sweep(time.time())
            await asyncio.sleep(SWEEP_SECONDS)

    def _sweep(self, now: float) -> None:
        with reported(self._on_internal_error):
            self._recorder.ready(ready=self._ready())
        for update in (self._recorder.sweep, self._on_sweep):
            with reported(self._on_internal_error):
                update(now)
        with reported(self._on_internal_error):
            unmeasured = self._records.unmeasured(now)
            self._on_unmeasured(unmeasured)
            self._drop(unmeasured.keys(), self._unmeasured, self._recorder.drop_result)
        with reported(self._on_internal_error):
            self._drop(self._records.stale(now), self._dropped, self._recorder.drop_verdict)

    def _drop(self, names: AbstractSet[str], dropped: set[str], drop: Callable[[str], None]) -> None:
        """Drop what is shown of each target once, until it is no longer one of these."""
        dropped.intersection_update(names)
        for name in names - dropped:
            with reported(self._on_internal_error):
                drop(name)
                dropped.add(name)


class Service:
    """All parts of a running exporter, on one event loop. The web server uses `web.interfaces.ExporterService` of it."""

    def __init__(self, config: Config, options: RunOptions) -> None:
        """Raises NetworkError if a module's authorities cannot be loaded, and ExtraMissingError."""
        self._options = options
        self._whole = config  # of all shards, until the start has used it
        self.config = select_shard(config, options.shard)
        self.version = __version__
        self._started = float("inf")  # not yet
        concurrency = probes_at_once(self.config, options.files)
        self._lag = LoopLag()
        self._log = ProbeLog()
        self._store = StateStore(options.state_dir, history_limit=options.history_limit)
        self.recorder = Recorder(
            self.config, version=__version__, mode=options.mode, per_target_gauges=options.scheduler, level=options.metrics_level
        )
        if options.shard is not None:
            self.recorder.shard(options.shard.index, options.shard.count)
        callbacks = ProberCallbacks(
            on_internal_error=self._on_error,
            on_shortage=self.recorder.skipped,
            on_token_request=lambda: self.recorder.requested("entra"),
            on_vault_requests=lambda count: self.recorder.requested("vault", count),
            resent=self.recorder.resent,
            on_unexplained=self._unexplained,
        )
        self._prober = Prober(self.config, lag=self._lag, callbacks=callbacks)
        self._scheduler = Scheduler(
            probe=self._prober.probe_scheduled,
            on_report=self._add_report,
            on_skip=self.recorder.skipped,
            on_lag=self.recorder.schedule_lag,
            on_internal_error=self._on_error,
            concurrency=concurrency,
        )
        self._auxiliary_runner = AuxiliaryRunner(
            self._prober.auxiliary,
            on_result=self._add_auxiliary,
            on_internal_error=self._on_error,
            concurrency=auxiliary_slots(concurrency),
        )
        expiry = ExpiryCallbacks(
            on_lookup=self.recorder.credential_expiry_found,
            on_internal_error=self._on_error,
            load=partial(self._store.recall_document, DocumentKind.CREDENTIAL),
            store=partial(self._store.keep_document, DocumentKind.CREDENTIAL),
            on_forgotten=self.recorder.credential_forgotten,
        )
        self._expiry = ExpiryMonitor(self.config, self._expiry_lookup(self.config), expiry)
        self.sql_servers = SqlServerReadings(
            self._store,
            self.recorder,
            enabled=options.scheduler,
            target_rows=self._gate_rows,
            on_internal_error=self._on_error,
            expiries_of=self.credential_expiries,
        )
        self.sql_servers.require_driver(config)
        self._preflights = PreflightMonitor(
            self._run_preflight,
            on_results=lambda target, results: self.recorder.checked(target.name, results),
            on_internal_error=self._on_error,
        )
        # What pages and API ask of a part.
        self.record_of = self._store.get
        self.first_probes = self._scheduler.first_probes
        self.last_checks = self._preflights.last_of
        self.sql_readings = self.sql_servers.readings
        self.sql_readiness = self.sql_servers.readiness
        self.sql_differences = self.sql_servers.differences
        self._requests = asyncio.Semaphore(concurrency)
        self._reloader = (
            None
            if options.config_file is None
            else Reloader(options.config_file, self.apply, running=config, on_reload=self.recorder.reloaded)
        )
        self._web = WebEndpoint(self, options, None if self._reloader is None else self._reloader.reload)
        self._sweeper = Sweeper(
            self.recorder,
            self._store,
            ready=lambda: self.ready,
            on_sweep=lambda now: self._log.first_probes(self.first_probes(), now),
            on_unmeasured=self._unmeasured,
            on_internal_error=self._on_error,
        )

    def _unmeasured(self, found: Mapping[str, float]) -> None:
        self._log.unmeasured(found, len(self.config.targets))
        for name in found:  # its auxiliary probes are made again with its next result
            self._auxiliary_runner.forget(name)

    async def start(self) -> None:
        """Listen, start all parts, and answer clients. Raises ListenError and StateDirError before any probe."""
        await self._store.open(self.config.targets, self.config.credentials, self.sql_servers.unread(self.config))
        await self._web.bind()
        self._started = loop_time()
        self._lag.start()
        self.recorder.watch_event_loop(self._lag.worst)
        if self._options.state_dir is not None:
            self.recorder.watch_state(lambda: self.keeps_state)
        self.recorder.reloaded(successful=True, at=time.time())
        for target in self.config.targets.values():
            self._show_target(target)
        self._expiry.restore()
        self._expiry.start()
        if self._options.scheduler:
            self._scheduler.reconcile(self.config.targets.values())
            self._preflights.reconcile(self.config)
        await self.sql_servers.apply(self.config, self._whole)
        del self._whole  # so that a reload can collect it
        self._sweeper.start()
        process.collect_rarely()
        await self._web.serve()
        if self._reloader is not None:
            if self._options.mode != DEMO:
                signals.on_reload(self._reloader.reload_soon)
            if self._options.auto_reload:
                self._reloader.watch()
        for url in self._web.urls:
            _log.info("listening", extra=fields(url=url, targets=len(self.config.targets), version=__version__))
        if self._options.on_listening is not None:
            self._options.on_listening(self._web.urls)

    async def stop(self) -> None:
        """Stop all parts; takes at most two seconds."""
        self._sweeper.stop()
        if self._reloader is not None:
            await self._reloader.aclose()
        await self._scheduler.aclose()
        await self._auxiliary_runner.aclose()
        await self._preflights.aclose()
        await self._expiry.aclose()
        await self.sql_servers.aclose()
        await self._web.stop()
        await self._prober.aclose()
        await self._store.aclose()
        self._lag.stop()

    @property
    def keeps_state(self) -> bool:
        """Whether the state directory can be written; true without one."""
        return self._options.state_dir is None or self._store.is_writable

    @property
    def ready(self) -> bool:
        """Whether the first probes have finished, or two minutes have passed."""
        waited = loop_time() - self._started
        return not self._options.scheduler or self._scheduler.first_round_done.is_set() or waited > READY_AFTER_SECONDS

    def credential_expiries(self, name: str) -> tuple[CredentialExpiry, ...]:
        """Return the expiry of a credential by each source, held against what Entra ID answers."""
        return mark_wrong_dates(name, self._expiry.expiry_of(name), self._store.entra_answer(name))

    def _gate_rows(self, now: float) -> Iterator[Payload]:
        from exporter.presentation.payloads import gate_row  # noqa: PLC0415 - after the first probes, as the pages

        config = self.config
        for target in config.targets.values():
            credential, expiries = config.credentials[target.credential], self.credential_expiries(target.credential)
            yield gate_row(target, self.record_of(target.name), credential, expiries, now=now)

    async def apply(self, config: Config) -> None:
        """Apply another configuration.

        Unchanged targets continue, and keep their counters.

        Raises NetworkError, a ValueError, and changes nothing if a module's authorities cannot be loaded. Also ExtraMissingError.
        """
        self.sql_servers.require_driver(config)
        whole, config = config, select_shard(config, self._options.shard)
        await self._store.preload(config.targets, sql_servers=self.sql_servers.unread(config))
        lookup = self._expiry_lookup(config)
        self._prober.reconfigure(config)
        before, self.config = self.config, config
        self.recorder.configure(config)
        for name in before.targets.keys() - config.targets.keys():
            for part in (self.recorder, self._store, self._log, self._prober, self._auxiliary_runner):
                part.forget(name)
        for name in changed_verdicts(before, config):
            self._store.invalidate_verdict(name)
        changed = changed_targets(before, config)
        if self._options.scheduler:
            self._preflights.reconcile(config, changed)
        for name in sorted(changed):
            self._auxiliary_runner.forget(name)
            self._show_target(config.targets[name])
            await asyncio.sleep(0)
        concurrency = probes_at_once(config, self._options.files)
        self._requests = asyncio.Semaphore(concurrency)
        if self._options.scheduler:
            self._scheduler.reconcile(config.targets.values(), concurrency=concurrency)
        await self.sql_servers.apply(config, whole)
        await self._expiry.reconfigure(config, lookup)
        del before  # so that the next lines can collect it
        gc.unfreeze()
        process.collect_rarely()
        _log.info("configuration applied", extra=fields(targets=len(config.targets)))

    def _show_target(self, target: Target) -> None:
        """Show what is known of a new or changed target."""
        module, record = self.config.modules[target.module], self._store.recall(target)
        self.recorder.add_target(target, module, record, now=time.time())

    def _expiry_lookup(self, config: Config) -> ExpiryLookup:
        def tenant_of(target: str) -> str | None:
            record = self.record_of(target)
            return None if record is None else record.tenant

        return ExpiryLookup(config, requested=self.recorder.requested, tenant_of=tenant_of)

    async def probe(self, target: str, module: str, *, timeout: float | None) -> ProbeReport | None:  # noqa: ASYNC109 - passed on
        """Make a probe on demand.

        Without a schedule its report is recorded, unless it used another module or the scrape's timeout cut it short.
        """
        async with self._requests:
            found, using = self.config.targets.get(target), self.config.modules.get(module)
            if found is None or using is None or not found.allows(module):  # after a reload during the wait
                return None
            report = await self._prober.probe_on_demand(found, module=using, scrape_timeout=timeout)
        if report is not None and not (self._options.scheduler or module != found.module or report.cut_by_scrape):
            self._add_report(found, report)
        return report

    def _add_report(self, target: Target, report: ProbeReport) -> None:
        """The way of a result: report, record, metrics, log, auxiliary probes. A receiver that fails stops none of the others."""
        self._web.first_probe.set()  # clients are answered once the first has ended
        config, received = self.config, partial(reported, self._on_error)
        if config.targets.get(target.name) != target:
            return  # a reload has removed or replaced the target during the probe
        context = ProbeContext(target, config.modules[target.module], config.credentials[target.credential])
        with received():
            self._store.record(target, report, next_probe_at=self._scheduler.next_probe_at(target.name), context=context)
        record = self._store.expect(target)
        with received():
            self.recorder.record(report, record)
        with received():
            if not report.discarded:
                self._log.record(target, report)
        with received():
            today, interval = datetime.fromtimestamp(report.started_at, UTC).date(), context.module.auxiliary_interval
            plan = partial(auxiliary_probes, config, target, record.key, today)
            self._auxiliary_runner.start_due(target, report, configured_auxiliary(target, today), plan, interval=interval)

    def _add_auxiliary(self, target: Target, result: AuxiliaryResult) -> None:
        """The same way of the result of one auxiliary probe."""
        received = partial(reported, self._on_error)
        with received():
            self.recorder.spend(target.name, result)
        with received():
            self._store.add_auxiliary(target, result)
        with received():
            self.recorder.auxiliary_recorded(target.name, self._store.expect(target))
        with received():
            self._log.auxiliary_recorded(target, result)

    async def _run_preflight(self, target: Target) -> tuple[CheckResult, ...]:
        async def known(credential: str, _target: str) -> tuple[CredentialExpiry, ...]:
            return self.credential_expiries(credential)

        return await run_preflight(self.config, target, look_up=known, on_internal_error=self._on_error)

    def _on_error(self, error: BaseException) -> None:
        self.recorder.internal_error()
        _log.error("internal error", extra=fields(**place_of(error)))

    def _unexplained(self, facts: Facts) -> None:
        """Record an internal error that the adapter could not classify. Only its facts are known."""
        self.recorder.internal_error()
        extra = fields(exception=facts.exception, detail=facts.detail or None, at=facts.raised_at)
        _log.error("internal error", extra=extra)


async def serve(config: Config, options: RunOptions) -> None:
    """Run the exporter until a stop signal.

    Raises ExtraMissingError, ListenError, NetworkError and StateDirError before the first probe.
    """
    stop = asyncio.Event()
    signals.on_stop(stop.set, hangup=options.mode == DEMO)
    sys.setswitchinterval(0.001)  # a probe has many turns, and each would wait for the 5 ms of the default
    loop.bound_tls_buffers()
    quiet_sdk_loggers()
    service = Service(config, options)
    starting, stopping = asyncio.create_task(service.start(), name="start"), asyncio.create_task(stop.wait(), name="stop signal")
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting  # raises why it failed
            await stopping
        _log.info("stopping")
    finally:
        for task in (starting, stopping):
            task.cancel()
        await asyncio.wait({starting})  # a signal ends a start that waits for a dead mount
        await service.stop()
    if not starting.cancelled():
        starting.result()  # raises why a start failed that a signal was to end
