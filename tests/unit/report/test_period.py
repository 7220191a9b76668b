"""Months and periods, in UTC and in time zones."""

import re
from datetime import UTC, timedelta, timezone

import pytest

from exporter.report.minutes import parse_month, parse_period

PLUS_ONE = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("text", "minutes", "end"),
    [
        ("2026-02", 28 * 1440, "2026-03-01T00:00Z"),
        ("2028-02", 29 * 1440, "2028-03-01T00:00Z"),
        ("2026-10", 31 * 1440, "2026-11-01T00:00Z"),  # clocks change in Europe, not in UTC
        ("2026-12", 31 * 1440, "2027-01-01T00:00Z"),
    ],
)
def test_month_in_utc_has_all_its_minutes(text: str, minutes: int, end: str) -> None:
    period = parse_month(text, UTC, "UTC")
    assert (period.minutes, period.moment(0), period.moment(minutes)) == (minutes, f"{text}-01T00:00Z", end)


def test_month_of_a_time_zone_starts_at_its_midnight() -> None:
    period = parse_month("2026-11", PLUS_ONE, "+1")
    assert (period.start, period.moment(0)) == (parse_month("2026-11", UTC, "UTC").start - 3600, "2026-11-01T00:00+01:00")


@pytest.mark.parametrize("text", ["2026-13", "2026-1", "26-01", "0000-01", "9999-12", "2026-01-01"])
def test_bad_month_is_an_error_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="write YYYY-MM, as in 2026-11"):
        parse_month(text, UTC, "UTC")


def test_period_between_two_times_is_named_by_them() -> None:
    period = parse_period("2026-11-01T00:00:00+01:00", "2026-11-01T12:30:00Z", UTC, "UTC")
    assert (period.minutes, period.name) == (13 * 60 + 30, "20261031T2300_20261101T1230")


@pytest.mark.parametrize(
    ("start", "end", "problem"),
    [
        ("yesterday", "2026-11-01T00:00:00Z", "--from 'yesterday': write a time of RFC 3339"),
        ("2026-11-01T00:00:00", "2026-11-02T00:00:00Z", "--from '2026-11-01T00:00:00': write a time of RFC 3339"),
        ("2026-11-01T00:00:00Z", "2026-11-01T00:00:30Z", "--to '2026-11-01T00:00:30Z': write a whole minute"),
        ("2026-11-01T00:00:00Z", "2026-11-01T00:00:00Z", "--from is not before --to"),
        ("2024-11-01T00:00:00Z", "2026-11-01T00:00:00Z", "longer than 366 days"),
    ],
)
def test_bad_period_is_an_error_with_the_action(start: str, end: str, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        parse_period(start, end, UTC, "UTC")
