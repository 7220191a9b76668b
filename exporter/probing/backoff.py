"""The arithmetic of the schedule: first delay, jitter, missed starts, backoff."""

from __future__ import annotations

import math
from dataclasses import dataclass

from exporter.core.model import ProbeReport
from exporter.core.probe_starts import JITTER, SPACING

TOLERATED = 3  # throttled probes in a row until the first interval is skipped: the alert must fire before that
SKIPS = (1, 2, 4)  # intervals to skip after the third, the fourth, and each later throttled probe


def first_delay(interval: float, starting: int, draw: float) -> float:
    """Return the seconds until the first probe of one of `starting` targets.

    `draw` is uniform in [0, 1].
    """
    return draw * min(interval, SPACING * starting)


def gap(interval: float, draw: float) -> float:
    """Return the seconds from one planned start to the next.

    `draw` is uniform in [0, 1].
    """
    return interval * (1 - JITTER + 2 * JITTER * draw)


def missed_starts(planned: float, now: float, interval: float) -> int:
    """Return how many starts, from `planned` on, lie in the past."""
    return max(0, math.ceil((now - planned) / interval))


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often in a row a target was throttled, and the intervals to skip. The value is immutable."""

    throttled: int = 0
    skips: int = 0  # intervals to skip before the next probe

    def advance(self, report: ProbeReport, interval: float) -> Backoff:
        """Return the state after one more probe; a probe that was not throttled resets it.

        Once backoff has begun, Retry-After may lengthen the pause, up to the longest of `SKIPS`.
        """
        throttled_facts = report.throttled_facts
        if not throttled_facts:
            return Backoff()
        throttled = self.throttled + 1
        if throttled < TOLERATED:
            return Backoff(throttled)
        step = SKIPS[min(throttled - TOLERATED, len(SKIPS) - 1)]
        retry_after = max(facts.retry_after_seconds or 0.0 for facts in throttled_facts)
        return Backoff(throttled, max(step, min(SKIPS[-1], _intervals_after_next(retry_after, interval))))


def _intervals_after_next(seconds: float, interval: float) -> int:
    # Bounded before rounding: Retry-After may be infinite.
    return math.ceil(min(seconds / interval, SKIPS[-1] + 1.0)) - 1
