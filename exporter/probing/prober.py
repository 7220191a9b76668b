"""Makes probes for the configuration in force: puts a vault's session, the shared tokens and the clock together.

For: the one way in which a probe comes about, whether the schedule, `/probe` or the command line asks for it.
Not for: the steps themselves (see `round_trip`), when to probe (see `scheduler`), what becomes of a report (see `app.service`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from contextvars import Context
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

from exporter.clients import HANDSHAKES, Network, Networks, VaultSession, encrypt_locally, fetch_token
from exporter.clients.entra import pending_facts
from exporter.config.model import Config, Credential, Module, Target
from exporter.core.auxiliary import AuxiliaryResult, assess
from exporter.core.broken import broken_report
from exporter.core.model import Challenge, Facts, Outcome, ProbeReport, Step, TokenResponse, TokenResult
from exporter.probing.auxiliary_plan import AuxiliaryProbe
from exporter.probing.round_trip import ProbeDependencies, ProbeRequest, run_probe
from exporter.runtime.loop_lag import LoopLag
from exporter.runtime.shortage import Shortage
from exporter.runtime.thread_pool import DaemonThreadPool, PoolExhausted
from exporter.tokens.cache import TokenCache
from exporter.tokens.reuse import TokenReusePolicy
from exporter.tokens.secret_cache import SecretCache

_UNAUTHORIZED = 401
_WITH_TOKEN = (Step.GET_KEY, Step.WRAP_KEY, Step.UNWRAP_KEY)


class LoopClock:
    """Unix time, and the running event loop's own time, in which deadlines are written."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


@dataclass(slots=True)
class _RoundTrip:
    """The last wrap and unwrap of one target: when (loop time), whether both went well, whether the bytes came back."""

    about: tuple[object, ...]  # what it proves something of; see `_about`
    at: float
    passed: bool
    unwrapped: bool
    enabled: bool | None  # as the vault called the key version then


@dataclass(frozen=True, slots=True, kw_only=True)
class ProberCallbacks:
    """Callbacks for what is no report: internal errors, probes without a thread, requests sent to Entra and to vaults.

    `bug` is called with an exception, `unexplained` with the facts of one that the adapter does not know.
    """

    bug: Callable[[BaseException], None]
    starved: Callable[[Shortage], None]
    token_requested: Callable[[], None]
    vault_requested: Callable[[int], None] = lambda _count: None
    unexplained: Callable[[Facts], None] = lambda _facts: None


