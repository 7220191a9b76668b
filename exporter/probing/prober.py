"""Makes probes with the active configuration, from vault session, tokens and clock.

The schedule, `/probe`, the preflight checks and the command line all make their probes here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import NamedTuple

from msgspec.structs import replace

from exporter.clients.http.network import HANDSHAKES, Networks
from exporter.clients.key_vault import VaultSession
from exporter.config.settings import Config, Credential, Module, Target
from exporter.core.values import KEY_STEPS, Facts, Outcome, Step
from exporter.knowledge.report import ProbeReport
from exporter.knowledge.verdict import AuxiliaryResult, assess_auxiliary, broken_report
from exporter.probing.auxiliary import AuxiliaryProbe
from exporter.probing.round_trip import LoopClock, Probe, ProbeRequest, probe_request
from exporter.probing.secrets import SecretCache
from exporter.probing.tokens import TokenCache, reuse_policy
from exporter.runtime.loop import LoopLag
from exporter.runtime.tasks import DaemonThreadPool, PoolExhausted, Shortage, is_cancelled


def auxiliary_result(probe: AuxiliaryProbe, report: ProbeReport) -> AuxiliaryResult:
    """Return what the report of an auxiliary probe shows."""
    target = probe.request.target
    return AuxiliaryResult(
        kind=probe.kind,
        name=probe.name,
        vault=target.vault,
        credential=target.credential,
        at=report.started_at,
        usable=None if probe.is_of_another_host else assess_auxiliary(probe.kind, report.steps, report.key, at=report.started_at),
        steps=report.steps,
        key=report.key,
    )


class _RoundTrip(NamedTuple):
    """The last round trip of one target, if it passed: what it tested, and its loop time."""

    subject: tuple[object, ...]  # a success proves nothing for another key version, identity or route
    at: float
    enabled: bool | None  # of the key version, at that time


@dataclass(frozen=True, slots=True, kw_only=True)
class ProberCallbacks:
    """Callbacks for events that are no report: errors, shortages and sent requests.

    `on_internal_error` receives an exception, `on_unexplained` the facts of an exception that the adapter cannot classify.
    """

    on_internal_error: Callable[[BaseException], None]
    on_shortage: Callable[[Shortage], None] = lambda _shortage: None
    on_token_request: Callable[[], None] = lambda: None
    on_vault_requests: Callable[[int], None] = lambda _count: None
    resent: Callable[[Step], None] = lambda _step: None
    on_unexplained: Callable[[Facts], None] = lambda _facts: None


class Prober:
    """Makes probes. Use it from one event loop. Raises NetworkError at once if a module's authorities cannot be loaded."""

    def __init__(self, config: Config, *, lag: LoopLag, callbacks: ProberCallbacks) -> None:
        self._config, self._callbacks = config, callbacks
        # A thread for each running probe, as many on demand as by the schedule: only the system ends the resolution of a dead
        # name.
        self._pool = DaemonThreadPool(2 * config.settings.concurrency, name="ekm-blocking")
        self._limiter = asyncio.Semaphore(HANDSHAKES)
        self._networks = Networks(config, pool=self._pool, limiter=self._limiter)
        self._secrets = SecretCache(self._pool)
        self._tokens = TokenCache(self._secrets, reuse_policy=reuse_policy(config), on_request=callbacks.on_token_request)
        self._clock = LoopClock(late_between=lag.late_between)
        self._round_trips: dict[str, _RoundTrip] = {}

    def reconfigure(self, config: Config) -> None:
        """Make later probes with this configuration; running probes keep theirs.

        Raises NetworkError and changes nothing if a module's authorities cannot be loaded.
        """
        self._networks = Networks(config, pool=self._pool, limiter=self._limiter)
        self._config = config
        self._pool.allow(2 * config.settings.concurrency)
        self._tokens.reuse_policy = reuse_policy(config)
        self._secrets.keep_only(config.credentials.values())

    async def aclose(self) -> None:
        """Cancel token requests and release the threads; end all probes before."""
        await self._tokens.aclose()
        await self._secrets.aclose()
        self._pool.close()

    async def probe_scheduled(self, target: Target) -> ProbeReport | None:
        """Make one scheduled probe.

        Within `round_trip_interval` it only gets token and key.

        Return None if an exporter-side shortage prevented the probe, or a reload has removed or replaced the target.
        """
        if self._config.targets.get(target.name) != target:
            return None
        request = probe_request(self._config, target)
        interval = request.module.round_trip_interval
        if not interval:  # each probe makes a round trip; one that is remembered is out of date
            self.forget(target.name)
            return await self._make(request)
        subject = target.vault, target.key, request.credential, request.module
        last = self._round_trips.get(target.name)
        if last is not None and last.subject == subject and self._clock.monotonic() - last.at < interval:
            report = await self._make(replace(request, round_trip=False, last_unwrapped=True))
            if report is None or report.key is None or report.key.enabled == last.enabled or not self._is_active(request.module):
                return report
            # The key was enabled or disabled since the last unwrap, so that result may no longer hold.
        report = await self._make(request)
        if report is not None and (unwrap := report.step(Step.UNWRAP_KEY)) and unwrap.outcome is not Outcome.SKIPPED:
            self.forget(target.name)
            if report.success:
                enabled = None if report.key is None else report.key.enabled
                self._round_trips[target.name] = _RoundTrip(subject, self._clock.monotonic(), enabled)
        return report

    async def probe_on_demand(
        self,
        target: Target,
        *,
        module: Module | None = None,
        credential: Credential | None = None,
        scrape_timeout: float | None = None,
        fresh: bool = False,
    ) -> ProbeReport | None:
        """Make one whole probe on demand.

        `scrape_timeout` is the timeout of the scrape in seconds; it applies if it is shorter than the target's. `fresh` fetches a token even
        if a shared one exists. Return None if an exporter-side shortage prevented the probe.
        """
        request = probe_request(self._config, target, module, credential)
        if scrape_timeout is not None and scrape_timeout < request.timeout:
            request = replace(request, timeout=scrape_timeout, cut_by_scrape=True)
        return await self._make(request, fresh=fresh)

    async def auxiliary(self, plan: AuxiliaryProbe, *, fresh: bool = False) -> AuxiliaryResult | None:
        """Make one auxiliary probe. The result is None if the probe could not be made. Of a discarded one, nothing is known."""
        if not self._is_active(plan.request.module):
            return None
        report = await self._make(plan.request, fresh=fresh)
        return None if report is None else auxiliary_result(plan, report)

    def forget(self, name: str) -> None:
        """Forget the last round trip of a target."""
        self._round_trips.pop(name, None)

    async def _make(self, request: ProbeRequest, *, fresh: bool = False) -> ProbeReport | None:
        """Make one probe in a session of its own. Return None if an exporter-side shortage prevented it.

        An escaping exception becomes a failure report. A CancelledError counts as such an exception unless this task was cancelled.
        """
        target, clock, callbacks = request.target, self._clock, self._callbacks
        started_at, started = clock.time(), clock.monotonic()
        try:
            # The token request goes over this network, too, also after a reload: a secret must not go to a new route.
            network = self._networks.network_of(request.module)
            tokens = partial(self._tokens.token, request.credential, network, started=started, fresh=fresh)
            async with VaultSession(network, target.vault, request.module.api_version) as vault:
                try:
                    report = await Probe(request, vault, tokens, clock, callbacks.on_internal_error).run()
                finally:
                    callbacks.on_vault_requests(vault.connection.sent)
            exchanges = [(result, result.facts) for result in report.steps if result.facts is not None]
            for result, facts in exchanges:
                if facts.raised_at is not None:
                    callbacks.on_unexplained(facts)
                if facts.resent and not result.shared:
                    callbacks.resent(result.step)
            if any(facts.status == HTTPStatus.UNAUTHORIZED and result.step in KEY_STEPS for result, facts in exchanges):
                self._tokens.invalidate(request.credential)  # the vault refused one: drop the old ones
        except PoolExhausted as busy:
            callbacks.on_shortage(busy.shortage)
            return None
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and is_cancelled():
                raise
            with contextlib.suppress(Exception):
                callbacks.on_internal_error(error)
            duration, exception = clock.monotonic() - started, type(error).__name__
            return broken_report(target.name, target.generation, started_at=started_at, duration=duration, exception=exception)
        return report

    def _is_active(self, module: Module) -> bool:
        return self._config.modules.get(module.name) == module
