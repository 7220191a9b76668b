"""The auxiliary probes of a target, each with another credential, key version or vault: their plan, and their rounds.

Those that are due run after a probe, one after the other on their own task: a slow recovery vault delays no probe, and no target has two
rounds at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date

from msgspec import structs

from exporter.config.settings import Config, Target
from exporter.config.usage import list_auxiliary_probes
from exporter.core.values import KeyFacts, Vantage
from exporter.knowledge.report import ProbeReport
from exporter.knowledge.verdict import AuxiliaryKind, AuxiliaryResult, Identity
from exporter.probing.round_trip import ProbeRequest, probe_request
from exporter.runtime.tasks import SingleFlight, reported


@dataclass(frozen=True, slots=True, kw_only=True)
class AuxiliaryProbe:
    """One auxiliary probe to make. `name` is that of its result."""

    kind: AuxiliaryKind
    name: str
    request: ProbeRequest

    @property
    def identity(self) -> Identity:
        return self.kind, self.name, self.request.target.vault

    @property
    def is_of_another_host(self) -> bool:
        """Whether the staged credential is an identity that only the SQL host has."""
        managed = self.request.credential.kind.is_managed
        return self.kind is AuxiliaryKind.NEXT and managed and self.request.vantage is Vantage.CENTRAL


def auxiliary_probes(config: Config, target: Target, key: KeyFacts | None, today: date) -> tuple[AuxiliaryProbe, ...]:
    """Return all auxiliary probes of a target.

    `key` are the last facts of the primary's key; without them there is no probe of the recovery vault.
    """
    return tuple(
        AuxiliaryProbe(kind=kind, name=name, request=_request(config, target, (kind, name, vault), credential, key))
        for (kind, name, vault), credential in list_auxiliary_probes(target, today)
        if kind is not AuxiliaryKind.RECOVERY or key is not None
    )


def is_due(succeeded_at: float | None, interval: float, now: float) -> bool:
    """Return True `interval` seconds after the last success, and without one: after a failure, or without a result.

    Times are Unix times.
    """
    return succeeded_at is None or not 0 <= now - succeeded_at < interval


def _request(config: Config, target: Target, identity: Identity, credential: str, key: KeyFacts | None) -> ProbeRequest:
    """Return the request of an auxiliary probe. Only the staged credential wraps: SQL Server will need it too."""
    kind, name, vault = identity
    is_recovery = kind is AuxiliaryKind.RECOVERY
    key_name, version = target.key_name, target.key_version
    if kind is AuxiliaryKind.RETAINED:
        key_name, _, version = name.partition("/")
    elif kind is AuxiliaryKind.NEWEST:
        version = None
    elif is_recovery and key is not None:
        version = version or key.version
    return structs.replace(
        probe_request(config, replace(target, vault=vault, key_name=key_name, key_version=version, credential=credential)),
        wrap=kind not in (AuxiliaryKind.RETAINED, AuxiliaryKind.RECOVERY),
        round_trip=kind is not AuxiliaryKind.NEWEST,
        public_key=key if is_recovery else None,
    )


_Successes = dict[Identity, float]  # of one target: Unix times of the last results, if these were no failures


class AuxiliaryRunner:
    """Runs auxiliary probes, at most `concurrency` at once.

    Use it from one event loop. `on_result` receives each result, `on_internal_error` each internal error.
    """

    def __init__(
        self,
        make: Callable[[AuxiliaryProbe], Awaitable[AuxiliaryResult | None]],
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

    def start_due(
        self,
        target: Target,
        report: ProbeReport,
        identities: Iterable[Identity],
        plan: Callable[[], Iterable[AuxiliaryProbe]],
        *,
        interval: float,
    ) -> None:
        """Start those of the `plan` that are due, unless the vault throttles or a round is running. If none of `identities` is due, nothing is planned.

        `interval`: seconds until a successful one is repeated.
        """
        successes, now = self._successes.get(target.name, {}), self._clock()
        due = {identity for identity in identities if is_due(successes.get(identity), interval, now)}
        if not due or report.discarded or report.throttled_facts or self._rounds.running(target.name):
            return
        if wanted := [probe for probe in plan() if probe.identity in due]:
            self._rounds.start(
                target.name,
                self._run(target, self._successes.setdefault(target.name, successes), wanted),
                name=f"auxiliary probes of {target.name}",
            )

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
