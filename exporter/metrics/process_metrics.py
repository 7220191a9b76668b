"""The metrics of the process on Windows, where prometheus_client has none: with its names, so that dashboards find them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from exporter.runtime.windows.resources import resources

_MOST_HANDLES: Final = 16 * 1024 * 1024  # of a process, by Windows


class WindowsProcessCollector(Collector):
    """Collects nothing if Windows refuses."""

    def collect(self) -> Iterable[Metric]:
        try:
            used = resources()
        except OSError:
            return
        yield GaugeMetricFamily("process_virtual_memory_bytes", "Private memory size in bytes.", value=used.private_bytes)
        yield GaugeMetricFamily("process_resident_memory_bytes", "Resident memory size in bytes.", value=used.resident_bytes)
        yield GaugeMetricFamily(
            "process_start_time_seconds", "Start time of the process since unix epoch in seconds.", value=used.started
        )
        yield CounterMetricFamily(
            "process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", value=used.cpu_seconds
        )
        yield GaugeMetricFamily("process_open_fds", "Number of open handles.", value=used.handles)
        yield GaugeMetricFamily("process_max_fds", "Maximum number of open handles.", value=_MOST_HANDLES)
