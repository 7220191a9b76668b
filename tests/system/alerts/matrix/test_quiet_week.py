"""Fifty healthy targets with one randomly failing probe in a hundred: the number of pages, computed and drawn."""

import random
from collections import deque

import pytest

from alerts import slo
from alerts.values import RATIOS, placeholders

TARGETS, CHANCE, WEEK = 50, 0.01, 7 * 86400


def needed(interval):
    least = round(float(placeholders()["SPIKE_FAILURES"]) + 0.5)
    return slo.needed(round(3600 / interval), RATIOS["SPIKE_RATIO"], least)


def computed(interval):
    """Expected pages a week on all targets: runs of three, and windows of an hour that hold enough failures."""
    run = slo.in_a_row(interval, 3, random=CHANCE, targets=TARGETS)
    now_and_then = slo.false_per_year(interval, 3600, needed(interval), random=CHANCE, targets=TARGETS)
    return (run + now_and_then) * 7 / 365


def drawn(interval, seed):
    """Pages of one week: a target pages again only after an hour without a reason."""
    draw = random.Random(seed)  # noqa: S311 - chance that can be repeated
    return sum(_pages([at for at in range(WEEK // interval) if draw.random() < CHANCE], interval) for _ in range(TARGETS))


def _pages(failures, interval):
    recent, run, last, pages, quiet_from = deque(), 0, -2, 0, -1
    for at in failures:
        run = run + 1 if at == last + 1 else 1
        last = at
        recent.append(at)
        while recent[0] <= at - 3600 // interval:
            recent.popleft()
        if (run >= 3 or len(recent) >= needed(interval)) and at > quiet_from:
            pages, quiet_from = pages + 1, at + 3600 // interval
    return pages


@pytest.mark.parametrize(("interval", "weekly"), [(60, 0.63), (300, 0.10)])
def test_pages_of_a_week_are_fewer_than_one(interval, weekly):
    assert computed(interval) == pytest.approx(weekly, rel=0.05)


def test_drawn_weeks_agree_with_the_arithmetic():
    weeks = 12
    found = sum(drawn(60, seed) for seed in range(weeks))
    assert found / weeks == pytest.approx(computed(60), abs=0.6)


def test_one_week_at_five_minutes_has_no_page():
    assert drawn(300, seed=2026) == 0
