"""`/probe`: probes one configured target now, like blackbox_exporter.

The handler refuses an unknown target or module before any work starts. `probe_cache` limits the probes of a target.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from aiohttp import hdrs, web

from exporter.config.settings import Config, Module, Target, effective_module
from exporter.core.model import ProbeReport
from exporter.core.suggestions import nearest
from exporter.presentation.probe_text import seconds, transcript
from exporter.state.records import unsteady_at
from exporter.web.access import wants_transcript
from exporter.web.handlers.probe_cache import CachedReport, Limit, ProbeCache, ProbeDemand, RetryLater, limit_of
from exporter.web.interfaces import ExporterService
from exporter.web.options import WebOptions
from exporter.web.server.negotiation import OPENMETRICS, TEXT, accepts_openmetrics, header

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


class NotConfiguredError(ValueError):
    """An unknown target or module, or a pair that is not configured.

    The message is one line.
    """


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
    """Return the target and module of a query.

    Raises UnknownNameError before any work starts.
    """
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
