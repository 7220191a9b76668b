"""Value mappings of the panels (codes, states, yes and no) and a palette that is safe for colour blindness."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from grafana_foundation_sdk.models import dashboard

from dashboards.promql import NOT_READY, READY, UNKNOWN
from exporter.knowledge.code_row import Category, ConnectorError
from exporter.knowledge.codes import CODES as ALL_CODES
from exporter.knowledge.codes import both_numbers

# From Okabe and Ito's palette; every colour has a text.
BAD: Final = "#D55E00"
WARNING: Final = "#E69F00"
GOOD: Final = "#0072B2"
NEUTRAL: Final = "#767676"
# One colour for each step, phase and other series, the same on every panel.
SERIES: Final[Mapping[str, str]] = {
    "challenge": "#999999",
    "token": "#CC79A7",
    "get_key": "#56B4E9",
    "wrap_key": "#009E73",
    "unwrap_key": "#F0E442",
    "dns": "#CC79A7",
    "connect": "#56B4E9",
    "tls": "#0072B2",
    "wait": "#E69F00",
    "transfer": "#009E73",
    "region": BAD,
    "connection": WARNING,
    "tls_issuer": "#56B4E9",
    "vault": "#56B4E9",
    "entra": WARNING,
    "graph": "#CC79A7",
    "sql_host": "#56B4E9",
    "central": WARNING,
    "p50": "#56B4E9",
    "p90": "#E69F00",
    "p99": "#D55E00",
    "5m": "#D55E00",
    "30m": "#E69F00",
    "1h": "#CC79A7",
    "6h": "#56B4E9",
    "1d": "#0072B2",
    "3d": "#009E73",
}

# The colour of a code shows the category of its failure.
CATEGORIES: Final[Mapping[Category, str]] = {
    Category.NETWORK: "#56B4E9",
    Category.IDENTITY: "#CC79A7",
    Category.PERMISSION: BAD,
    Category.MISSING: "#F0E442",
    Category.THROTTLED: WARNING,
    Category.SERVER: "#009E73",
}

_LONG_ENOUGH: Final = 30  # characters; "Status 401." alone is too short


def meaning(row: ConnectorError) -> str:
    """Return both numbers and a short meaning of a code."""
    text = ""
    for sentence in re.split(r"(?<=\.) ", row.summary):
        text = f"{text} {sentence}".strip()
        if len(text) >= _LONG_ENOUGH:
            break
    return f"{both_numbers(row.code)}: {text.replace('`', '')}"


def _map(texts: Mapping[str, tuple[str, str | None]]) -> dashboard.ValueMap:
    options = {
        value: dashboard.ValueMappingResult(text=text, color=color, index=index)
        for index, (value, (text, color)) in enumerate(texts.items())
    }
    return dashboard.ValueMap(options=options)


STATES: Final = _map({str(NOT_READY): ("NOT READY", BAD), str(UNKNOWN): ("unknown", NEUTRAL), str(READY): ("ready", GOOD)})
YES_NO: Final = _map({"0": ("no", BAD), "1": ("yes", GOOD)})
# In this order of the alphabet the missing coverage comes first.
COVERAGE: Final = _map(
    {
        "another version": ("another version", BAD),
        "no target": ("no target", BAD),
        "not listed": ("not listed", WARNING),
        "not known": ("not known", NEUTRAL),
        "probed": ("probed", GOOD),
    }
)
# Of each kind of difference that leaves a key without a target.
COVERAGE_OF_KINDS: Final = {
    "other_version": "another version",
    "key_not_probed": "no target",
    "server_not_listed": "not listed",
}
OKAY: Final = _map({"0": ("FAILED", BAD), "1": ("ok", GOOD)})
PROOFS: Final = _map({"0": ("proven", GOOD), "1": ("due", WARNING), "2": ("no credential", BAD)})
OFF_ON: Final = _map({"0": ("off", None), "1": ("on", None)})
SEVERITIES: Final = _map({"critical": ("critical", BAD), "warning": ("warning", WARNING)})
CODES: Final = _map(
    {"0": ("none", GOOD)}
    | {str(row.code): (meaning(row), CATEGORIES.get(row.category, NEUTRAL)) for row in ALL_CODES if row.observable}
)


def _pair(row: ConnectorError) -> str:
    return str(row.code) if row.counterpart is None else f"{row.code} / {row.counterpart}"


# For narrow columns: the number, and the counterpart code of the other connector generation.
NUMBERS: Final = _map({str(row.code): (_pair(row), None) for row in ALL_CODES if row.observable})


def _expired(unit: float) -> dashboard.RangeMap:
    """Return a text for a time until expiry that is negative; `unit` in seconds. No date is a century old."""
    result = dashboard.ValueMappingResult(text="expired", color=BAD, index=0)
    return dashboard.RangeMap(options=dashboard.DashboardRangeMapOptions(from_val=-_CENTURY / unit, to=0, result=result))


_CENTURY: Final = 36_525 * 86_400.0  # seconds
EXPIRED_SECONDS, EXPIRED_DAYS = _expired(1), _expired(86_400)


def codes_by_category() -> Iterator[tuple[str, str]]:
    """For series that are named after a code and its symbol: a regular expression of names, and the colour of that category."""
    for category, color in CATEGORIES.items():
        codes = "|".join(str(row.code) for row in ALL_CODES if row.observable and row.category is category)
        yield f"/^({codes}) /", color


def not_known(text: str) -> dashboard.SpecialValueMap:
    """Return a neutral text for a missing number."""
    result = dashboard.ValueMappingResult(text=text, color=NEUTRAL, index=0)
    return dashboard.SpecialValueMap(
        options=dashboard.DashboardSpecialValueMapOptions(match=dashboard.SpecialValueMatch.NULL_AND_NAN, result=result)
    )
