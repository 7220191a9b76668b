"""Unsteady: a target that is ready now, although it failed several times, with a success in between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from exporter.core.model import Step
from exporter.core.reasons import Reason

# Failed probes among the last ones, at least. One lost packet fails one probe, and a restart of a proxy or a moved address
# fails the two that it meets. The third failure shows that the cause comes back or lasted.
FAILURES_OF_UNSTEADY: Final = 3
# Runs of failures, at least: after a single one, the failure has ended.
RUNS_OF_UNSTEADY: Final = 2


class FailedProbe(NamedTuple):
    """What a failed probe showed: the deciding step, its code and its reason. Without a failed step, all are None."""

    step: Step | None
    code: int | None
    reason: Reason | None


NO_FAILURE: Final = FailedProbe(None, None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsteady:
    """The failed probes among the last `probes` ones. `most` is the most frequent failure, which `alike` of them have."""

    failed: int
    probes: int
    most: FailedProbe
    alike: int

    def __str__(self) -> str:
        last = f"of the last {self.probes} probes"
        if self.most.code is None:
            return f"unsteady: {self.failed} {last} failed"
        if self.alike == self.failed:
            return f"unsteady: {self.most.code} in {self.failed} {last}"
        return f"unsteady: {self.failed} {last} failed, {self.alike} with {self.most.code}"


def assess_steadiness(failed: Sequence[FailedProbe], probes: int, runs: int) -> Unsteady | None:
    """Return how unsteady a ready target is; None if it is steady.

    `failed` are the failures of its last `probes` probes, in `runs` runs.
    """
    if len(failed) < FAILURES_OF_UNSTEADY or runs < RUNS_OF_UNSTEADY:
        return None
    most, alike = Counter(reversed(failed)).most_common(1)[0]  # of equally frequent ones, the latest
    return Unsteady(failed=len(failed), probes=probes, most=most, alike=alike)
