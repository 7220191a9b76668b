"""The running exporter: starts, connects, reloads and stops its parts."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from exporter import __version__
from exporter.app.capacity import probes_at_once
from exporter.app.options import DEMO, RunOptions
from exporter.app.reload import Reloader
from exporter.app.reports import Reports, recorder_for
from exporter.app.sharding import select_shard
from exporter.app.sql_servers import SqlServerReadings
from exporter.app.sweeper import Sweeper
from exporter.app.web_endpoint import WebEndpoint
from exporter.config.consequences.diff import changed_targets, changed_verdicts
from exporter.config.settings import Config, Target
from exporter.core.entra_answer import mark_wrong_dates
from exporter.core.model import Facts, ProbeReport
from exporter.core.probe_starts import auxiliary_slots
from exporter.doctor.monitor import PreflightMonitor, run_preflight
from exporter.expiry import ExpiryCallbacks, ExpiryLookup, ExpiryMonitor
from exporter.presentation.probe_log import ProbeLog
from exporter.probing.auxiliary_runner import AuxiliaryRunner
from exporter.probing.prober import Prober, ProberCallbacks
from exporter.probing.scheduler import Scheduler
from exporter.runtime import garbage, signals
from exporter.runtime.clock import loop_time
from exporter.runtime.logging import fields, place_of
from exporter.runtime.loop_lag import LoopLag
from exporter.state.files import DocumentKind
from exporter.state.records import TargetRecord, TargetRecords
from exporter.state.store import StateStore

if TYPE_CHECKING:
    from exporter.core.checks import CheckResult
    from exporter.core.checks.model import CheckRun
    from exporter.core.credential_expiry import CredentialExpiry
    from exporter.core.probe_starts import FirstProbes
    from exporter.tde.differences import Difference
    from exporter.tde.sql_reading import SqlServerReading

_log = logging.getLogger(__name__)

READY_AFTER_SECONDS = 120.0  # ready after this time, even if a first probe has not finished


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
        self._store = StateStore(TargetRecords(history_limit=options.history_limit), options.state_dir)
        self.recorder = recorder_for(self.config, options)
        self._reports = Reports(self._store, self.recorder, self._log, on_internal_error=self._on_error)
        self._prober = Prober(self.config, lag=self._lag, callbacks=self._prober_callbacks())
        self._scheduler = Scheduler(
            probe=self._prober.probe_scheduled,
            on_report=self._add_report,
            on_skip=lambda _target, reason, count: self.recorder.skipped(reason, count),
            on_lag=self.recorder.schedule_lag,
            on_crash=lambda _target, error: self._on_error(error),
            concurrency=concurrency,
        )
        self._auxiliary_runner = AuxiliaryRunner(
            self._prober.auxiliary,
            on_result=self._reports.add_auxiliary,
            on_internal_error=self._on_error,
            concurrency=auxiliary_slots(concurrency),
        )
        self._expiry = self._expiry_monitor()
        self.sql_servers = self._sql_server_readings()
        self.sql_servers.require_driver(config)
        self._preflights = self._preflight_monitor()
        self._requests = asyncio.Semaphore(concurrency)
        self._reloader = self._reloader_for(config, options.config_file)
        self._web = WebEndpoint(self, options, None if self._reloader is None else self._reloader.reload)
        self._sweeper = self._new_sweeper()

    def _preflight_monitor(self) -> PreflightMonitor:
        def record(target: Target, results: Iterable[CheckResult] | None) -> None:
            self.recorder.checked(target.name, results)

        return PreflightMonitor(self._run_preflight, on_results=record, on_internal_error=self._on_error)

    def _sql_server_readings(self) -> SqlServerReadings:
        enabled, on_error = self._options.scheduler, self._on_error
        return SqlServerReadings(self._store, self.recorder, enabled=enabled, on_internal_error=on_error)

    def _new_sweeper(self) -> Sweeper:
        def log(now: float) -> None:
            self._log.first_probes(self.first_probes(), now)

        state, on_error = self._store.state, self._on_error
        return Sweeper(
            self.recorder,
            state,
            ready=lambda: self.ready,
            on_sweep=log,
            on_unmeasured=lambda found: self._log.unmeasured(found, len(self.config.targets)),
            on_internal_error=on_error,
        )

    def _reloader_for(self, running: Config, path: Path | None) -> Reloader | None:
        return None if path is None else Reloader(path, self.apply, running=running, on_reload=self.recorder.reloaded)

    def _prober_callbacks(self) -> ProberCallbacks:
        return ProberCallbacks(
            on_internal_error=self._on_error,
            on_shortage=self.recorder.skipped,
            on_token_request=lambda: self.recorder.requested("entra"),
            on_vault_requests=lambda count: self.recorder.requested("vault", count),
            resent=self.recorder.resent,
            on_unexplained=self._unexplained,
        )

    def _expiry_monitor(self) -> ExpiryMonitor:
        callbacks = ExpiryCallbacks(
            on_lookup=self.recorder.credential_expiry_found,
            on_internal_error=self._on_error,
            load=partial(self._store.recall_document, DocumentKind.CREDENTIAL),
            store=partial(self._store.keep_document, DocumentKind.CREDENTIAL),
            on_forgotten=self.recorder.credential_forgotten,
        )
        return ExpiryMonitor(self.config, self._expiry_lookup(self.config), callbacks)

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
            record = self._store.recall(target)
            self.recorder.add_target(target, self.config.modules[target.module], record, now=time.time())
        self._expiry.restore()
        self._expiry.start()
        if self._options.scheduler:
            self._scheduler.reconcile(self.config.targets.values())
            self._preflights.reconcile(self.config)
        await self.sql_servers.apply(self.config, self._whole)
        del self._whole  # so that a reload can collect it
        self._sweeper.start()
        garbage.collect_rarely()
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

    def first_probes(self) -> FirstProbes:
        return self._scheduler.first_probes()

    def record_of(self, target: str) -> TargetRecord | None:
        return self._store.state.get(target)

    def credential_expiries(self, name: str) -> tuple[CredentialExpiry, ...]:
        """Return the expiry of a credential by each source, held against what Entra ID answers."""
        return mark_wrong_dates(name, self._expiry.expiry_of(name), self._store.state.entra_answer(name))

    def last_checks(self, target: str) -> CheckRun | None:
        return self._preflights.last_of(target)

    def sql_readings(self) -> tuple[SqlServerReading, ...]:
        return self.sql_servers.readings()

    def sql_differences(self) -> tuple[Difference, ...]:
        return self.sql_servers.differences()

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
            self._forget(name)
        for name in changed_verdicts(before, config):
            self._store.state.invalidate_verdict(name)
        changed = changed_targets(before, config)
        if self._options.scheduler:
            self._preflights.reconcile(config, changed)
        for name in sorted(changed):
            await self._replace_target(config.targets[name])
        concurrency = probes_at_once(config, self._options.files)
        self._requests = asyncio.Semaphore(concurrency)
        if self._options.scheduler:
            self._scheduler.reconcile(config.targets.values(), concurrency=concurrency)
        await self.sql_servers.apply(config, whole)
        await self._expiry.reconfigure(config, lookup)
        del before  # so that the next lines can collect it
        garbage.unfreeze()
        garbage.collect_rarely()
        _log.info("configuration applied", extra=fields(targets=len(config.targets)))

    async def _replace_target(self, target: Target) -> None:
        """Set up a new or changed target, then yield to other tasks."""
        self._auxiliary_runner.forget(target.name)
        record = self._store.recall(target)
        self.recorder.add_target(target, self.config.modules[target.module], record, now=time.time())
        await asyncio.sleep(0)

    def _forget(self, name: str) -> None:
        for part in (self.recorder, self._store, self._log, self._prober, self._auxiliary_runner):
            part.forget(name)

    def _expiry_lookup(self, config: Config) -> ExpiryLookup:
        return ExpiryLookup(config, requested=self.recorder.requested, tenant_of=self._tenant_of)

    def _tenant_of(self, target: str) -> str | None:
        record = self.record_of(target)
        return None if record is None else record.tenant

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
        self._web.probe_ended()
        if self.config.targets.get(target.name) != target:
            return  # a reload has removed or replaced the target during the probe
        next_probe_at = self._scheduler.next_probe_at(target.name)
        self._reports.add(self.config, target, report, runner=self._auxiliary_runner, next_probe_at=next_probe_at)

    async def _run_preflight(self, target: Target) -> tuple[CheckResult, ...]:
        return await run_preflight(self.config, target, look_up=self._known_expiry, on_internal_error=self._on_error)

    async def _known_expiry(self, credential: str, _target: str) -> tuple[CredentialExpiry, ...]:
        return self.credential_expiries(credential)

    def _on_error(self, error: BaseException) -> None:
        self.recorder.internal_error()
        _log.error("internal error", extra=fields(**place_of(error)))

    def _unexplained(self, facts: Facts) -> None:
        """Record an internal error that the adapter could not classify. Only its facts are known."""
        self.recorder.internal_error()
        extra = fields(exception=facts.exception, detail=facts.detail or None, at=facts.raised_at)
        _log.error("internal error", extra=extra)
