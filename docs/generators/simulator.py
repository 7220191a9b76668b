"""The scenario table as the documentation shows it, and which code each row is for; flags, settings and requests of the simulator."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import get_type_hints

from docs.generators.flags import flags
from docs.generators.pages import GeneratedPart, table
from exporter.knowledge.code_row import ConnectorError, Family
from exporter.knowledge.codes import CODES
from exporter.simulator.environment import DaySettings
from exporter.simulator.faults import FAULTS
from exporter.simulator.scenarios import ASSUMPTIONS, SCENARIOS, Scenario
from exporter.simulator.simulator import ROUTES
from exporter.simulator.story import STORY

_SCENARIOS = ("scenario", "what is broken", "where", "step", "classic", "current", "reason", "story")
_CODES = """\
## Codes and their scenarios

Every code that a probe can see, or `check`, with each scenario that causes it. A number in brackets is the one on a target of
the current generation; where there is none, both generations report the same.

"""
_UNSEEN = """\
## Codes that cannot be caused

No scenario exists for these, since nothing outside the SQL Server host can bring them about or see them.

"""
_SQL = """\
## Faults of SQL Servers

Set them on a SQL Server: `{"sql": "N1\\\\SQLPRD01", "fault": "sql_silent"}`.

"""

_ASSUMED = """\
## Assumptions

Some behaviour of Azure, the connector and SQL Server is not documented. The simulator assumes:
"""


def written() -> str:
    """Markdown: scenarios, codes with their scenarios, codes that have none, faults of SQL Servers, assumptions."""
    unseen = (row for row in CODES if not row.observable)
    of_sql = ((f"`{fault.name}`", fault.broken) for fault in FAULTS.values() if fault.sql is not None)
    parts = (
        table(_SCENARIOS, map(_scenario, SCENARIOS)),
        _CODES + table(("code", "symbol", "scenarios"), _codes()),
        _UNSEEN + table(("codes", "why"), _reasons(unseen)),
        _SQL + table(("fault", "what is broken"), of_sql),
        _ASSUMED + "".join(f"\n- {one}" for one in ASSUMPTIONS),
    )
    return "\n\n".join(parts)


def caused(row: ConnectorError) -> Iterator[Scenario]:
    """The scenarios that show this code in one of the generations."""
    return (one for one in SCENARIOS if row.code in (one.classic, one.current))


def _scenario(one: Scenario) -> tuple[object, ...]:
    step = "before any" if one.step is None else f"`{one.step}`"
    return f"`{one.name}`", one.broken, one.scope, step, one.classic, one.current, f"`{one.reason}`", one.story


def _codes() -> Iterator[tuple[str, ...]]:
    for row in CODES:
        if row.observable and row.generation is not Family.CURRENT:
            number = f"[{row.code}](../codes.md#{row.code})" + (f" ({row.counterpart})" if row.counterpart else "")
            yield number, row.symbol, ", ".join(f"`{one.name}`" for one in caused(row))


def _reasons(rows: Iterable[ConnectorError]) -> Iterator[tuple[str, str]]:
    """One line for each reason, in the order of the lowest code that has it."""
    by_reason: dict[str, list[int]] = {}
    for row in rows:
        by_reason.setdefault(row.unobservable_because, []).append(row.code)
    for reason, codes in by_reason.items():
        yield _ranges(codes), reason


def _ranges(codes: Sequence[int]) -> str:
    """Neighbours in one: 3300-3302, 3400."""
    runs = [[code for _, code in run] for _, run in groupby(enumerate(codes), lambda pair: pair[1] - pair[0])]
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def demo() -> str:
    """Return the state of each vault of the demo that has one."""
    return table(("vault", "state"), ((one.vault, one.state) for one in STORY if one.state))


def requests() -> str:
    """Return a row for each request that the management port serves."""
    return table(("request", "effect"), ((f"`{one.method} {one.path}`", one.effect) for one in ROUTES))


def day() -> str:
    """Return the settings of a day as a table."""
    types, default = get_type_hints(DaySettings, include_extras=True), asdict(DaySettings())
    rows = ((f"`{name}`", _plain(default[name]), one.__metadata__[0].description) for name, one in types.items())
    return table(("setting", "default", "meaning"), rows)


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)


SCENARIOS_PART = GeneratedPart("scenarios", written)
PARTS = (
    GeneratedPart("vaults of the demo", demo),
    GeneratedPart("flags", lambda: flags("simulate")),
    GeneratedPart("settings", day),
    GeneratedPart("requests", requests),
)
