"""Durations are parsed and formatted as in Prometheus."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.durations import ago, known_time, moment, parse, second, unix_time, write


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("60s", 60),
        ("1m30s", 90),
        ("250ms", 0.25),
        ("1d", 86400),
        ("1w", 604800),
        ("1y", 31536000),
        ("1h", 3600),
    ],
)
def test_a_duration_is_read(text: str, seconds: float):
    assert parse(text) == seconds


@pytest.mark.parametrize("text", ["", "60", "1.5s", "-1s", "s", "1s1m", "1 s", "1S", "٣s", "10000000000s"])
def test_invalid_duration_is_refused(text: str):
    with pytest.raises(ValueError, match="not a duration"):
        parse(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (90, "1m30s"), (0.25, "250ms"), (86400 * 90, "90d"), (604800 * 2, "2w"), (31536000, "1y")]
)
def test_duration_is_formatted_in_common_units(seconds: float, text: str):
    assert write(seconds) == text


@given(st.integers(min_value=0, max_value=10**12))
def test_formatted_duration_is_parsed_back(milliseconds: int):
    assert parse(write(milliseconds / 1000)) == milliseconds / 1000


def test_a_unix_time_is_written_in_utc_to_the_millisecond():
    assert moment(1767323045.678) == "2026-01-02T03:04:05.678Z"
    assert second(1767323045.678) == "2026-01-02T03:04:05Z"


@pytest.mark.parametrize(
    ("text", "unix"),
    [
        ("2026-09-21T14:13:20.250Z", 1790000000.25),
        ("2026-09-21T16:13:20.250+02:00", 1790000000.25),
        ("2026-09-21T14:13:20", 1790000000.0),
        ("1970-01-01T00:00:00Z", 0.0),
    ],
)
def test_time_becomes_a_unix_time(text, unix):
    assert unix_time(text) == unix


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01T00:00:00Z", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00"])
def test_text_that_is_no_time_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        unix_time(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s ago"), (59, "59s ago"), (7300, "2h1m ago"), (-5, "0s ago"), (2 * 86400 + 3660, "2d1h ago")]
)
def test_age_has_minutes_then_hours(seconds: float, text: str):
    assert ago(seconds) == text


def test_text_without_a_time_has_no_known_time():
    assert (known_time("1970-01-01T00:01:00"), known_time("soon")) == (60.0, None)
