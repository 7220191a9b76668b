"""`/probe`: probes one configured target now, like blackbox_exporter.

The handler refuses an unknown target or module before any work starts. `ProbeCache` makes one probe at a time per target, and within
`min_interval` at most one with the target's own module and one with others: that protects a vault, whatever the number of Prometheus replicas
and clients.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import hdrs, web

from exporter.config.schema import effective_module
from exporter.config.settings import Config, Module, Target
from exporter.core.names import nearest
from exporter.knowledge.report import ProbeReport
from exporter.presentation.text import seconds, transcript
from exporter.runtime.tasks import SingleFlight
from exporter.state.record import unsteady_at
from exporter.web.access import wants_transcript
from exporter.web.interfaces import ExporterService
from exporter.web.listener import OPENMETRICS, TEXT, accepts_openmetrics, header
from exporter.web.options import WebOptions

# The part of the offset in which a finished probe may return its report. The rest is for the response.
_SHARE_OF_OFFSET = 0.5
# Seconds that a request without a scrape timeout waits for earlier probes and `min_interval` after each.
_LONGEST_WAIT = 30.0
_TIMEOUT_HEADER = "X-Prometheus-Scrape-Timeout-Seconds"
_NO_REPORT = (
    "No report: the probe did not end in time, or the exporter was too busy. The vault was not tested. Try again later.\n"
)
_PROBED_RECENTLY = (
    "No report: another probe of this target is running, or ended less than min_interval ago. The vault was not tested. "
    "Try again in {} s.\n"
)
_SHOWN = 80
# A comparison with thousands of names would block the event loop.
_MOST_COMPARED = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """The time limit of a probe.

    `seconds` is None if the target's own timeout applies. `remaining` is the time in seconds until the request has to end.
    """

    seconds: float | None
    remaining: float | None

    def allows_more_than(self, other: Limit) -> bool:
        return other.seconds is not None and (self.seconds is None or self.seconds > other.seconds)

    def allows_half_of(self, target_timeout: float) -> bool:
        return self.seconds is None or self.seconds >= target_timeout / 2


def limit_of(header: str | None, *, offset: float, target_timeout: float) -> Limit:
    """Return the scrape timeout header's seconds minus `offset`.

    A header that is not a positive number is ignored. If the offset leaves nothing, half of the header's value is used.
    """
    scrape = _positive(header)
    if scrape is None:
        return Limit(seconds=None, remaining=None)
    budget = scrape - offset if scrape > offset else scrape / 2
    remaining = budget + (scrape - budget) * _SHARE_OF_OFFSET
    return Limit(seconds=budget if budget < target_timeout else None, remaining=remaining)


def _positive(header: str | None) -> float | None:
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None


Probe = Callable[[str, str, Limit], Awaitable[ProbeReport | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedReport:
    """A report and its age in seconds. `age` is None if the probe was made for this request."""

    report: ProbeReport
    age: float | None = None


@dataclass(frozen=True, slots=True)
class RetryLater:
    """Another probe of the target comes first. A new request can succeed after `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeDemand:
    """The probe that a request needs.

    `about` is the configuration behind the names, which a reload can change. `own` marks a usual scrape: the target's own module
    with at least half of the target's timeout. Other requests never delay it.
    """

    target: str
    module: str
    limit: Limit
    about: object = None
    own: bool = True

    def same_probe(self, other: ProbeDemand) -> bool:
        return (self.target, self.module, self.about) == (other.target, other.module, other.about)


@dataclass(frozen=True, slots=True)
class _CachedProbe:
    demand: ProbeDemand
    report: ProbeReport
    at: float


@dataclass(slots=True)
class _InFlightProbe:
    """A running or queued probe, and the number of requests that wait for it.

    It is no `SingleFlight`: it has no task while it waits in its queue, and a request for more time may replace its demand.
    """

    demand: ProbeDemand  # of the request with the most time
    report: asyncio.Future[ProbeReport | None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    began: bool = False
    requests: int = 0


class _Queue(list[_InFlightProbe]):
    """The probes of a target in work; `changed` is set if the order may have changed."""

    def __init__(self, first: _InFlightProbe) -> None:
        super().__init__([first])
        self.changed = asyncio.Event()


async def _first_of(seconds: float, changed: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await changed.wait()


class ProbeCache:
    """Single flight and a short-lived cache per target. Each module has its own report."""

    def __init__(
        self,
        probe: Probe,
        *,
        min_interval: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float, asyncio.Event], Awaitable[None]] = _first_of,
    ) -> None:
        self._probe = probe
        self._min_interval = min_interval
        self._clock = clock
        self._sleep = sleep
        self._queues: dict[str, _Queue] = {}
        self._runners: SingleFlight[str, None] = SingleFlight()  # by target
        self._recent: dict[str, tuple[_CachedProbe, ...]] = {}  # by target, the newest last

    async def report_for(self, demand: ProbeDemand) -> CachedReport | RetryLater | None:
        """Return a new report, the report of a running probe, or a cached one.

        The result is None if no report came in time.

        A report from before a reload of the target is never used. A report that a scrape timeout cut is not used for a request
        with more time.
        """
        try:
            async with asyncio.timeout(demand.limit.remaining):
                return await self._report_for(demand)
        except TimeoutError:
            flight = self._find_in_flight(demand)
            queued = flight is not None and not flight.began
            return RetryLater(self._wait(demand)) if queued else None

    async def _report_for(self, demand: ProbeDemand) -> CachedReport | RetryLater | None:
        while (flight := self._find_in_flight(demand)) is not None:
            report = await self._report_of(flight, demand)
            if _whole(report) or not demand.limit.allows_more_than(flight.demand.limit):
                return None if report is None else CachedReport(report=report)
        known = self._remembered(demand)
        if known is not None:
            return CachedReport(report=known.report, age=self._clock() - known.at)
        wait = self._wait(demand)
        if wait > (_LONGEST_WAIT if demand.limit.remaining is None else demand.limit.remaining):
            return RetryLater(wait)
        report = await self._report_of(self._enqueue(demand), demand)
        return None if report is None else CachedReport(report=report)

    def _find_in_flight(self, demand: ProbeDemand) -> _InFlightProbe | None:
        return next((flight for flight in self._queues.get(demand.target, ()) if flight.demand.same_probe(demand)), None)

    async def _report_of(self, flight: _InFlightProbe, demand: ProbeDemand) -> ProbeReport | None:
        """Wait for the report. A client that disconnects or times out does not end the probe."""
        if not flight.began and demand.limit.allows_more_than(flight.demand.limit):
            flight.demand = demand
            self._queues[demand.target].changed.set()
        flight.requests += 1
        try:
            await asyncio.wait([flight.report])
        finally:
            flight.requests -= 1
        return None if flight.report.cancelled() else flight.report.result()

    def _enqueue(self, demand: ProbeDemand) -> _InFlightProbe:
        flight = _InFlightProbe(demand)
        queue = self._queues.get(demand.target)
        if queue is not None:
            queue.append(flight)
            queue.changed.set()
            return flight
        self._queues[demand.target] = _Queue(flight)
        self._runners.start(demand.target, self._run(demand.target), name=f"probes on demand {demand.target}")
        return flight

    async def _run(self, target: str) -> None:
        """Make the waiting probes of this target one by one (see `_pause`)."""
        queue = self._queues[target]
        try:
            while (flight := _next(queue)) is not None:
                queue.changed.clear()
                if (pause := self._pause(flight.demand)) > 0:
                    await self._sleep(pause, queue.changed)
                    continue
                flight.began = True
                await self._make_probe(flight)
                queue.remove(flight)
        finally:
            self._give_up(target)

    async def _make_probe(self, flight: _InFlightProbe) -> None:
        demand = flight.demand
        try:
            report = await self._probe(demand.target, demand.module, demand.limit)
        except Exception as error:  # noqa: BLE001 - the error belongs to the requests that wait for this report
            flight.report.set_exception(error)
            flight.report.exception()  # marks the exception as retrieved: perhaps no request waits any more
            return
        if report is not None:
            self._remember(_CachedProbe(demand, report, self._clock()))
        flight.report.set_result(report)

    def _wait(self, demand: ProbeDemand) -> float:
        """Return the least seconds until its turn. Probes of other modules go first, unless it is `own`."""
        ahead = 0 if demand.own else sum(flight.demand.module != demand.module for flight in self._queues.get(demand.target, ()))
        return self._pause(demand) + ahead * self._min_interval()

    def _pause(self, demand: ProbeDemand) -> float:
        """Return the seconds until `min_interval` has passed for this probe.

        An `own` probe is delayed only by `own` probes. A changed configuration behind the names means no delay.
        """
        last = [known for known in self._recent.get(demand.target, ()) if known.demand.own or not demand.own][-1:]
        if not last or (last[0].demand.module == demand.module and last[0].demand.about != demand.about):
            return 0.0
        return max(0.0, last[0].at + self._min_interval() - self._clock())

    def _remembered(self, demand: ProbeDemand) -> _CachedProbe | None:
        """Return the newest report that is recent enough for this request."""
        for known in reversed(self._recent.get(demand.target, ())):
            if known.demand.same_probe(demand) and self._clock() - known.at < self._min_interval():
                return known if _whole(known.report) or not demand.limit.allows_more_than(known.demand.limit) else None
        return None

    def _remember(self, new: _CachedProbe) -> None:
        oldest = new.at - self._min_interval()
        young = {target: tuple(one for one in known if one.at > oldest) for target, known in self._recent.items()}
        self._recent = {target: known for target, known in young.items() if known}
        self._recent[new.demand.target] = (*self._recent.get(new.demand.target, ()), new)

    async def close(self) -> None:
        """Cancel the running probes; requests that wait for one get no report."""
        await self._runners.aclose()
        for target in list(self._queues):  # a runner that was cancelled before its start left its queue
            self._give_up(target)

    def _give_up(self, target: str) -> None:
        for flight in self._queues.pop(target):
            flight.report.cancel()


def _next(queue: list[_InFlightProbe]) -> _InFlightProbe | None:
    """Return the next probe, `own` ones first; drop probes that no request waits for."""
    queue[:] = [flight for flight in queue if flight.requests]
    return min(queue, key=lambda flight: not flight.demand.own, default=None)


def _whole(report: ProbeReport | None) -> bool:
    """Whether no scrape timeout cut the report."""
    return report is not None and not report.cut_by_scrape


class NotConfiguredError(ValueError):
    """An unknown target or module, or a pair that is not configured. The message is one line."""


class ProbeHandler:
    """The handler of `/probe` and its cache."""

    def __init__(self, service: ExporterService, options: WebOptions) -> None:
        self._service = service
        self._offset = options.timeout_offset
        self._cache = ProbeCache(self._probe, min_interval=lambda: service.config.settings.min_interval)

    async def handle(self, request: web.Request) -> web.Response:
        config = self._service.config
        try:
            target, module = select_probe(config, request.query)
        except NotConfiguredError as error:
            return web.Response(status=400, text=f"{error}\n")
        limit = limit_of(request.headers.get(_TIMEOUT_HEADER), offset=self._offset, target_timeout=target.timeout)
        about = target, module, config.credentials[target.credential], config.settings.vantage
        own = module.name == target.module and limit.allows_half_of(target.timeout)
        cached = await self._cache.report_for(
            ProbeDemand(target=target.name, module=module.name, limit=limit, about=about, own=own)
        )
        if cached is None:
            return web.Response(status=503, text=_NO_REPORT)
        if isinstance(cached, RetryLater):
            later = str(max(1, math.ceil(cached.seconds)))
            return web.Response(status=503, text=_PROBED_RECENTLY.format(later), headers={hdrs.RETRY_AFTER: later})
        if wants_transcript(request.query):
            return web.Response(text=self._debug(target, module, cached))
        openmetrics = accepts_openmetrics(header(request, hdrs.ACCEPT))
        body = self._service.recorder.render_probe(target, module, cached.report, openmetrics=openmetrics)
        return web.Response(body=body, headers={"Content-Type": OPENMETRICS if openmetrics else TEXT, "Vary": "Accept"})

    async def close(self, _app: web.Application) -> None:
        await self._cache.close()

    async def _probe(self, target: str, module: str, limit: Limit) -> ProbeReport | None:
        return await self._service.probe(target, module, timeout=limit.seconds)

    def _debug(self, target: Target, module: Module, cached: CachedReport) -> str:
        config, recorder = self._service.config, self._service.recorder
        text = transcript(target, cached.report, vantage=config.settings.vantage)
        heading = "" if cached.age is None else f"Cached report: this probe ended {seconds(cached.age)} ago.\n\n"
        unsteady = unsteady_at(self._service.record_of(target.name), time.time())
        heading += f"The target is {unsteady}.\n\n" if unsteady else ""
        metrics = recorder.render_probe(target, module, cached.report).decode()
        return f"{heading}{text}\n\nMetrics of this probe:\n\n{metrics}\n\nModule:\n\n{effective_module(module)}"


def select_probe(config: Config, query: Mapping[str, str]) -> tuple[Target, Module]:
    """Return the target and module of a query. Raises NotConfiguredError before any work starts."""
    name = query.get("target", "")
    if not name:
        raise NotConfiguredError(
            "the parameter target is missing: request /probe?target=NAME with the name of a configured target"
        )
    target = config.targets.get(name)
    if target is None:
        raise NotConfiguredError(f"unknown target {_quoted(name)}{_hint(name, config.targets)}")
    wanted = query.get("module") or target.module
    module = config.modules.get(wanted)
    if module is None:
        raise NotConfiguredError(f"unknown module {_quoted(wanted)}{_hint(wanted, config.modules)}")
    if not target.allows(module.name):
        raise NotConfiguredError(
            f"module {_quoted(wanted)} is not for target {_quoted(name)}: omit the parameter module, "
            "or list the module under the target's modules in the configuration"
        )
    return target, module


def _quoted(name: str) -> str:
    return repr(name if len(name) <= _SHOWN else name[:_SHOWN] + "…")


def _hint(name: str, known: Mapping[str, object]) -> str:
    return nearest(name, known) if len(known) <= _MOST_COMPARED else ""
