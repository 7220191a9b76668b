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
from exporter.web.listener import OPENMETRICS, format_for, header
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


def limit_of(header: str | None, *, offset: float, target_timeout: float) -> Limit:
    """Return the scrape timeout header's seconds minus `offset`.

    A header that is not a positive number is ignored. If the offset leaves nothing, half of the header's value is used.
    """
    try:
        scrape = float(header or "")
    except ValueError:
        scrape = 0.0
    if not 0 < scrape < math.inf:
        return Limit(seconds=None, remaining=None)
    budget = scrape - offset if scrape > offset else scrape / 2
    remaining = budget + (scrape - budget) * _SHARE_OF_OFFSET
    return Limit(seconds=budget if budget < target_timeout else None, remaining=remaining)


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


@dataclass(slots=True, eq=False)
class _Probe:
    """A probe that waits in its queue, runs or has ended, and the number of requests that wait for it.

    It is no `SingleFlight`: it has no task while it waits, and a request for more time may replace its demand.
    """

    demand: ProbeDemand  # of the request with the most time
    report: asyncio.Future[ProbeReport | None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    began: bool = False
    requests: int = 0
    ended_at: float = 0.0

    def serves(self, demand: ProbeDemand, report: ProbeReport | None) -> bool:
        """Whether its report is as good as a new one: no scrape timeout cut it, or the request has no more time."""
        is_whole = report is not None and not report.cut_by_scrape
        return is_whole or not demand.limit.allows_more_than(self.demand.limit)


class _Queue(list[_Probe]):
    """The probes of a target in work; `changed` is set if the order may have changed."""

    def __init__(self) -> None:
        super().__init__()
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
        self._probe, self._min_interval, self._clock, self._sleep = probe, min_interval, clock, sleep
        self._queues: dict[str, _Queue] = {}
        self._runners: SingleFlight[str, None] = SingleFlight()  # by target
        self._recent: dict[str, list[_Probe]] = {}  # with a report, by target, the newest last

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
            probe = self._in_flight(demand)
            return None if probe is None or probe.began else RetryLater(self._wait(demand))

    async def _report_for(self, demand: ProbeDemand) -> CachedReport | RetryLater | None:
        while (probe := self._in_flight(demand)) is not None:
            report = await self._report_of(probe, demand)
            if probe.serves(demand, report):
                return None if report is None else CachedReport(report=report)
        last = next((each for each in reversed(self._recent.get(demand.target, ())) if each.demand.same_probe(demand)), None)
        age = math.inf if last is None else self._clock() - last.ended_at
        if last is not None and age < self._min_interval() and (known := last.report.result()) and last.serves(demand, known):
            return CachedReport(report=known, age=age)
        wait = self._wait(demand)
        if wait > (_LONGEST_WAIT if demand.limit.remaining is None else demand.limit.remaining):
            return RetryLater(wait)
        report = await self._report_of(self._enqueue(demand), demand)
        return None if report is None else CachedReport(report=report)

    def _in_flight(self, demand: ProbeDemand) -> _Probe | None:
        return next((probe for probe in self._queues.get(demand.target, ()) if probe.demand.same_probe(demand)), None)

    async def _report_of(self, probe: _Probe, demand: ProbeDemand) -> ProbeReport | None:
        """Wait for the report. A client that disconnects or times out does not end the probe."""
        if not probe.began and demand.limit.allows_more_than(probe.demand.limit):
            probe.demand = demand
            self._queues[demand.target].changed.set()
        probe.requests += 1
        try:
            await asyncio.wait([probe.report])
        finally:
            probe.requests -= 1
        return None if probe.report.cancelled() else probe.report.result()

    def _enqueue(self, demand: ProbeDemand) -> _Probe:
        probe, is_first = _Probe(demand), demand.target not in self._queues
        queue = self._queues.setdefault(demand.target, _Queue())
        queue.append(probe)
        queue.changed.set()
        if is_first:
            self._runners.start(demand.target, self._run(demand.target, queue), name=f"probes on demand {demand.target}")
        return probe

    async def _run(self, target: str, queue: _Queue) -> None:
        """Make the waiting probes of this target one by one, `own` ones first (see `_pause`); drop those that no request waits for."""
        try:
            while wanted := [probe for probe in queue if probe.requests]:
                queue[:] = wanted
                probe = min(queue, key=lambda each: not each.demand.own)
                queue.changed.clear()
                if (pause := self._pause(probe.demand)) > 0:
                    await self._sleep(pause, queue.changed)
                    continue
                probe.began = True
                await self._make(probe)
                queue.remove(probe)
        finally:
            self._give_up(target)

    async def _make(self, probe: _Probe) -> None:
        demand = probe.demand
        try:
            report = await self._probe(demand.target, demand.module, demand.limit)
        except Exception as error:  # noqa: BLE001 - the error belongs to the requests that wait for this report
            probe.report.set_exception(error)
            probe.report.exception()  # marks the exception as retrieved: perhaps no request waits any more
            return
        probe.ended_at = self._clock()
        probe.report.set_result(report)
        if report is not None:
            oldest = probe.ended_at - self._min_interval()
            young = {target: [one for one in known if one.ended_at > oldest] for target, known in self._recent.items()}
            self._recent = {target: known for target, known in young.items() if known}
            self._recent.setdefault(demand.target, []).append(probe)

    def _wait(self, demand: ProbeDemand) -> float:
        """Return the least seconds until its turn. Probes of other modules go first, unless it is `own`."""
        ahead = 0 if demand.own else sum(probe.demand.module != demand.module for probe in self._queues.get(demand.target, ()))
        return self._pause(demand) + ahead * self._min_interval()

    def _pause(self, demand: ProbeDemand) -> float:
        """Return the seconds until `min_interval` has passed for this probe.

        An `own` probe is delayed only by `own` probes. A changed configuration behind the names means no delay.
        """
        known = reversed(self._recent.get(demand.target, ()))
        last = next((each for each in known if each.demand.own or not demand.own), None)
        if last is None or (last.demand.module == demand.module and last.demand.about != demand.about):
            return 0.0
        return max(0.0, last.ended_at + self._min_interval() - self._clock())

    async def close(self, _app: web.Application | None = None) -> None:
        """Cancel the running probes; requests that wait for one get no report."""
        await self._runners.aclose()
        for target in list(self._queues):  # a runner that was cancelled before its start left its queue
            self._give_up(target)

    def _give_up(self, target: str) -> None:
        for probe in self._queues.pop(target):
            probe.report.cancel()


class ProbeHandler:
    """The handler of `/probe` and its cache."""

    def __init__(self, service: ExporterService, options: WebOptions) -> None:
        self._service, self._offset = service, options.timeout_offset
        self.cache = ProbeCache(
            lambda target, module, limit: service.probe(target, module, timeout=limit.seconds),
            min_interval=lambda: service.config.settings.min_interval,
        )

    async def handle(self, request: web.Request) -> web.Response:
        config = self._service.config
        found = select_probe(config, request.query)
        if isinstance(found, str):
            return web.Response(status=400, text=f"{found}\n")
        target, module = found
        limit = limit_of(request.headers.get(_TIMEOUT_HEADER), offset=self._offset, target_timeout=target.timeout)
        about = target, module, config.credentials[target.credential], config.settings.vantage
        own = module.name == target.module and (limit.seconds is None or limit.seconds >= target.timeout / 2)
        demand = ProbeDemand(target=target.name, module=module.name, limit=limit, about=about, own=own)
        cached = await self.cache.report_for(demand)
        if cached is None:
            return web.Response(status=503, text=_NO_REPORT)
        if isinstance(cached, RetryLater):
            later = str(max(1, math.ceil(cached.seconds)))
            return web.Response(status=503, text=_PROBED_RECENTLY.format(later), headers={hdrs.RETRY_AFTER: later})
        if wants_transcript(request.query):
            return web.Response(text=self._debug(target, module, cached))
        content_type = format_for(header(request, hdrs.ACCEPT), protobuf=False)
        body = self._service.recorder.render_probe(target, module, cached.report, openmetrics=content_type == OPENMETRICS)
        return web.Response(body=body, headers={"Content-Type": content_type, "Vary": "Accept"})

    def _debug(self, target: Target, module: Module, cached: CachedReport) -> str:
        text = transcript(target, cached.report, vantage=self._service.config.settings.vantage)
        heading = "" if cached.age is None else f"Cached report: this probe ended {seconds(cached.age)} ago.\n\n"
        unsteady = unsteady_at(self._service.record_of(target.name), time.time())
        heading += f"The target is {unsteady}.\n\n" if unsteady else ""
        metrics = self._service.recorder.render_probe(target, module, cached.report).decode()
        return f"{heading}{text}\n\nMetrics of this probe:\n\n{metrics}\n\nModule:\n\n{effective_module(module)}"


def select_probe(config: Config, query: Mapping[str, str]) -> tuple[Target, Module] | str:
    """Return the target and module of a query, before any work starts; or in one line, which of them is unknown or not configured."""
    name = query.get("target", "")
    if not name:
        return "the parameter target is missing: request /probe?target=NAME with the name of a configured target"
    if (target := config.targets.get(name)) is None:
        return _unknown("target", name, config.targets)
    wanted = query.get("module") or target.module
    if (module := config.modules.get(wanted)) is None:
        return _unknown("module", wanted, config.modules)
    if target.allows(module.name):
        return target, module
    allow = "omit the parameter module, or list the module under the target's modules in the configuration"
    return f"module {_quoted(wanted)} is not for target {_quoted(name)}: {allow}"


def _unknown(kind: str, name: str, known: Mapping[str, object]) -> str:
    return f"unknown {kind} {_quoted(name)}{nearest(name, known) if len(known) <= _MOST_COMPARED else ''}"


def _quoted(name: str) -> str:
    return repr(name if len(name) <= _SHOWN else name[:_SHOWN] + "…")
