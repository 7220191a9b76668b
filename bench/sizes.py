"""The sizes of a run: full, quick and tiny. Times are in seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """The size of each part.

    `slice` is the duration of a measurement of a fleet, after `warm_up`. `failing` is the duration of each way to fail.
    """

    runs: int
    targets: int
    interval: float
    fleet: int
    fleet_interval: float
    warm_up: float
    slice: float
    failing: float
    failing_fleets: tuple[int, ...]


FULL = Sizes(
    runs=5, targets=80, interval=2, fleet=5000, fleet_interval=60, warm_up=66, slice=6, failing=300, failing_fleets=(1000, 2500)
)
QUICK = Sizes(runs=2, targets=40, interval=2, fleet=500, fleet_interval=6, warm_up=8, slice=4, failing=20, failing_fleets=(200,))
TINY = Sizes(runs=1, targets=4, interval=1, fleet=10, fleet_interval=1, warm_up=1, slice=2, failing=3, failing_fleets=(10,))
SIZES = {"full": FULL, "quick": QUICK, "tiny": TINY}
