"""Which step a time-out is charged to: the one that used the time, not the one that found none left.

For: the fault of a step that took too long, and the rule of the fair share.
Not for: clocks and deadlines themselves (see `probe`), or what the exporter's own slowness makes of a report (see `model`).
"""

from __future__ import annotations

from collections.abc import Mapping

from exporter.core.faults import TIMEOUTS, Fault
from exporter.core.model import Phase, Step

OUT_OF_TIME = TIMEOUTS | {Fault.SECRET_TIMEOUT}
# A step with less than this share of the probe's timeout had no chance: its time-out says nothing of whom it asked.
FAIR_SHARE = 0.1

# The fault of a time-out, by the phase it cut. None: there was no time even to begin.
TIMEOUT_IN: Mapping[Phase | None, Fault] = {
    None: Fault.READ_TIMEOUT,
    Phase.DNS: Fault.DNS_TIMEOUT,
    Phase.CONNECT: Fault.CONNECT_TIMEOUT,
    Phase.TLS: Fault.TLS_TIMEOUT,
    Phase.WAIT: Fault.READ_TIMEOUT,
    Phase.TRANSFER: Fault.BODY_TIMEOUT,
}


def slow_in(phases: Mapping[Phase, float]) -> Fault:
    """The fault of a step that ended, but took the time of those after it: the time-out of its longest phase."""
    return TIMEOUT_IN[max(phases, key=phases.__getitem__, default=None)]


def slowest(spent: Mapping[Step, float], *, left: float, timeout: float) -> Step | None:
    """The step that a time-out is charged to, if the step that timed out had `left` seconds; None if that was a fair share."""
    step = max(spent, key=spent.__getitem__, default=None)
    return step if step is not None and left < FAIR_SHARE * timeout and spent[step] > left else None
