"""Every number, duration, address and list that the alert rules share, once each.

For: literal tables, and `placeholders`, which turns them into the words that the template asks for.
Not for: the rules themselves (see `ekm.rules.template.yml`), pieces of annotations (see `texts`), or how many failures chance
may cause (see `slo`).
"""

from __future__ import annotations

from collections.abc import Mapping
from string import Template
from typing import Final

from alerts import slo
from alerts.slo import DAY, HOUR, MINUTE
from alerts.texts import TEXTS
from exporter.core.codes import both_numbers
from exporter.core.readiness import NOT_TESTED

# The scrape job of the exporters, as the README names it.
JOB: Final = "ekm"
# Where your runbooks and dashboards are served; `build.py --runbooks URL --dashboards URL` writes the rules with others.
RUNBOOKS: Final = "https://runbooks.example.com/ekm"
DASHBOARDS: Final = "https://grafana.example.com/d"

# Seconds. Written as Prometheus writes durations: in ranges, in `for`, in `keep_firing_for`, in a group's `interval`.
DURATIONS: Final[Mapping[str, int]] = {
    "EVERY_PAGE": 15,  # how often pages are evaluated
    "EVERY_TICKET": MINUTE,
    "EVERY_SLOW": 2 * MINUTE,  # windows of days; shorter than the five minutes for which a query finds the last result
    "LONG": HOUR,  # in which failures that come and go are counted
    "RECENT": 10 * MINUTE,  # in which one of them must lie, so that the alert ends when they end
    "THROTTLING": 10 * MINUTE,  # in which half of the probes must have been throttled
    "HOLD": 15 * MINUTE,  # an alert goes on through a restart of the exporter, a lost scrape and a moment of health
    "SCRAPES_LOST": 3 * MINUTE,  # without one good scrape, the exporter is taken to be down
    "SURE": 2 * MINUTE,  # and stays so
    "SETTLED": 5 * MINUTE,  # what a ticket is about must last
    "LASTING": 15 * MINUTE,
    "CHECKED": 90 * MINUTE,  # within which the doctor's checks are made again after a restart
    "KEPT": DAY,  # for which the last answer about what is looked at beside the probe counts, while none comes
    "GONE": HOUR,  # for which an exporter that is no longer scraped is missed
}
# Seconds, written as a number: in comparisons.
THRESHOLDS: Final[Mapping[str, int]] = {
    "ONE_DAY": DAY,
    "SEVEN_DAYS": 7 * DAY,
    "FOURTEEN_DAYS": 14 * DAY,
    "THIRTY_DAYS": 30 * DAY,
    "RECOVERY_OLD": DAY,  # the recovery vault is looked at every few minutes
}
# Neither durations nor points in time: the same at every scale.
RATIOS: Final[Mapping[str, float]] = {
    "SPIKE_RATIO": 0.1,  # of the probes of an hour, more than
    "THROTTLED_RATIO": 0.5,  # of the probes, at least
    "MANY_RATIO": 0.5,  # of what has a cause in common, at least
    "NEARLY_ALL_RATIO": 0.9,  # of an exporter's targets, at least
    "SLOW_RATIO": 0.1,  # of the steps of an hour, more than
    "BUDGET_RATIO": 0.01,  # of what a vault takes in ten seconds, as `check` has it
    "SKIPPED_RATIO": 0.01,  # of the planned probes of an hour, more than
    "TAINTED_RATIO": 0.05,  # of the probes, more than
    "SKEW": 120,  # seconds that a clock may be wrong: beyond 300 Entra refuses what is signed here
    "STALE_INTERVALS": 6,  # backing off from a vault that throttles leaves up to 5.5 intervals between two probes
    "RUN": 3,  # failed probes in a row
    "CYCLES": 2,  # failed probes in a row, where many targets fail at once
    "RESTARTS": 3,  # of an exporter, within the hold
    "INTERNAL_ERRORS": 3,  # of an exporter, within an hour
    "MANY": 3,  # of what has a cause in common, at least
}

