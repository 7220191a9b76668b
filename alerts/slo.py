"""How many failures a window must hold before a rule may fire, so that random failures hardly ever fire it.

Burn rates and windows of the service level, and the arithmetic of false pages in plain binomials: each probe of a healthy target fails
independently with probability `RANDOM`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

OBJECTIVE: Final = 0.995  # of probes with a verdict, ready
PERIOD_DAYS: Final = 30

RANDOM: Final = 0.001  # share of a healthy target's probes that fail at random
TARGETS: Final = 5000
FALSE_PER_YEAR: Final = 1.0  # false alarms that one rule may cause on all of these targets together
INTERVALS: Final = range(15, 301)  # probe intervals, in seconds, at which that holds

# A fleet with ten times as many random failures: it must not page in a week.
NOISY: Final = 0.01
NOISY_TARGETS: Final = 50
NOISY_PER_WEEK: Final = 0.1

MINUTE, HOUR, DAY = 60, 3600, 86400
YEAR: Final = 365 * DAY


@dataclass(frozen=True, slots=True)
class Burn:
    """A pair of windows, in seconds, and the burn rate that both must exceed."""

    rate: float
    long: int
    short: int

    @property
    def bad_ratio(self) -> float:
        """The share of bad probes above which the rule may fire."""
        return self.rate * (1 - OBJECTIVE)

    @property
    def spent(self) -> float:
        """The share of the period's budget that the long window spends at this rate."""
        return self.rate * self.long / (PERIOD_DAYS * DAY)


BURNS: Final = (Burn(6, 6 * HOUR, 30 * MINUTE), Burn(3, DAY, 2 * HOUR), Burn(1, 3 * DAY, 6 * HOUR))


def needed(probes: int, ratio: float, least: int) -> int:
    """Return how many of `probes` must fail: more than `ratio` of them, and at least `least`."""
    return max(math.floor(probes * ratio + 1e-9) + 1, least)


def false_per_year(interval: float, window: float, failures: int, *, random: float = RANDOM, targets: int = TARGETS) -> float:
    """Return how often a year random failures fill a window, on all targets together; an upper bound.

    A window is full if a probe fails and `failures - 1` others in its window failed. `interval` and `window` are in seconds.
    Clustered failures count more than once, so the true number of pages is smaller.
    """
    probes = round(window / interval)
    if failures > probes:
        return 0.0
    among_others = math.comb(probes - 1, failures - 1) * random ** (failures - 1) * (1 - random) ** (probes - failures)
    return targets * YEAR / interval * random * among_others


@cache
def least_failures(window: int, ratio: float) -> int:
    """Return the least number of failures for a window (seconds) and a share of bad probes, at any interval."""
    return next(
        least
        for least in range(1, window)
        if all(
            false_per_year(interval, window, needed(round(window / interval), ratio, least)) <= FALSE_PER_YEAR
            for interval in INTERVALS
        )
    )


@cache
def least_noisy_failures(window: int, ratio: float) -> int:
    """Return the least number of failures for a window (seconds) that a noisy fleet hardly ever reaches, at any interval."""
    return next(
        least
        for least in range(1, window)
        if all(
            noisy_per_week(interval, window, needed(round(window / interval), ratio, least)) <= NOISY_PER_WEEK
            for interval in INTERVALS
        )
    )


def noisy_per_week(interval: float, window: float, failures: int) -> float:
    """Return how often a week random failures fill a window in a noisy fleet; an upper bound."""
    return false_per_year(interval, window, failures, random=NOISY, targets=NOISY_TARGETS) * 7 * DAY / YEAR


def seconds_to_fire(interval: float, window: int, ratio: float) -> float:
    """Return how long all probes of a healthy target must fail before the rule fires."""
    return interval * needed(round(window / interval), ratio, least_failures(window, ratio))


def in_a_row(interval: float, run: int, *, random: float = RANDOM, targets: int = TARGETS) -> float:
    """Return how often a year `run` probes in a row fail at random, on all targets together."""
    return targets * YEAR / interval * random**run * (1 - random)


def rows(intervals: Iterable[int] = (15, 60, 300)) -> list[tuple[Burn, int, int, int, float, float]]:
    """Return the arithmetic as a table.

    Columns: the pair of windows, the interval, the least and the needed number of failures, false alarms a year, seconds to fire.
    """
    return [
        (
            burn,
            interval,
            least_failures(burn.long, burn.bad_ratio),
            failures := needed(burn.long // interval, burn.bad_ratio, least_failures(burn.long, burn.bad_ratio)),
            false_per_year(interval, burn.long, failures),
            seconds_to_fire(interval, burn.long, burn.bad_ratio),
        )
        for burn in BURNS
        for interval in intervals
    ]
