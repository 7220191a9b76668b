"""The scenarios and the codes that SQL Server would show, in a probe's order.

For: the demo, the tests and the documentation, which read this one table. Each row has the broken part, the
step, and the code of a probe in both generations. Every code that a probe can report is in it.
Not for: causing faults (see `fault_table`), or classification, whose rules must agree without using this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from exporter.simulator.scenarios.exporter_side import EXPORTER_SIDE
from exporter.simulator.scenarios.model import Outside, Scenario
from exporter.simulator.scenarios.network import NETWORK
from exporter.simulator.scenarios.refusals import REFUSALS
from exporter.simulator.scenarios.sign_in import SIGN_IN
from exporter.simulator.scenarios.unusable_bodies import UNUSABLE_BODIES

__all__ = ["BY_NAME", "SCENARIOS", "SIMULATED", "Outside", "Scenario"]

SCENARIOS: tuple[Scenario, ...] = (*EXPORTER_SIDE, *NETWORK, *SIGN_IN, *REFUSALS, *UNUSABLE_BODIES)
BY_NAME: Mapping[str, Scenario] = MappingProxyType({scenario.name: scenario for scenario in SCENARIOS})
SIMULATED: tuple[Scenario, ...] = tuple(scenario for scenario in SCENARIOS if scenario.fault is not None)
"""The scenarios that the simulator can cause, in order."""