class Prober:
    """Used from one event loop. Raises NetworkError at once where a module's authorities cannot be loaded."""

    def __init__(self, config: Config, *, lag: LoopLag, callbacks: ProberCallbacks) -> None:
        self._config, self._lag, self._callbacks = config, lag, callbacks
        # A thread for each probe in flight, as many on request as by the schedule: a dead name keeps its thread for as long as
        # the system likes.
        self._pool = DaemonThreadPool(2 * config.settings.concurrency, name="ekm-blocking")
        self._gate = asyncio.Semaphore(HANDSHAKES)
        self._networks = Networks(config, pool=self._pool, gate=self._gate)
        self._in_use: WeakValueDictionary[int, Network] = WeakValueDictionary()  # of probes under way, by the id of their module
        self._keeper = SecretCache(self._pool)
        self._desk = TokenCache(self._fetch, self._keeper, cycle=TokenReusePolicy(config), glimpse=self._glimpse)
        self._clock = LoopClock()
        self._round_trips: dict[str, _RoundTrip] = {}

    def reconfigure(self, config: Config) -> None:
        """From now on probes are made for this configuration; those under way end as they began.

        Raises NetworkError where a module's authorities cannot be loaded, and then changes nothing.
        """
        self._networks = Networks(config, pool=self._pool, gate=self._gate)
        self._config = config
        self._pool.allow(2 * config.settings.concurrency)
        self._desk.cycle = TokenReusePolicy(config)
        self._keeper.keep_only(config.credentials.values())

    async def aclose(self) -> None:
        """Ends token requests under way and lets go of the threads; probes have to be ended before."""
        await self._desk.aclose()
        await self._keeper.aclose()
        self._pool.close()

    async def probe_scheduled(self, target: Target) -> ProbeReport | None:
        """One probe as the schedule makes it: within `round_trip_interval` only token and key are asked for.

        None where the probe could not be made for a reason of our own, which says nothing about the vault; so it is for a target
        that a reload has just taken away or made another one, and whose loop is about to end.
        """
        if self._config.targets.get(target.name) != target:
            return None
        return await self._defended(target, self._scheduled(target))

    async def _scheduled(self, target: Target) -> ProbeReport | None:
        module = self._config.modules[target.module]
        order = self._order(target, module, self._credential(target))
        last = self._last_round_trip(order)
        due = last is None or not last.passed or self._clock.monotonic() - last.at >= module.round_trip_interval
        order = replace(order, round_trip=due, last_unwrapped=last.unwrapped if last else None)
        report = await self._make(order)
        changed = not due and last is not None and report is not None and _differs(report, last)
        if changed and self._is_active(module):
            # The key is not as it was when it last unwrapped: what was shown then need not be so now.
            due, report = True, await self._make(replace(order, round_trip=True))
        if due and report is not None:
            self._remember_round_trip(order, report)
        return report

    async def probe_on_demand(
        self,
        target: Target,
        *,
        module: Module | None = None,
        credential: Credential | None = None,
        patience: float | None = None,
        fresh: bool = False,
    ) -> ProbeReport | None:
        """One whole probe because somebody asks. `patience` in seconds is Prometheus', where it is shorter than the target's.

        `fresh` fetches a token even if one is shared at the moment. None as for `scheduled`.
        """
        return await self._defended(target, self._requested(target, module, credential, patience, fresh=fresh))

    async def _requested(
        self, target: Target, module: Module | None, credential: Credential | None, patience: float | None, *, fresh: bool
    ) -> ProbeReport | None:
        order = self._order(target, module or self._config.modules[target.module], credential or self._credential(target))
        if patience is not None and patience < order.timeout:
            order = replace(order, timeout=patience, cut_by_scrape=True)
        return await self._make(order, fresh=fresh)

    async def auxiliary(self, plan: AuxiliaryProbe, *, fresh: bool = False) -> AuxiliaryResult | None:
        """One look beside a main probe; None as for `scheduled`, and where time ran out while the exporter itself was slow."""
        if not self._is_active(plan.order.module):
            return None
        report = await self._defended(plan.order.target, self._make(plan.order, fresh=fresh))
        if report is None or report.inconclusive:
            return None
        target = plan.order.target
        return AuxiliaryResult(
            what=plan.what,
            name=plan.name,
            vault=target.vault,
            credential=target.credential,
            at=report.started_at,
            usable=None if plan.of_another_host else assess(plan.what, report.steps),
            steps=report.steps,
            key=report.key,
        )

    def forget(self, name: str) -> None:
        """A target is gone."""
        self._round_trips.pop(name, None)

    def _credential(self, target: Target) -> Credential:
        return self._config.credentials[target.credential]

    def _order(self, target: Target, module: Module, credential: Credential) -> ProbeRequest:
        vantage = self._config.settings.vantage
        return ProbeRequest(target=target, module=module, credential=credential, vantage=vantage, timeout=target.timeout)

    async def _defended(self, target: Target, probe: Coroutine[None, None, ProbeReport | None]) -> ProbeReport | None:
        """The last line of defence: whatever escapes from a probe becomes a report of a failure, and an internal error.

        A cancellation that nobody asked of this task is such an escape, too.
        """
        started_at, started = self._clock.time(), self._clock.monotonic()
        try:
            return await probe
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            escaped: BaseException = error
        except Exception as error:  # noqa: BLE001 - see above
            escaped = error
        with contextlib.suppress(Exception):
            self._callbacks.bug(escaped)
        ended = self._clock.monotonic()
        tainted = self._lag.lagged_between(started, ended)
        exception = type(escaped).__name__
        report = broken_report(
            target.name, target.generation, started_at=started_at, duration=ended - started, exception=exception
        )
        return replace(report, tainted=tainted)

    async def _make(self, order: ProbeRequest, *, fresh: bool = False) -> ProbeReport | None:
        started = self._clock.monotonic()

        async def tokens(challenge: Challenge, *, deadline: float) -> TokenResult:
            return await self._desk.token(
                order.credential, order.module, challenge, started=started, deadline=deadline, fresh=fresh
            )

        network = self._in_use[id(order.module)] = self._network(order.module)
        async with VaultSession(network, order.target.vault, order.module.api_version) as vault:
            ports = ProbeDependencies(
                vault=vault, tokens=tokens, clock=self._clock, encrypt=encrypt_locally, on_bug=self._callbacks.bug
            )
            try:
                report = await run_probe(order, ports)
            except PoolExhausted as busy:
                self._callbacks.starved(busy.shortage)
                return None
            finally:
                self._callbacks.vault_requested(vault.sent)
        for result in report.steps:
            if result.facts is not None and result.facts.raised_at is not None:
                self._callbacks.unexplained(result.facts)
        if any(
            result.facts is not None and result.facts.status == _UNAUTHORIZED
            for result in report.steps
            if result.step in _WITH_TOKEN
        ):
            self._desk.invalidate(order.credential)
        if self._lag.lagged_between(started, self._clock.monotonic()):
            return replace(report, tainted=True)
        return report

    async def _fetch(
        self, module: Module, credential: Credential, secret: str | None, challenge: Challenge, *, deadline: float
    ) -> TokenResponse:
        self._callbacks.token_requested()
        return await fetch_token(self._network(module), credential, secret, challenge, deadline=deadline)

    def _glimpse(self, context: Context, module: Module, challenge: Challenge) -> Facts:
        return pending_facts(context, self._network(module), challenge.authority)

    def _is_active(self, module: Module) -> bool:
        return self._config.modules.get(module.name) == module

    def _network(self, module: Module) -> Network:
        """That of the probe under way, also after a reload: a secret goes only where it was to go when its probe began."""
        return self._in_use.get(id(module)) or self._networks.of(module)

    def _last_round_trip(self, order: ProbeRequest) -> _RoundTrip | None:
        """None, too, where a reload has since named another key, credential or way."""
        last = self._round_trips.get(order.target.name)
        return last if last is not None and last.about == _about(order) else None

    def _remember_round_trip(self, order: ProbeRequest, report: ProbeReport) -> None:
        outcomes = {result.step: result.outcome for result in report.steps}
        if outcomes[Step.UNWRAP_KEY] is not Outcome.SKIPPED:
            unwrapped = outcomes[Step.UNWRAP_KEY] is Outcome.OK
            passed = unwrapped and outcomes[Step.WRAP_KEY] is Outcome.OK
            enabled = None if report.key is None else report.key.enabled
            self._round_trips[report.target] = _RoundTrip(_about(order), self._clock.monotonic(), passed, unwrapped, enabled)


def _about(order: ProbeRequest) -> tuple[object, ...]:
    """That an unwrap went well says nothing of another key version, identity or way."""
    return order.target.vault, order.target.key, order.credential, order.module


def _differs(report: ProbeReport, last: _RoundTrip) -> bool:
    """Whether a key that was read without a round trip has been enabled or disabled since the last one."""
    return report.key is not None and report.key.enabled != last.enabled
