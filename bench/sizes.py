"""The sizes of a run: full, quick and tiny. Times are in seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """The size of each part.

    `slice` is the duration of a measurement of a fleet, after `warm_up`. The small fleet has a shorter interval, for a similar
    rate of probes. `storm` is in intervals of a fleet of its own. `failing` is the duration of each way to fail.
    """

    runs: int
    probe_targets: int
    probe_interval: float
    probe_window: float
    fleet: int
    small_fleet: int
    fleet_interval: float
    small_interval: float
    warm_up: float
    slice: float
    step_targets: int
    step_interval: float
    storm: float
    storm_fleet: int
    storm_interval: float
    failing: float
    failing_fleets: tuple[int, ...]
    day_hours: int
    day_probes: int
    sql_fleet: int
    sql_interval: float
    sql_slice: float


FULL = Sizes(
    runs=5, probe_targets=80, probe_interval=2, probe_window=2, fleet=5000, small_fleet=500, fleet_interval=60, small_interval=6, warm_up=66,
    slice=6, step_targets=100, step_interval=2, storm=1.1, storm_fleet=1250, storm_interval=15, failing=300, failing_fleets=(1000, 2500),
    day_hours=24, day_probes=60, sql_fleet=300, sql_interval=300, sql_slice=18,
)  # fmt: skip
QUICK = Sizes(
    runs=2, probe_targets=40, probe_interval=2, probe_window=2, fleet=500, small_fleet=100, fleet_interval=6, small_interval=2, warm_up=8,
    slice=4, step_targets=40, step_interval=2, storm=1.25, storm_fleet=200, storm_interval=6, failing=20, failing_fleets=(200,), day_hours=4,
    day_probes=20, sql_fleet=60, sql_interval=60, sql_slice=20,
)  # fmt: skip
TINY = Sizes(
    runs=1, probe_targets=4, probe_interval=1, probe_window=1, fleet=10, small_fleet=2, fleet_interval=1, small_interval=1, warm_up=1,
    slice=2, step_targets=4, step_interval=1, storm=2, storm_fleet=8, storm_interval=1, failing=3, failing_fleets=(10,), day_hours=2,
    day_probes=3, sql_fleet=3, sql_interval=60, sql_slice=2,
)  # fmt: skip
SIZES = {"full": FULL, "quick": QUICK, "tiny": TINY}
