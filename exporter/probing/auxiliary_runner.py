"""Makes the auxiliary probes that are due after each probe of a target.

Those of one target run one after the other, on their own task: a slow recovery vault delays no probe, and no target has two
rounds at once.
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
from exporter.runtime.internal_errors import reported

MakeAuxiliary = Callable[[AuxiliaryProbe], Awaitable[AuxiliaryResult | None]]


@dataclass(slots=True)
class _Round:
    """The current round of one target, and its last results."""

    task: asyncio.Task[None] | None = None
    last: dict[tuple[AuxiliaryKind, str, str], AuxiliaryResult] = field(default_factory=dict)


class AuxiliaryRunner:
    """Runs auxiliary probes, at most `concurrency` at once.

    To be used from one event loop. `on_result` receives each result, `on_internal_error` each internal error.
    """

    def __init__(
        self,
        make: MakeAuxiliary,
        *,
        on_result: Callable[[Target, AuxiliaryResult], None],
        on_internal_error: Callable[[Exception], None],
        concurrency: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._make, self._on_result, self._on_internal_error, self._clock = make, on_result, on_internal_error, clock
        self._slots = asyncio.Semaphore(concurrency)
        self._rounds: dict[str, _Round] = {}

    def after_probe(self, target: Target, report: ProbeReport, probes: Iterable[AuxiliaryProbe], *, interval: float) -> None:
        """Start the due `probes`, unless the vault throttles or a round is running.

        `interval`: seconds until a successful one is repeated.
        """
        if report.inconclusive or report.throttled_facts:
            return
        this = self._rounds.setdefault(target.name, _Round())
        if this.task is not None and not this.task.done():
            return
        now = self._clock()
        wanted = [probe for probe in probes if is_due(this.last.get(probe.identity), interval, now)]
        if wanted:
            this.task = asyncio.create_task(self._run(target, this, wanted), name=f"auxiliary probes of {target.name}")

    def forget(self, name: str) -> None:
        """Cancel the round of a removed or replaced target, and forget its results."""
        this = self._rounds.pop(name, None)
        if this is not None and this.task is not None:
            this.task.cancel()

    async def aclose(self) -> None:
        tasks = [this.task for this in self._rounds.values() if this.task is not None]
        for name in list(self._rounds):
            self.forget(name)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def wait_idle(self) -> None:
        """Wait until no auxiliary probe is running."""
        await asyncio.gather(*(this.task for this in self._rounds.values() if this.task is not None), return_exceptions=True)

    async def _run(self, target: Target, this: _Round, probes: list[AuxiliaryProbe]) -> None:
        for probe in probes:
            with reported(self._on_internal_error):  # an internal error of one must not stop the others
                async with self._slots:
                    result = await self._make(probe)
                if result is not None:
                    this.last[probe.identity] = result
                    self._on_result(target, result)
