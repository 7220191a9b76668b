"""Chaos: a scenario at random on a vault at random, again and again.

For: exercising people and alerts without a script. The seed decides what happens, so that a run can be had again.
Not for: a story with a plot (see `demo_story`), or which scenarios there are.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from exporter.core.codes import both_numbers
from exporter.simulator.scenarios import SIMULATED, Scenario
from exporter.simulator.simulator import Simulator

# A changed route is seen only by an exporter that reloads its configuration, and nobody here tells it to.
POSSIBLE: tuple[Scenario, ...] = tuple(
    scenario for scenario in SIMULATED if scenario.fault is None or scenario.fault.route is None
)
_SHORTEST, _LONGEST = 0.5, 3.0  # how long an event lasts, in intervals


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happens. `lasts` in seconds; some outlast the next, so that faults meet."""

    scenario: Scenario
    vault: str
    lasts: float

    def __str__(self) -> str:
        """One line for people: what was done, and what a probe should make of it."""
        return (
            f"{self.scenario.name} on {self.vault} for {self.lasts:.0f}s: expect {both_numbers(self.scenario.classic)} "
            f"at {self.scenario.step}, reason {self.scenario.reason}"
        )


def events(vaults: Sequence[str], every: float, seed: int) -> Iterator[Event]:
    """Endless; the same for the same vaults, interval (seconds) and seed."""
    draw = random.Random(seed)  # noqa: S311 - chance that can be repeated, no secret
    names = sorted(vaults)
    while True:
        yield Event(draw.choice(POSSIBLE), draw.choice(names), every * draw.uniform(_SHORTEST, _LONGEST))


async def run_chaos(simulator: Simulator, every: float, seed: int, tell: Callable[[str], None]) -> None:
    """Lets an event happen every so many seconds, and says so, until it is cancelled."""
    async with asyncio.TaskGroup() as group:
        with_keys = [vault.host for vault in simulator.state.environment.vaults.values() if vault.keys]
        for event in events(with_keys, every, seed):
            await asyncio.sleep(every)
            group.create_task(_happen(simulator, event, tell))


async def _happen(simulator: Simulator, event: Event, tell: Callable[[str], None]) -> None:
    active = simulator.apply(event.scenario.name, vault=event.vault)
    tell(str(event))
    await asyncio.sleep(event.lasts)
    for one in active:
        simulator.clear(number=one.number)
    tell(f"{event.scenario.name} on {event.vault} is over")
