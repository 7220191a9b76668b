"""What goes wrong, and the number SQL Server would show for it: one literal table, in the order of a probe.

For: the demo, the chaos, the tests and the documentation, which all read this table. Each row says what is broken, where and
at which step, and what a probe must make of it in both generations. Every code that a probe can see is in it.
Not for: how a fault is caused (see `faulttable`), how the table looks on a page (see `page`), nor the rules of classification,
which must agree without knowing it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from exporter.simulator.scenarios.answers import ANSWERS
from exporter.simulator.scenarios.credentials import CREDENTIALS
from exporter.simulator.scenarios.model import Outside, Scenario
from exporter.simulator.scenarios.network import NETWORK
from exporter.simulator.scenarios.refusals import REFUSALS
from exporter.simulator.scenarios.sign_in import SIGN_IN

__all__ = ["BY_NAME", "SCENARIOS", "SIMULATED", "Outside", "Scenario"]

SCENARIOS: tuple[Scenario, ...] = (*CREDENTIALS, *NETWORK, *SIGN_IN, *REFUSALS, *ANSWERS)
BY_NAME: Mapping[str, Scenario] = MappingProxyType({scenario.name: scenario for scenario in SCENARIOS})
SIMULATED: tuple[Scenario, ...] = tuple(scenario for scenario in SCENARIOS if scenario.fault is not None)
"""Those that the simulator can cause by itself, in order."""
