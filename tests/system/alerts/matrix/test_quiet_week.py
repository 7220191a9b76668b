"""Fifty healthy targets with one randomly failing probe in a hundred: the number of pages of a week, computed and simulated."""

import math
import random
import re

import pytest

from alerts import slo
from alerts.slo import DAY, HOUR, NOISY, NOISY_TARGETS
from alerts.values import DURATIONS, RATIOS, THRESHOLDS, placeholders
from docs.generators.alerts import TIMING
from exporter.knowledge.incident import RUN, RUN_SLOW, SLOW_SECONDS

WEEK = 7 * DAY
INTERVALS = (15, 60, 120, 300)
WEEKS = 200  # simulated


def run_of(interval):
    return RUN_SLOW if interval >= SLOW_SECONDS else RUN


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
    """Pages of one week: a target pages at most once an hour. A run fills a window that is as long as itself."""
    draw = random.Random(seed)  # noqa: S311 - chance that can be repeated
    sizes = [(run, run), *((window // interval, needed) for window, needed in counted)]
    return sum(_pages(list(_failures(draw, WEEK // interval)), sizes, HOUR // interval) for _ in range(NOISY_TARGETS))


def _failures(draw, probes):
    """The numbers of the probes that fail, drawn by the gaps between them."""
    at, chance, scale = -1, draw.random, math.log1p(-NOISY)
    while (at := at + 1 + int(math.log(1 - chance()) / scale)) < probes:
        yield at


def _pages(failures, sizes, hour):
    full = {
        at for size, needed in sizes for first, at in zip(failures, failures[needed - 1 :], strict=False) if at - first < size
    }
    pages, quiet_until = 0, -1
    for at in sorted(full):
        if at > quiet_until:
            pages, quiet_until = pages + 1, at + hour
    return pages


@pytest.mark.parametrize("interval", INTERVALS)
def test_noisy_fleet_pages_less_than_once_in_nine_weeks(interval):
    assert sum(computed(interval, run_of(interval), windows(interval))) < 1 / 9


def test_noisy_fleet_at_60_s_pages_less_than_once_a_year():
    assert sum(computed(60, run_of(60), windows(60))) < 1 / 52


@pytest.mark.parametrize("interval", INTERVALS)
def test_page_has_the_computed_and_the_simulated_numbers(interval):
    numbers = r"\w+ in a row: ([\d.]+) \| (?:under )?([\d.]+) \| ([\d.]+) \| (\d+) in (\d+) weeks"
    row = re.search(rf"^\| {interval} s \| {numbers} \|$", TIMING.read_text(), re.MULTILINE)
    in_a_row, counted = computed(interval, run_of(interval), windows(interval))
    assert row is not None
    assert [float(one) for one in row.groups()] == [
        pytest.approx(in_a_row, abs=0.0006),
        pytest.approx(counted, abs=0.001),
        pytest.approx(in_a_row + counted, abs=0.0006),
        found := sum(drawn(interval, seed, run_of(interval), windows(interval)) for seed in range(WEEKS)),
        WEEKS,
    ]
    expected = WEEKS * (in_a_row + counted)
    assert abs(found - expected) < 3 * math.sqrt(expected)
