"""The dashboard of the exporter itself: does it probe when it should, and what does it cost?

For: schedule, event loop, memory, requests, reloads, clocks.
Not for: anything about a target (see `fleet`, `vault`).
"""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import dashboard as building

from dashboards import frame, panels, sheets
from dashboards.panels import Number, over_time, rows
from dashboards.promql import of_exporters, quantile, series
from dashboards.sheets import column, mapped
from dashboards.words import BAD, GOOD, NEUTRAL, OKAY, WARNING, YES_NO

TITLE: Final = "EKM / Exporter"
DESCRIPTION: Final = (
    "The exporters themselves: whether they probe in time, and what they use of their host, of Entra ID and of the vaults."
)


_UP: Final = of_exporters(series("up"))


_NONE: Final = f"0 * count{_UP}"
NUMBERS: Final = (
    Number("Exporters up", "Exporters that Prometheus scrapes.", f"sum{_UP} or vector(0)", levels=((1, GOOD),), start=BAD),
    Number(
        "Exporters down",
        "Exporters that Prometheus scraped within a day and cannot scrape now.",
        f"count({_UP} == 0) or {_NONE}",
        levels=panels.ANY_IS_BAD,
        start=GOOD,
    ),
    Number(
        "Targets",
        "Targets of all exporters; one that two exporters probe counts twice.",
        f"sum({series('ekm_exporter_targets')})",
    ),
    Number(
        "Reload failed",
        "Exporters whose configuration file has a problem: they continue with the last valid one.",
        f"count({series('ekm_exporter_config_last_reload_successful')} == 0) or {_NONE}",
        levels=panels.ANY_IS_BAD,
        start=GOOD,
    ),
    Number(
        "Starting",
        "Exporters whose first probes have not finished yet.",
        f"count({series('ekm_exporter_ready')} == 0) or {_NONE}",
        levels=panels.ANY_IS_WARNING,
        start=GOOD,
    ),
    Number(
        "Internal errors",
        "Internal errors of the exporters in the chosen time range; their logs have each one.",
        f"sum(increase({series('ekm_exporter_internal_errors_total', over='$__range')}))",
        levels=panels.ANY_IS_WARNING,
        start=GOOD,
        decimals=0,
    ),
)


def _gained(name: str, by: str) -> str:
    return f"sum by ({by}) (increase({series(name, over='$__rate_interval')}))"


def _lag(share: float) -> str:
    return quantile(share, "ekm_exporter_schedule_lag_seconds", by="instance")


def _list() -> list[panels.Panel]:
    panel = sheets.sheet(
        "Exporters",
        "Each exporter, its version, and when its configuration was read.",
        rows(f"max by (instance, version, python, mode) ({series('ekm_exporter_build_info')})", "A"),
        rows(f"max by (instance) ({series('ekm_exporter_targets')})", "B"),
        rows(f"min by (instance) ({series('ekm_exporter_config_last_reload_successful')})", "C"),
        rows(f"time() - max by (instance) ({series('ekm_exporter_config_last_reload_success_timestamp_seconds')})", "D"),
        rows(f"min by (instance) ({series('ekm_exporter_ready')})", "E"),
        rows(f"time() - max by (instance) {of_exporters(series('process_start_time_seconds'))}", "F"),
        rows(f"min by (instance) {_UP}", "G"),
        rows(f"min by (instance) ({series('ekm_exporter_state_writable')})", "H"),
        size=(24, 6),
        empty="not known",
    )
    names = {
        "instance": "Exporter",
        "Value #G": "Scraped",
        "version": "Version",
        "python": "Python",
        "mode": "Mode",
        "Value #B": "Targets",
        "Value #C": "Configuration",
        "Value #D": "Read",
        "Value #E": "Ready",
        "Value #H": "State kept",
        "Value #F": "Running for",
    }
    sheets.columns(panel, names, by="instance")
    for name, mapping in (("Scraped", YES_NO), ("Configuration", OKAY), ("Ready", YES_NO), ("State kept", YES_NO)):
        column(panel, name, mapped(mapping), sheets.COLORED)
    column(panel, "Read", ("unit", "s"), ("decimals", 0))
    return [column(panel, "Running for", ("unit", "s"), ("decimals", 0))]


def _schedule() -> list[panels.Panel]:
    skipped = _gained("ekm_exporter_probes_skipped_total", "instance, reason")
    tainted = _gained("ekm_exporter_probes_tainted_total", "instance")
    lag = f"max by (instance) ({series('ekm_exporter_event_loop_lag_seconds')})"
    return [
        panels.lines(
            "Schedule lag",
            "How much later than planned probes started: half of them, and all but one in a hundred.",
            over_time(_lag(0.5), "{{instance}} p50", "A"),
            over_time(_lag(0.99), "{{instance}} p99", "B"),
        ),
        panels.bars(
            "Skipped probes",
            "Planned probes that were skipped, by reason: the last one still ran, the vault throttles, too few threads to resolve names.",
            over_time(f"{skipped} > 0", "{{instance}} {{reason}}"),
        ).no_value("No probe was skipped."),
        panels.lines(
            "Event loop lag",
            "Longest delay of the event loop in the last minute. Results of probes are discarded if it was late for most of their time.",
            over_time(lag, "{{instance}}"),
        ),
        panels.bars(
            "Discarded results",
            "Probes that failed without an answer while this host was too slow: nothing is known of their targets.",
            over_time(f"{tainted} > 0", "{{instance}}"),
        ).no_value("No result was discarded."),
    ]


def _cost() -> list[panels.Panel]:
    cpu = of_exporters(f"rate({series('process_cpu_seconds_total', over='$__rate_interval')})")
    memory = of_exporters(series("process_resident_memory_bytes"))
    files = of_exporters(f"{series('process_open_fds')} / {series('process_max_fds')}")
    requests = f"sum by (endpoint) (rate({series('ekm_exporter_requests_total', over='$__rate_interval')}))"
    return [
        panels.lines(
            "Requests sent",
            "Requests a second to vaults, to Entra ID and to Microsoft Graph, of all chosen exporters.",
            over_time(requests, "{{endpoint}}"),
            unit="reqps",
        ),
        panels.lines(
            "Memory",
            "Resident memory of each exporter.",
            over_time(f"max by (instance) {memory}", "{{instance}}"),
            unit="bytes",
        ),
        panels.lines("CPU", "Share of one core.", over_time(f"sum by (instance) {cpu}", "{{instance}}"), unit="percentunit"),
        panels.lines(
            "Open files",
            "File descriptors in use, of those allowed.",
            over_time(f"max by (instance) {files}", "{{instance}}"),
            unit="percentunit",
        ),
    ]


def _clocks() -> list[panels.Panel]:
    skew = f"max by (endpoint) ({series('ekm_clock_skew_seconds')})"
    panel = panels.lines(
        "Clock skew",
        "Clock of each endpoint minus the exporter's, from the Date header with a resolution of 1 s. A skew of minutes makes sign-ins fail.",
        over_time(skew, "{{endpoint}}"),
        size=(24, 8),
        floor=None,
    )
    return [panel.thresholds(panels.steps((60, WARNING), (300, BAD), start=NEUTRAL))]


def dashboard() -> building.Dashboard:
    rows_of_panels: list[frame.Row] = [
        ("", panels.numbers(*NUMBERS)),
        ("", _list()),
        ("Schedule", _schedule()),
        ("Cost", _cost()),
        ("Clocks", _clocks()),
    ]
    return frame.framed(frame.EXPORTER, TITLE, DESCRIPTION, frame.variables(targets=False), rows_of_panels)
