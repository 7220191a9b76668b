"""The metrics of the exporter itself, its process and Python."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable
from typing import Final, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

from exporter.core.values import Endpoint, Step
from exporter.metrics.families import BY_NAME
from exporter.metrics.protobuf import NativeHistogram, messages
from exporter.probing.schedule import Skip
from exporter.runtime.process import is_windows
from exporter.runtime.tasks import Shortage
from exporter.windows.api import resources

_MOST_HANDLES: Final = 16 * 1024 * 1024  # of a process, by Windows
SKIP_REASONS: Final = (*Skip, *Shortage)
REQUESTED: Final[tuple[Endpoint, ...]] = get_args(Endpoint)
_LAG: Final = "ekm_exporter_schedule_lag_seconds"


class WindowsProcessCollector(Collector):
    """The process on Windows, where prometheus_client has none: with its names, so that dashboards find them. Nothing if Windows refuses."""

    def collect(self) -> Iterable[Metric]:
        try:
            used = resources()
        except OSError:
            return
        yield CounterMetricFamily(
            "process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", value=used.cpu_seconds
        )
        for name, text, value in (
            ("process_virtual_memory_bytes", "Private memory size in bytes.", used.private_bytes),
            ("process_resident_memory_bytes", "Resident memory size in bytes.", used.resident_bytes),
            ("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", used.started),
            ("process_open_fds", "Number of open handles.", used.handles),
            ("process_max_fds", "Maximum number of open handles.", _MOST_HANDLES),
        ):
            yield GaugeMetricFamily(name, text, value=value)


class Instruments:
    """Metrics about the exporter itself. `version` and `mode` are labels of the build info."""

    def __init__(self, *, version: str, mode: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client leaves it untyped
        self._registry = CollectorRegistry()
        build = self._gauge("ekm_exporter_build_info")
        build.labels(version=version, python=platform.python_version(), mode=mode).set(1)
        self._reload_successful = self._gauge("ekm_exporter_config_last_reload_successful")
        self._reload_at = self._gauge("ekm_exporter_config_last_reload_success_timestamp_seconds")
        self._ready = self._gauge("ekm_exporter_ready")
        self._targets = self._gauge("ekm_exporter_targets")
        self._shards = self._gauge("ekm_exporter_shards")
        lag = BY_NAME[_LAG]
        self._lag = Histogram(lag.name, lag.help_text, buckets=lag.buckets, registry=self._registry)
        self._native_lag = NativeHistogram()
        self._started = time.time()
        self._skipped = self._counter("ekm_exporter_probes_skipped_total", *SKIP_REASONS)
        self._tainted = self._counter("ekm_exporter_probes_tainted_total")
        self._requests = self._counter("ekm_exporter_requests_total", *REQUESTED)
        self._resent = self._counter("ekm_exporter_resent_requests_total", *Step)
        self.internal_error = self._counter("ekm_exporter_internal_errors_total").inc
        # Takes the callback that returns the last minute's largest lag in seconds.
        self.watch_event_loop = self._gauge("ekm_exporter_event_loop_lag_seconds").set_function
        if is_windows():
            self._registry.register(WindowsProcessCollector())
        else:
            ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def _gauge(self, name: str) -> Gauge:
        spec = BY_NAME[name]
        return Gauge(spec.name, spec.help_text, spec.own, registry=self._registry)

    def _counter(self, name: str, *values: str) -> Counter:
        """A counter with a series at 0 for each value of its only label."""
        spec = BY_NAME[name]
        counter = Counter(spec.name, spec.help_text, spec.own, registry=self._registry)
        for value in values:
            counter.labels(value)
        return counter

    def reloaded(self, *, successful: bool, at: float) -> None:
        """Record a reload of the configuration at a Unix time."""
        self._reload_successful.set(successful)
        if successful:
            self._reload_at.set(at)

    def ready(self, *, ready: bool) -> None:
        self._ready.set(ready)

    def shard(self, index: int, count: int) -> None:
        """Record that this exporter is shard `index` of `count`."""
        self._shards.labels(str(index), str(count)).set(count)

    def schedule_lag(self, seconds: float) -> None:
        """Record the delay with which a probe started."""
        self._lag.observe(seconds)
        self._native_lag.observe(seconds)

    def skipped(self, reason: Skip | Shortage, count: int = 1) -> None:
        """Count scheduled probes that were not started."""
        self._skipped.labels(reason.value).inc(count)

    def requested(self, endpoint: Endpoint, count: int = 1) -> None:
        """Count requests that were sent."""
        self._requests.labels(endpoint).inc(count)

    def resent(self, step: Step) -> None:
        """Count a request that was sent again on a new connection."""
        self._resent.labels(step.value).inc()

    def watch_state(self, is_writable: Callable[[], bool]) -> None:
        """Set the callback that returns whether the state directory can be written; without it there is no series."""
        self._gauge("ekm_exporter_state_writable").set_function(is_writable)

    def render_own_protobuf(self) -> bytes:
        """Return all own metrics as protobuf."""
        return messages(self._registry.collect(), native={_LAG: self._native_lag}, started=self._started)

    def render_own(self, *, openmetrics: bool) -> bytes:
        """Return all own metrics as text; OpenMetrics includes the end mark."""
        if openmetrics:
            own: bytes = generate_openmetrics(self._registry)  # type: ignore[no-untyped-call]  # prometheus_client leaves it untyped
            return own
        return generate_latest(self._registry)
