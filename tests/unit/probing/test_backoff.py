"""Start delays, jitter, backoff and the number of slots."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.limits import slots_for
from exporter.probing import schedule
from tests.support.factories import a_failure, a_report, a_throttled_report

INTERVAL = 60.0


def skips_after(*reports):
    state, skips = schedule.Backoff(), []
    for report in reports:
        state = state.advance(report, INTERVAL)
        skips.append(state.skips)
    return skips


@pytest.mark.parametrize(("targets", "last"), [(1, 0.012), (100, 1.2), (5000, 60.0), (100_000, 60.0)])
def test_first_probes_spread_over_at_most_the_interval(targets, last):
    assert schedule.first_delay(INTERVAL, targets, 0.0) == 0.0
    assert schedule.first_delay(INTERVAL, targets, 1.0) == pytest.approx(last)


@given(st.floats(0, 1))
def test_gap_differs_from_the_interval_by_at_most_a_tenth(draw):
    assert 54.0 - 1e-9 <= schedule.gap(INTERVAL, draw) <= 66.0 + 1e-9


def test_gaps_use_the_whole_tenth():
    assert [schedule.gap(INTERVAL, draw) for draw in (0.0, 0.5, 1.0)] == pytest.approx([54.0, 60.0, 66.0])


@pytest.mark.parametrize(("late", "missed"), [(-5.0, 0), (0.0, 0), (0.1, 1), (60.0, 1), (60.1, 2), (3600.0, 60)])
def test_past_starts_are_missed(late, missed):
    assert schedule.missed_starts(1000.0, 1000.0 + late, INTERVAL) == missed


@given(st.floats(0, 1e6), st.floats(0.1, 1e4))
def test_start_after_missed_ones_is_within_an_interval(late, interval):
    following = 1000.0 + schedule.missed_starts(1000.0, 1000.0 + late, interval) * interval
    assert 1000.0 + late - 1e-6 <= following <= 1000.0 + late + interval + 1e-6


def test_backoff_starts_at_the_third_throttled_probe():
    assert skips_after(*[a_throttled_report()] * 7) == [0, 0, 1, 2, 4, 4, 4]


@pytest.mark.parametrize("between", [a_report(), a_failure()], ids=["success", "another failure"])
def test_unthrottled_probe_resets_the_backoff(between):
    throttled = a_throttled_report()
    assert skips_after(throttled, throttled, throttled, between, throttled, throttled, throttled) == [0, 0, 1, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("retry_after", "skipped"),
    [(None, 1), (5.0, 1), (60.0, 1), (120.0, 1), (120.5, 2), (300.0, 4), (86_400.0, 4), (math.inf, 4)],
)
def test_retry_after_lengthens_backoff_up_to_four_intervals(retry_after, skipped):
    assert skips_after(*[a_throttled_report(retry_after=retry_after)] * 3) == [0, 0, skipped]


@pytest.mark.parametrize(("targets", "least", "most"), [(5000, 5000 * 10 / 60, 5000), (400, 400, 400), (1, 64, 64), (0, 64, 64)])
def test_slots_suffice_if_every_target_times_out(targets, least, most):
    assert least <= slots_for([(60.0, 10.0)] * targets) <= most
