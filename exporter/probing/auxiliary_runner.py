"""Looks beside the main probes: after each probe of a target those that are due, one after the other, on a task of their own.

For: when looks are made and how many at once; a slow recovery vault delays no probe, and no target has two rounds under way.
Not for: what a look is (see `auxiliary_plan`), how it is made (see `prober`), keeping it (see `state.records.records`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from exporter.config.model import Target
from exporter.core.auxiliary import AuxiliaryKind, AuxiliaryResult
from exporter.core.model import ProbeReport
from exporter.probing.auxiliary_plan import AuxiliaryProbe, is_due

MakeLook = Callable[[AuxiliaryProbe], Awaitable[AuxiliaryResult | None]]


@dataclass(slots=True)
class _Round:
    """What is under way, and what was last seen, for one target."""

    task: asyncio.Task[None] | None = None
    last: dict[tuple[AuxiliaryKind, str, str], AuxiliaryResult] = field(default_factory=dict)


class AuxiliaryRunner:
    """To be used from one event loop. `on_look` hears of each look, `on_bug` of our own mistakes."""

    def __init__(
        self,
        make: MakeLook,
        *,
        on_look: Callable[[Target, AuxiliaryResult], None],
        on_bug: Callable[[Exception], None],
        concurrency: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._make, self._on_look, self._on_bug, self._clock = make, on_look, on_bug, clock
        self._slots = asyncio.Semaphore(concurrency)
        self._rounds: dict[str, _Round] = {}

    def after_probe(self, target: Target, report: ProbeReport, plans: Iterable[AuxiliaryProbe], *, interval: float) -> None:
        """A probe of the target has ended: look at what is due, unless the vault asks for fewer requests.

        `interval` in seconds: how often what is in order is looked at again.
        """
        if report.inconclusive or report.throttled_facts:
            return
        this = self._rounds.setdefault(target.name, _Round())
        if this.task is not None and not this.task.done():
            return
        now = self._clock()
        wanted = [plan for plan in plans if is_due(this.last.get(plan.identity), interval, now)]
        if wanted:
            this.task = asyncio.create_task(self._look(target, this, wanted), name=f"looks of {target.name}")

    def forget(self, name: str) -> None:
        """The target is gone, or another one has its name."""
        this = self._rounds.pop(name, None)
        if this is not None and this.task is not None:
            this.task.cancel()

    async def aclose(self) -> None:
        tasks = [this.task for this in self._rounds.values() if this.task is not None]
        for name in list(self._rounds):
            self.forget(name)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def settled(self) -> None:
        """Waits until no look is under way."""
        await asyncio.gather(*(this.task for this in self._rounds.values() if this.task is not None), return_exceptions=True)

    async def _look(self, target: Target, this: _Round, plans: list[AuxiliaryProbe]) -> None:
        for plan in plans:
            try:
                async with self._slots:
                    look = await self._make(plan)
                if look is not None:
                    this.last[plan.identity] = look
                    self._on_look(target, look)
            except Exception as error:  # noqa: BLE001 - one look's bug must not reach the others
                self._on_bug(error)
