"""Chaos: a random scenario on a random vault at a fixed interval.

The seed decides the scenarios, so that a run can be repeated.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from exporter.core.codes import both_numbers
from exporter.simulator.scenarios import SIMULATED, Scenario
from exporter.simulator.simulator import Simulator

# An exporter follows a changed route only after a reload, which chaos cannot trigger.
POSSIBLE: tuple[Scenario, ...] = tuple(
    scenario for scenario in SIMULATED if scenario.fault is None or scenario.fault.route is None
)
_SHORTEST, _LONGEST = 0.5, 3.0  # how long an event lasts, in intervals


@dataclass(frozen=True, slots=True)
class Event:
    """One scenario on one vault.

    `lasts` is in seconds. Some events outlast the next one, so that faults overlap.
    """

    scenario: Scenario
    vault: str
    lasts: float

    def __str__(self) -> str:
        """Return one line: scenario, vault, and the result that a probe should report."""
        return (
            f"{self.scenario.name} on {self.vault} for {self.lasts:.0f}s: expect {both_numbers(self.scenario.classic)} "
            f"at {self.scenario.step}, reason {self.scenario.reason}"
        )


def events(vaults: Sequence[str], every: float, seed: int) -> Iterator[Event]:
    """Yield events without end.

    The same vaults, interval (seconds) and seed give the same events.
    """
    draw = random.Random(seed)  # noqa: S311 - repeatable randomness, no secret
    names = sorted(vaults)
    while True:
        yield Event(draw.choice(POSSIBLE), draw.choice(names), every * draw.uniform(_SHORTEST, _LONGEST))


async def run_chaos(simulator: Simulator, every: float, seed: int, on_event: Callable[[str], None]) -> None:
    """Start an event at each interval (seconds) and report it, until cancelled."""
    async with asyncio.TaskGroup() as group:
        with_keys = [vault.host for vault in simulator.state.environment.vaults.values() if vault.keys]
        for event in events(with_keys, every, seed):
            await asyncio.sleep(every)
            group.create_task(_happen(simulator, event, on_event))


async def _happen(simulator: Simulator, event: Event, on_event: Callable[[str], None]) -> None:
    """Cause the event, wait for its end, and clear it."""
    active = simulator.apply(event.scenario.name, vault=event.vault)
    on_event(str(event))
    await asyncio.sleep(event.lasts)
    for one in active:
        simulator.clear(number=one.number)
    on_event(f"{event.scenario.name} on {event.vault} is over")
