"""Durations are parsed and formatted as in Prometheus."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.durations import moment, parse, write


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
