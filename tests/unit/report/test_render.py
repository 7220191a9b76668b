"""CSV, JSON and HTML of a report with literal minutes."""

import csv
import io
import json
import re
from datetime import UTC

from exporter.report.minutes import Exporter, Minutes, ReportedTarget, Slice, parse_period
from exporter.report.render import MOST_NAMES, as_csv, as_html, as_json

A = Exporter("ekm", "a")
PERIOD = parse_period("2026-11-01T00:00:00Z", "2026-11-01T00:06:00Z", UTC, "UTC")
ODD = ReportedTarget("v<1>", '=cmd|"x"')


def minutes(*targets: ReportedTarget, last: float | None = 1.0) -> Minutes:
    """Each target: answered, throttled twice, two minutes without data, and `last`."""
    found = Minutes(PERIOD, ((A, target) for target in targets))
    values = {0: 1.0, 1: 0.0, 2: 0.0, 5: last} if last is not None else {0: 2.0}
    found.add(
        Slice(
            first=0,
            minutes=6,
            results={(A, target): {at: value for at, value in values.items() if value is not None} for target in targets},
            failures={
                (A, target): [("get_key", "throttled", {1: 1.0}), ("get_key", "new_reason", {2: 1.0})] for target in targets
            },
            maintenance={},
            exporters={},
        )
    )
    return found


def test_json_has_rows_failures_and_gaps() -> None:
    data = json.loads(as_json(minutes(ReportedTarget("v", "one"), ReportedTarget("v", "two"))))
    assert data["complete"] is False
    assert data["period"] == {
        "name": "20261101T0000_20261101T0006",
        "from": "2026-11-01T00:00Z",
        "to": "2026-11-01T00:06Z",
        "timezone": "UTC",
        "minutes": 6,
    }
    assert data["gaps"] == [
        {"from": "2026-11-01T00:03Z", "to": "2026-11-01T00:05Z", "class": "no_data", "minutes": 2, "targets": ["one", "two"]}
    ]
    assert (data["targets"][0]["measured_minutes"], data["targets"][0]["answered_percent"]) == (3, "66.666")
    assert data["targets"][0]["failures"] == [
        {"class": "not_tested", "fault": None, "step": "get_key", "reason": "new_reason", "minutes": 1},
        {"class": "throttled", "fault": "vault", "step": "get_key", "reason": "throttled", "minutes": 1},
    ]


def test_csv_has_one_line_per_vault_and_target_and_no_formula() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(minutes(ODD)), newline="")))
    assert [(row["scope"], row["vault"], row["target"]) for row in rows] == [
        ("vault", "v<1>", ""),
        ("target", "v<1>", "'" + ODD.target),
    ]
    assert (rows[1]["throttled_minutes"], rows[1]["fault_vault_minutes"], rows[1]["answered_percent"]) == ("1", "1", "66.666")


def test_page_is_escaped_and_needs_nothing_from_outside() -> None:
    page = as_html(minutes(ODD))
    assert "v&lt;1&gt;" in page
    assert "=cmd|&quot;x&quot;" in page
    assert not re.search(r"<script|<link|<img|src=|href=|url\(|@import", page)
    assert "read-only after a failover" in page
    assert "The data have gaps" in page


def test_page_names_the_first_targets_of_a_gap() -> None:
    page = as_html(minutes(*(ReportedTarget("v", f"t{number:02}") for number in range(MOST_NAMES + 2))))
    assert "t09 and 2 more" in page


def test_page_without_failures_or_gaps_has_none() -> None:
    found = Minutes(PERIOD, [(A, ODD)])
    found.add(
        Slice(first=0, minutes=6, results={(A, ODD): dict.fromkeys(range(6), 1.0)}, failures={}, maintenance={}, exporters={})
    )
    page = as_html(found)
    assert page.count("<p>None.</p>") == 4
    assert "The data are complete." in page


def test_target_without_a_measured_minute_has_no_percentage() -> None:
    found = minutes(ODD, last=None)
    assert json.loads(as_json(found))["targets"][0]["answered_percent"] is None
    assert '<td class="n">-</td>' in as_html(found)
