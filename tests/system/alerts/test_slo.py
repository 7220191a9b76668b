"""The least numbers of failures prevent false pages, by arithmetic. matrix/test_quiet_week.py draws the failures of a fleet at random."""

import re

import pytest

from alerts import slo
from alerts.slo import BURNS, FALSE_PER_YEAR, INTERVALS
from alerts.values import DURATIONS, RATIOS, placeholders
from exporter.core import limits

# A rule with an hour's window, as the intermittent arms have it.
HOUR = slo.Burn(14.4, slo.HOUR, 5 * slo.MINUTE)
every_burn = pytest.mark.parametrize("burn", BURNS, ids=lambda burn: f"{burn.rate:g}")


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


@pytest.mark.parametrize("interval", [15, 60, 300])
def test_intermittent_spikes_follow_the_same_arithmetic(interval):
    window, ratio = DURATIONS["LONG"], RATIOS["SPIKE_RATIO"]
    needed = slo.needed(window // interval, ratio, slo.least_failures(window, ratio))
    assert slo.false_per_year(interval, window, needed) <= FALSE_PER_YEAR


def test_burn_alerts_fire_before_much_of_the_budget_is_spent():
    assert [round(burn.spent, 3) for burn in BURNS] == [0.05, 0.1, 0.1]


def test_rules_use_the_computed_numbers():
    words = placeholders()
    assert (words["SPIKE_FAILURES"], words["RARE_FAILURES"]) == ("7.5", "4.5")
    limits_of_rules = [float(number) for number in re.findall(r" > ([0-9.]+)$", words["SLO_RULES"], re.MULTILINE)]
    assert limits_of_rules == [0.03, 0.03, 6.5, 0.015, 0.015, 8.5, 0.005, 0.005, 16.5]


def test_check_warns_above_the_longest_computed_interval():
    assert max(slo.INTERVALS) == limits.ALERTED_SECONDS
