"""Fifty healthy targets with one randomly failing probe in a hundred: the number of pages of a week, computed and drawn."""

import math
import random
import re
from collections import deque

import pytest

from alerts import slo
from alerts.slo import DAY, HOUR, NOISY, NOISY_TARGETS
from alerts.values import DURATIONS, RATIOS, THRESHOLDS, placeholders
from docs.generators.alerts import TIMING

WEEK = 7 * DAY
INTERVALS = (15, 60, 120, 300)


def run_of(interval):
    return round(RATIOS["RUN_SLOW"] if interval >= THRESHOLDS["SLOWLY"] else RATIOS["RUN"])


def windows(interval):
    """The windows that count intermittent failures, in seconds, and the failures that each needs."""
    words = placeholders()
    found = [(DURATIONS["LONG"], words["SPIKE_COUNT"])]
    found += [(DURATIONS["RARE"], words["RARE_COUNT"])] if interval > THRESHOLDS["RARELY"] else []
    return [(window, slo.needed(round(window / interval), RATIOS["SPIKE_RATIO"], int(least))) for window, least in found]


def computed(interval, run, counted):
    """Expected pages a week on all targets: from runs, and from windows that hold enough failures."""
    in_a_row = slo.in_a_row(interval, run, random=NOISY, targets=NOISY_TARGETS) * WEEK / slo.YEAR
    return in_a_row, sum(slo.noisy_per_week(interval, window, needed) for window, needed in counted)


def drawn(interval, seed, run, counted):
    """Pages of one week: a target pages again only after an hour without a reason."""
    draw = random.Random(seed)  # noqa: S311 - chance that can be repeated
    sizes = [(window // interval, needed) for window, needed in counted]
    return sum(_pages(_failures(draw, WEEK // interval), run, sizes, HOUR // interval) for _ in range(NOISY_TARGETS))


def _failures(draw, probes):
    """The numbers of the probes that fail, drawn by the gaps between them."""
    at = -1
    while (at := at + 1 + int(math.log(1 - draw.random()) / math.log1p(-NOISY))) < probes:
        yield at


def _pages(failures, run, sizes, hour):
    recent, length, last, pages, quiet_from = deque(), 0, -2, 0, -1
    for at in failures:
        length = length + 1 if at == last + 1 else 1
        last = at
        recent.append(at)
        while recent[0] <= at - max(size for size, _ in sizes):
            recent.popleft()
        full = any(sum(one > at - size for one in recent) >= needed for size, needed in sizes)
        if (length >= run or full) and at > quiet_from:
            pages, quiet_from = pages + 1, at + hour
    return pages


@pytest.mark.parametrize("interval", INTERVALS)
def test_noisy_fleet_pages_less_than_once_in_nine_weeks(interval):
    assert sum(computed(interval, run_of(interval), windows(interval))) < 1 / 9


def test_noisy_fleet_at_60_s_pages_less_than_once_a_year():
    assert sum(computed(60, run_of(60), windows(60))) < 1 / 52


@pytest.mark.parametrize("interval", INTERVALS)
def test_page_has_the_computed_numbers(interval):
    numbers = r"\w+ in a row: ([\d.]+) \| (?:under )?([\d.]+) \| ([\d.]+)"
    row = re.search(rf"^\| {interval} s \| {numbers} \|$", TIMING.read_text(), re.MULTILINE)
    in_a_row, counted = computed(interval, run_of(interval), windows(interval))
    assert row is not None
    assert [float(one) for one in row.groups()] == [
        pytest.approx(in_a_row, abs=0.0006),
        pytest.approx(counted, abs=0.001),
        pytest.approx(in_a_row + counted, abs=0.0006),
    ]


@pytest.mark.parametrize("interval", INTERVALS)
def test_drawn_week_has_no_page(interval):
    assert drawn(interval, 2026, run_of(interval), windows(interval)) == 0


def test_three_in_a_row_and_seven_in_an_hour_would_page_in_most_weeks():
    """The drawing agrees with the arithmetic if there is something to draw."""
    weeks, counted = 20, [(HOUR, 7)]
    found = sum(drawn(60, seed, 3, counted) for seed in range(weeks))
    assert sum(computed(60, 3, counted)) == pytest.approx(0.63, abs=0.01)
    assert found / weeks == pytest.approx(0.63, abs=0.4)