# Reasons, as regular expressions.
REASONS: Final[Mapping[str, str]] = {
    "NO_WAY_OUT": "dns_temporary|dns_timeout|network_down|proxy_.*",
    "NO_ANSWER": "connect_.*|connection_.*|tls_.*|read_timeout|not_http|body_.*",
    "NO_VAULT_ANSWER": "dns_not_found|connect_.*|connection_.*|tls_.*|read_timeout|not_http|no_challenge|redirect",
    "NO_TOKEN_ANSWER": "entra_unavailable|throttled|redirect|answer_.*|connect_.*|connection_.*|tls_.*|read_timeout|not_http|body_.*",
    "KEY_STATE": "key_disabled|key_expired|key_not_yet_valid",
    "FIREWALL": "forbidden_firewall|forbidden_connection",
    "REFUSED_CALLER": "forbidden|forbidden_policy|forbidden_rbac|forbidden_firewall|forbidden_connection",
    "ENDED": "secret_expired|certificate_expired",
}

_UNITS: Final = (("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", 1))


def duration(seconds: float) -> str:
    """As Prometheus reads it, with the largest unit that divides it; milliseconds where seconds do not do."""
    for unit, size in _UNITS:
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{max(seconds * 1000, 1):.0f}ms"


def number(value: float) -> str:
    return f"{value:.10g}"


class Words(Template):
    """Text with words like @{HOLD} in it: @ alone, $labels and {{ }} mean nothing to it."""

    delimiter = "@"
    braceidpattern = "[A-Z][A-Z0-9_]*"
    idpattern = "(?!)"


def placeholders(scale: float = 1, *, runbooks: str = RUNBOOKS, dashboards: str = DASHBOARDS) -> dict[str, str]:
    """What stands for each name in the template. With a `scale`, every duration and threshold of time is divided by it."""
    words = {
        **{name: duration(seconds / scale) for name, seconds in DURATIONS.items()},
        **{name: number(seconds / scale) for name, seconds in THRESHOLDS.items()},
        **{name: number(value) for name, value in RATIOS.items()},
        **{name.replace("_RATIO", "_PERCENT"): f"{value:.0%}" for name, value in RATIOS.items() if name.endswith("_RATIO")},
        **REASONS,
        **_counts(),
        **_service_level(scale),
        **_both(3011, 3077, 3303, 3900),
        "JOB": JOB,
        "RUNBOOKS": runbooks,
        "DASHBOARDS": dashboards,
        "NOT_TESTED": NOT_TESTED,
    }
    return words | {name: Words(text).substitute(words) for name, text in TEXTS.items()}


def _counts() -> dict[str, str]:
    """The least numbers of failures, less a half: `increase` extrapolates, so it seldom gives a whole number."""
    spike = slo.least_failures(DURATIONS["LONG"], RATIOS["SPIKE_RATIO"])
    throttled = slo.least_failures(DURATIONS["THROTTLING"], RATIOS["THROTTLED_RATIO"])
    return {
        "SPIKE_COUNT": str(spike),
        "THROTTLED_COUNT": str(throttled),
        "SPIKE_FAILURES": number(spike - 0.5),
        "THROTTLED_FAILURES": number(throttled - 0.5),
    }


def _service_level(scale: float) -> dict[str, str]:
    words = {"OBJECTIVE": f"{slo.OBJECTIVE:.1%}", "PERIOD": f"{slo.PERIOD_DAYS} days"}
    for kind, burns in (("FAST", slo.FAST), ("SLOW", slo.SLOW)):
        for place, burn in enumerate(burns, 1):
            name = f"{kind}_{place}"
            words |= {
                f"{name}_LONG": duration(burn.long / scale),
                f"{name}_SHORT": duration(burn.short / scale),
                f"{name}_RATIO": number(burn.bad_ratio),
                f"{name}_FAILURES": number(slo.least_failures(burn.long, burn.bad_ratio) - 0.5),
            }
    return words


def _both(*codes: int) -> dict[str, str]:
    return {f"BOTH_{code}": both_numbers(code) for code in codes}
