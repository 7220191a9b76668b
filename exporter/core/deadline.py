"""The step to which a timeout is charged.

The step that used the time is charged, not the step that had none left.
"""

from __future__ import annotations

from collections.abc import Mapping

from exporter.core.faults import Fault
from exporter.core.model import Phase, Step

# A step with less than this share of the probe's timeout had too little time: its timeout is not the server's fault.
FAIR_SHARE = 0.1

# The fault of a timeout by the phase it ended. None: no time to start.
TIMEOUT_IN: Mapping[Phase | None, Fault] = {
    None: Fault.READ_TIMEOUT,
    Phase.DNS: Fault.DNS_TIMEOUT,
    Phase.CONNECT: Fault.CONNECT_TIMEOUT,
    Phase.TLS: Fault.TLS_TIMEOUT,
    Phase.WAIT: Fault.READ_TIMEOUT,
    Phase.TRANSFER: Fault.BODY_TIMEOUT,
}


def slow_in(phases: Mapping[Phase, float]) -> Fault:
    """Return the fault of a step that used the time of later steps.

    The fault is the timeout of the step's longest phase.
    """
    return TIMEOUT_IN[max(phases, key=phases.__getitem__, default=None)]


def slowest(spent: Mapping[Step, float], *, left: float, timeout: float) -> Step | None:
    """Return the step to charge if the timed-out step had `left` seconds.

    Returns None if that was a fair share.
    """
    step = max(spent, key=spent.__getitem__, default=None)
    return step if step is not None and left < FAIR_SHARE * timeout and spent[step] > left else None
