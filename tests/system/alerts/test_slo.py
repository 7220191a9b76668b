"""The least numbers of failures prevent false pages: by arithmetic, and by drawing the failures of a fleet at random."""

import math
import random
import re
from collections import deque
from itertools import islice

import pytest

from alerts import slo
from alerts.slo import BURNS, FALSE_PER_YEAR, INTERVALS, RANDOM, TARGETS, YEAR
from alerts.values import DURATIONS, RATIOS, placeholders
from exporter.core import limits

# A rule with an hour's window, as the intermittent arms have it.
HOUR = slo.Burn(14.4, slo.HOUR, 5 * slo.MINUTE)
every_burn = pytest.mark.parametrize("burn", BURNS, ids=lambda burn: f"{burn.rate:g}")


def failures(chance, probes, seed):
    """Yield the numbers of the probes that fail, drawn by the gaps between them."""
    draw = random.Random(seed)  # noqa: S311 - guards nothing
    scale, at = 1 / math.log1p(-chance), -1
    while True:
        at += 1 + int(math.log(1.0 - draw.random()) * scale)
        if at >= probes:
            return
        yield at


def reached(chance, probes, window, needed, seed):
    """Return how often the last `window` probes reach `needed` failures."""
    recent, count = deque(), 0
    for at in failures(chance, probes, seed):
        while recent and recent[0] <= at - window:
            recent.popleft()
        recent.append(at)
        count += len(recent) == needed
    return count


def needed_at(burn, interval):
    return slo.needed(round(burn.long / interval), burn.bad_ratio, slo.least_failures(burn.long, burn.bad_ratio))


@every_burn
def test_at_most_one_false_page_a_year_at_every_interval(burn):
    rates = [slo.false_per_year(interval, burn.long, needed_at(burn, interval)) for interval in INTERVALS]
    assert max(rates) <= FALSE_PER_YEAR


@every_burn
def test_one_failure_less_would_cause_more_false_pages(burn):
    fewer = slo.least_failures(burn.long, burn.bad_ratio) - 1
    rates = [
        slo.false_per_year(interval, burn.long, slo.needed(round(burn.long / interval), burn.bad_ratio, fewer))
        for interval in INTERVALS
    ]
    assert max(rates) > FALSE_PER_YEAR


# interval, and a chance of failure so large that there is something to count
@pytest.mark.parametrize(("interval", "chance"), [(15, 0.035), (60, 0.02), (300, 0.1)])
def test_arithmetic_agrees_with_drawn_failures(interval, chance):
    burn, probes = HOUR, 4_000_000
    needed = needed_at(burn, interval)
    expected = slo.false_per_year(interval, burn.long, needed, random=chance, targets=1) / (YEAR / interval) * probes

    seen = reached(chance, probes, round(burn.long / interval), needed, seed=interval)

    assert expected > 300
    assert seen == pytest.approx(expected, rel=0.15)


# Interval, and the share of a year of 5,000 targets that is drawn.
@pytest.mark.parametrize(("interval", "share"), [(15, 0.2), (60, 1.0), (300, 1.0)])
def test_fleet_with_random_failures_only_does_not_page(interval, share):
    """The targets follow each other in one sequence; windows across two targets only add pages."""
    probes = int(share * TARGETS * YEAR / interval)
    for burn in (HOUR, BURNS[0]):
        assert reached(RANDOM, probes, burn.long // interval, needed_at(burn, interval), seed=2026) <= share * FALSE_PER_YEAR


def test_usual_rule_would_page_for_every_failure_at_5_minutes():
    burn, probes = HOUR, int(TARGETS * YEAR / 300)
    usual = slo.needed(burn.long // 300, burn.bad_ratio, least=1)

    assert usual == 1
    assert reached(RANDOM, probes, burn.long // 300, usual, seed=2026) > 500_000


def test_three_in_a_row_are_as_frequent_as_the_page_states():
    chance, probes = 0.05, 4_000_000
    found = list(failures(chance, probes, seed=3))
    triples = zip(found, islice(found, 1, None), islice(found, 2, None), strict=False)
    begun = {-1, *found}
    runs = sum(third - first == 2 and first - 1 not in begun for first, _, third in triples)

    expected = slo.in_a_row(60, 3, random=chance, targets=1) / (YEAR / 60) * probes
    assert runs == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("interval", [15, 60, 300])
def test_intermittent_spikes_follow_the_same_arithmetic(interval):
    window, ratio = DURATIONS["LONG"], RATIOS["SPIKE_RATIO"]
    needed = slo.needed(window // interval, ratio, slo.least_failures(window, ratio))
    assert slo.false_per_year(interval, window, needed) <= FALSE_PER_YEAR


def test_burn_alerts_fire_before_much_of_the_budget_is_spent():
    assert [round(burn.spent, 3) for burn in BURNS] == [0.05, 0.1, 0.1]


@pytest.mark.parametrize(("interval", "minutes"), [(15, 4.5), (60, 6), (300, 30)])
def test_outage_fires_the_fast_rule_after(interval, minutes):
    burn = HOUR
    assert slo.seconds_to_fire(interval, burn.long, burn.bad_ratio) == minutes * 60


def test_hour_holds_too_few_probes_above_ten_minutes():
    burn = HOUR
    assert burn.long // slo.least_failures(burn.long, burn.bad_ratio) == 600
    assert needed_at(burn, 601) > burn.long // 601


def test_more_failures_than_probes_are_impossible():
    assert slo.false_per_year(600, 3600, 7) == 0.0


def test_rules_use_the_computed_numbers():
    words = placeholders()
    assert (words["SPIKE_FAILURES"], words["RARE_FAILURES"]) == ("7.5", "4.5")
    limits_of_rules = [float(number) for number in re.findall(r" > ([0-9.]+)$", words["SLO_RULES"], re.MULTILINE)]
    assert limits_of_rules == [0.03, 0.03, 6.5, 0.015, 0.015, 8.5, 0.005, 0.005, 16.5]


def test_check_warns_above_the_longest_computed_interval():
    assert max(slo.INTERVALS) == limits.ALERTED_SECONDS
