"""Every number, duration, address and list that the alert rules share, once each.

`placeholders` turns these tables into the values of the template's placeholders.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from string import Template
from typing import Final

from alerts import counts, slo
from alerts.slo import DAY, HOUR, MINUTE
from alerts.texts import TEXTS
from exporter.knowledge import incident
from exporter.knowledge.causes import MANY, MANY_RATIO, NEARLY_ALL_RATIO
from exporter.knowledge.codes import both_numbers
from exporter.knowledge.reason_row import Refused
from exporter.knowledge.reasons import Reason, refusing
from exporter.sqlserver.urgency import SOON

# The scrape job of the exporters, as the README names it.
JOB: Final = "ekm"
# Each exporter serves its runbooks. Those of alerts without a running exporter are on a site of your own, like the dashboards.
# `build.py --docs URL --dashboards URL` writes the rules with others.
DOCS: Final = "http://{{ $labels.instance }}/docs"
SITE: Final = "https://docs.example.com/ekm-exporter"
DASHBOARDS: Final = "https://grafana.example.com/d"

# Seconds. The template gets them as Prometheus durations: in ranges, in `for`, in `keep_firing_for`, in a group's `interval`.
DURATIONS: Final[Mapping[str, int]] = {
    "EVERY_PAGE": 15,  # evaluation interval of pages
    "EVERY_TICKET": MINUTE,
    "EVERY_SLOW": 2 * MINUTE,  # windows of hours and days; below the five minutes for which a query finds the last result
    "LONG": HOUR,  # the window that counts intermittent failures
    "RECENT": 10 * MINUTE,  # one of them must be this recent, so that the alert ends with them
    "RARE": 6 * HOUR,  # the window for targets that are probed rarely
    # How long an alert keeps firing after its cause: through a restart, a lost scrape or one good probe.
    "HOLD_TICKET": HOUR,  # tickets: a lost exporter or a restart closes none and opens none again
    "HOLD": 15 * MINUTE,  # pages
    "SCRAPED": MINUTE,  # from one scrape to the next, at most
    "SCRAPES_LOST": 3 * MINUTE,  # without one successful scrape the exporter counts as down
    "SURE": 2 * MINUTE,
    "CRASH_LOOP": 30 * MINUTE,  # the window that counts restarts
    "SETTLED": 5 * MINUTE,  # how long the condition of a ticket must last
    "LASTING": 15 * MINUTE,
    "CHECKED": 90 * MINUTE,  # preflight checks run again within this time after a restart
    "PREFLIGHT": 6 * HOUR + 30 * MINUTE,  # the next preflight run comes within this time
    "KEPT": DAY,  # how long the result of an auxiliary probe stays valid after a restart, internal errors count, and a target is missed
    "GONE": HOUR,  # how long an exporter that left the scrape targets counts as missing
    # Of the alerts on SQL Server.
    "UNREAD": 10 * MINUTE,  # how long a reading counts while the exporter restarts
    "REPLACED": 30 * MINUTE,  # a credential or a key may be replaced within this time
    "PROOF_DUE": 4 * HOUR,
}
# Seconds. The template gets them as numbers, for comparisons.
THRESHOLDS: Final[Mapping[str, int]] = {
    "ONE_DAY": DAY,
    "SEVEN_DAYS": 7 * DAY,
    "FOURTEEN_DAYS": 14 * DAY,
    "THIRTY_DAYS": 30 * DAY,
    "PRESENT": 15 * MINUTE,  # a failure seen since then is shown: as long as a page holds
    "RECOVERY_OLD": DAY,  # the recovery vault is probed every few minutes
    "LOOKUP_OLD": 3 * DAY,  # without a successful lookup of an expiry date
    "BACKUP_OLD": 180 * DAY,  # since the declared backup of a key
    "DISCARDED": 5 * MINUTE,  # without a result, while the exporter discards results
    "UNREQUESTED": 15 * MINUTE,  # without a requested probe, if no scheduler makes any
    "AN_HOUR": HOUR,
    "HELD_SECONDS": 15 * MINUTE,  # HOLD
    # Of the alerts on SQL Server.
    "NINETY_DAYS": 90 * DAY,
    "LOG_FULL": int(SOON),
    "RARELY": 2 * MINUTE,  # targets with a longer interval count as probed rarely
}
# Numbers that no scale changes.
RATIOS: Final[Mapping[str, float]] = {
    "SPIKE_RATIO": 0.1,  # of the probes of a window, more than
    "MANY_RATIO": MANY_RATIO,  # of what has a cause in common, at least, as the exporter counts
    "NEARLY_ALL_RATIO": NEARLY_ALL_RATIO,  # of an exporter's targets, at least, as the exporter counts
    "SLOW_RATIO": 0.1,  # of the steps of an hour, more than
    "SKIPPED_RATIO": 0.01,  # of the planned probes of an hour, more than
    "TAINTED_RATIO": 0.05,  # of the probes, more than
    "SKEW": 120,  # seconds of clock skew: beyond 300 Entra ID refuses what is signed here
    "MOST_RATIO": 0.5,  # of an exporter's targets, more than
    "STALE_INTERVALS": 6,  # backoff from a vault that throttles leaves up to 5.5 intervals between two probes
    "RUN": incident.RUN,  # failed probes in a row
    "HELD_INTERVALS": 4,  # how many intervals an incident is held, if they are longer than HOLD
    "CYCLES": incident.CYCLES,  # failed probes in a row, if many targets fail at once
    "RESTARTS": 4,  # of an exporter, for a crash loop
    "MANY": MANY,  # of what has a cause in common, at least
    "INTERNAL_ERRORS": 2.5,  # in an hour, more than; and hours of a day with one, more than
}


def _any(reasons: Iterable[Reason]) -> str:
    """Return a regular expression; a first word that no other reason has stands for all with it."""
    found = set(reasons)
    others = {_first_word(reason) for reason in set(Reason) - found}
    several = {word for word, count in Counter(map(_first_word, found)).items() if count > 1} - others
    return "|".join(sorted({f"{word}.*" if (word := _first_word(reason)) in several else reason for reason in found}))


def _first_word(reason: Reason) -> str:
    return reason.partition("_")[0]


# Reasons, as regular expressions.
PATTERNS: Final[Mapping[str, str]] = {"FIREWALL": _any(refusing(Refused.ADDRESS))}

_UNITS: Final = (("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", 1))


def duration(seconds: float) -> str:
    """Return a Prometheus duration with the largest unit that divides it, or in milliseconds."""
    for unit, size in _UNITS:
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{max(seconds * 1000, 1):.0f}ms"


def seconds_of(text: str) -> float:
    """Return the seconds of a duration in whole units."""
    return float(text[:-1]) * dict(_UNITS)[text[-1]]


def number(value: float) -> str:
    return f"{value:.10g}"


class Words(Template):
    """A template with placeholders like @{HOLD}. It leaves a single @, $labels and {{ }} alone."""

    delimiter = "@"
    braceidpattern = "[A-Z][A-Z0-9_]*"
    idpattern = "(?!)"


def placeholders(scale: float = 1, *, docs: str | None = None, dashboards: str = DASHBOARDS) -> dict[str, str]:
    """Return the value of each placeholder. Every duration and threshold of time is divided by `scale`."""
    words = {
        **{name: duration(seconds / scale) for name, seconds in DURATIONS.items()},
        **{name: number(seconds / scale) for name, seconds in THRESHOLDS.items()},
        **{name: number(value) for name, value in RATIOS.items()},
        **{name.replace("_RATIO", "_PERCENT"): f"{value:.0%}" for name, value in RATIOS.items() if name.endswith("_RATIO")},
        **PATTERNS,
        **_counts(),
        **_service_level(scale),
        **_both(3011, 3077, 3900),
        "JOB": JOB,
        "RUNBOOKS": f"{docs or DOCS}/runbooks",
        "SITE_RUNBOOKS": f"{docs or SITE}/runbooks",
        "DASHBOARDS": dashboards,
    }
    for texts in (TEXTS, _rules(scale)):
        words |= {name: Words(text).substitute(words) for name, text in texts.items()}
    return words


def _rules(scale: float) -> dict[str, str]:
    """Return the groups of recording rules that follow from a table."""
    return {
        "SLO_RULES": counts.burns(
            (
                duration(burn.long / scale),
                duration(burn.short / scale),
                number(burn.bad_ratio),
                number(slo.least_failures(burn.long, burn.bad_ratio) - 0.5),
            )
            for burn in slo.BURNS
        )
    }


def _counts() -> dict[str, str]:
    """Return the least numbers of failures, less a half: `increase` extrapolates and rarely gives a whole number."""
    spike = slo.least_noisy_failures(DURATIONS["LONG"], RATIOS["SPIKE_RATIO"])
    rare = slo.least_failures(DURATIONS["LONG"], RATIOS["SPIKE_RATIO"])
    return {
        "SPIKE_COUNT": str(spike),
        "SPIKE_FAILURES": number(spike - 0.5),
        "RARE_COUNT": str(rare),
        "RARE_FAILURES": number(rare - 0.5),
        "FEW_STEPS": number((rare - 0.5) / RATIOS["SLOW_RATIO"]),
    }


def _service_level(scale: float) -> dict[str, str]:
    words = {"OBJECTIVE": f"{slo.OBJECTIVE:.1%}", "BUDGET_SHARE": f"{1 - slo.OBJECTIVE:.1%}", "PERIOD": f"{slo.PERIOD_DAYS} days"}
    longest = max(burn.long for burn in slo.BURNS)
    return words | {"BURN_LONGEST": duration(longest / scale)}


def _both(*codes: int) -> dict[str, str]:
    return {f"BOTH_{code}": both_numbers(code) for code in codes}
