"""When the next probe of a target is due: the rules of the schedule, as plain arithmetic.

For: first delays, jitter, missed starts, backing off from a throttled vault.
Not for: clocks, tasks or waiting (see `scheduler`); a caller passes the time and the random draw.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from exporter.core.model import ProbeReport
from exporter.core.timing import JITTER, SPACING

TOLERATED = 3  # so many throttled probes in a row are heard before the first interval is skipped: the alert comes first
SKIPS = (1, 2, 4)  # intervals skipped after the third throttled probe, after the fourth, and from the fifth on


def first_delay(interval: float, starting: int, draw: float) -> float:
    """Seconds until the first probe of one of `starting` targets; `draw` is uniform in [0, 1]."""
    return draw * min(interval, SPACING * starting)


def gap(interval: float, draw: float) -> float:
    """Seconds from one planned start to the next; `draw` is uniform in [0, 1]."""
    return interval * (1 - JITTER + 2 * JITTER * draw)


def missed_starts(planned: float, now: float, interval: float) -> int:
    """How many starts, from `planned` on, lie in the past because the probe before them took too long."""
    return max(0, math.ceil((now - planned) / interval))


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often in a row a target was throttled, and what follows from it. Immutable: `after` gives the next state."""

    throttled: int = 0
    skips: int = 0  # intervals to leave out before the next probe

    def after(self, report: ProbeReport, interval: float) -> Backoff:
        """The state after one more probe; a probe that was not throttled resets it.

        A Retry-After may lengthen the pause, never beyond the longest of `SKIPS`, and only once backing off has begun.
        """
        answers = report.throttled_facts
        if not answers:
            return Backoff()
        throttled = self.throttled + 1
        if throttled < TOLERATED:
            return Backoff(throttled)
        step = SKIPS[min(throttled - TOLERATED, len(SKIPS) - 1)]
        asked = max(answer.retry_after_seconds or 0.0 for answer in answers)
        return Backoff(throttled, max(step, min(SKIPS[-1], _intervals_beyond_the_next(asked, interval))))


def _intervals_beyond_the_next(seconds: float, interval: float) -> int:
    # Bounded before rounding: an absurd Retry-After may be infinite.
    return math.ceil(min(seconds / interval, SKIPS[-1] + 1.0)) - 1
