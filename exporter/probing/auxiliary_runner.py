"""Makes the auxiliary probes that are due after each probe of a target.

The auxiliary probes of one target run one after the other, on their own task: a slow recovery vault delays no probe, and no
target has two rounds at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

from exporter.config.settings import Target
from exporter.core.auxiliary import AuxiliaryResult, Identity
from exporter.core.model import ProbeReport
from exporter.probing.auxiliary_plan import AuxiliaryProbe, is_due
from exporter.runtime.internal_errors import reported
from exporter.runtime.single_flight import SingleFlight

MakeAuxiliary = Callable[[AuxiliaryProbe], Awaitable[AuxiliaryResult | None]]
_Successes = dict[Identity, float]  # of one target: Unix times of the last results, if these were no failures


class AuxiliaryRunner:
    """Runs auxiliary probes, at most `concurrency` at once.

    Use it from one event loop. `on_result` receives each result, `on_internal_error` each internal error.
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
        self._rounds: SingleFlight[str, None] = SingleFlight()
        self._successes: dict[str, _Successes] = {}

    def has_due(self, name: str, identities: Iterable[Identity], *, interval: float) -> bool:
        """Whether one of these auxiliary probes is due: without one, there is nothing to plan."""
        successes, now = self._successes.get(name, {}), self._clock()
        return any(is_due(successes.get(identity), interval, now) for identity in identities)

    def start_due(self, target: Target, report: ProbeReport, probes: Iterable[AuxiliaryProbe], *, interval: float) -> None:
        """Start the due `probes`, unless the vault throttles or a round is running.

        `interval`: seconds until a successful one is repeated.
        """
        if report.discarded or report.throttled_facts or self._rounds.running(target.name):
            return
        successes, now = self._successes.setdefault(target.name, {}), self._clock()
        wanted = [probe for probe in probes if is_due(successes.get(probe.identity), interval, now)]
        if wanted:
            self._rounds.start(target.name, self._run(target, successes, wanted), name=f"auxiliary probes of {target.name}")

    def forget(self, name: str) -> None:
        """Cancel the round of a removed or replaced target, and forget its results."""
        self._rounds.cancel(name)
        self._successes.pop(name, None)

    async def aclose(self) -> None:
        await self._rounds.aclose()

    async def wait_idle(self) -> None:
        """Wait until no auxiliary probe is running."""
        await self._rounds.wait()

    async def _run(self, target: Target, successes: _Successes, probes: list[AuxiliaryProbe]) -> None:
        for probe in probes:
            with reported(self._on_internal_error):  # an internal error of one must not stop the others
                async with self._slots:
                    result = await self._make(probe)
                if result is not None:
                    successes.pop(probe.identity, None)
                    if result.failure is None:
                        successes[probe.identity] = result.at
                    self._on_result(target, result)
