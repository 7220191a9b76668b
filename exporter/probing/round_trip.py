"""One probe: challenge, token, get key, wrap, unwrap, in the connector's order.

Each step is classified by itself.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from exporter.clients.key_vault import VaultSession, encrypt_locally
from exporter.config.settings import Config, Credential, Module, Target
from exporter.core.values import (
    Challenge,
    Facts,
    Fault,
    KeyFacts,
    Mode,
    Outcome,
    Readiness,
    Silence,
    Step,
    TokenResult,
    Vantage,
    different_key,
    is_discarded,
    is_disturbed,
    key_state,
    slow_in,
    slowest,
)
from exporter.knowledge.answers import with_object_ids
from exporter.knowledge.classify import classify
from exporter.knowledge.codes import generation_code
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import ProbeReport, StepResult, redacted
from exporter.knowledge.verdict import assess
from exporter.runtime.loop import loop_time
from exporter.runtime.tasks import PoolExhausted

T = TypeVar("T")

ROUND_TRIP_BYTES = 32  # the size of a database encryption key of AES-256


Tokens = Callable[..., Awaitable[TokenResult]]  # the token for a challenge until `deadline`, a loop time


@dataclass(frozen=True, slots=True)
class LoopClock:
    """Unix time, the time of the running event loop (the unit of deadlines), and how long the loop was late in a span of that."""

    time: Callable[[], float] = time.time
    monotonic: Callable[[], float] = loop_time
    late_between: Callable[[float, float], float] = lambda _start, _end: 0.0


class ProbeRequest(Struct, frozen=True, kw_only=True, gc=False):
    """What to probe and how. `timeout`: seconds for the whole probe."""

    target: Target
    module: Module
    credential: Credential
    vantage: Vantage
    timeout: float
    round_trip: bool = True  # False between two round trips of `round_trip_interval`
    last_unwrapped: bool | None = None  # of the last round trip; used if `round_trip` is False
    cut_by_scrape: bool = False  # the timeout is that of the scrape, shorter than the target's
    wrap: bool = True  # False: the bytes to unwrap are encrypted locally, without a wrap request
    public_key: KeyFacts | None = None  # encrypts them; None for the key that was read


def probe_request(
    config: Config, target: Target, module: Module | None = None, credential: Credential | None = None
) -> ProbeRequest:
    """Return the request for one whole probe. Module and credential are those of the target by default."""
    return ProbeRequest(
        target=target,
        module=module or config.modules[target.module],
        credential=credential or config.credentials[target.credential],
        vantage=config.settings.vantage,
        timeout=target.timeout,
    )


@dataclass(slots=True, eq=False)
class Probe:
    """One probe: what it uses, and its state while it runs. `on_internal_error` receives internal errors."""

    request: ProbeRequest
    vault: VaultSession
    tokens: Tokens
    clock: LoopClock
    on_internal_error: Callable[[Exception], None]
    _deadline: float = field(init=False)
    _ended: float = field(init=False)  # when the last step ended
    _began: dict[Step, float] = field(default_factory=dict)  # without a gap: a pause between two steps belongs to the later one
    _results: dict[Step, StepResult] = field(default_factory=dict)
    _spent: dict[Step, float] = field(default_factory=dict)  # seconds here; the fetch of a shared token may have taken longer
    # Failed steps that say nothing, and the share of their time that this host lost.
    _discarded: dict[Step, float] = field(default_factory=dict)
    _fetched: TokenResult | None = None
    _key: KeyFacts | None = None
    _unwrapped: bool | None = None
    _purge_at: float | None = None
    _purged: bool = False

    async def run(self) -> ProbeReport:
        """Make the probe. A step that could not run is `skipped`. An internal error is a failed step; between two steps it fails the next one.

        The report holds no known secret: steps are classified before. The timeout starts now. Raises only CancelledError, and PoolExhausted if the probe must be discarded.
        """
        request, started_at, started = self.request, self.clock.time(), self.clock.monotonic()
        self._ended, self._deadline = started, started + request.timeout
        challenge: Challenge | None = None
        try:
            challenge = await self._step(Step.CHALLENGE, lambda: self.vault.challenge(deadline=self._deadline))
            if challenge is not None:
                token = await self._token(challenge)
                if token is not None:
                    key = await self._get_key(token)
                    if key is not None and request.round_trip and request.module.mode is not Mode.READ_ONLY:
                        await self._round_trip(token, key)
                    self._results.update(with_object_ids(self._results, token))
        except PoolExhausted:
            raise
        except Exception as error:  # noqa: BLE001 - see above
            step = next((step for step in Step if step not in self._results), Step.UNWRAP_KEY)
            self._keep(step, self._internal_error(error), 0.0)
        duration = self.clock.monotonic() - started
        if any(result.outcome is Outcome.FAILED and step not in self._discarded for step, result in self._results.items()):
            # The failure of another step counts. A step that says nothing is as good as not made.
            self._results = {step: result for step, result in self._results.items() if step not in self._discarded}
            self._unwrapped = None if Step.UNWRAP_KEY in self._discarded else self._unwrapped
            self._discarded.clear()
        steps = tuple([self._results.get(step) or StepResult(step=step, outcome=Outcome.SKIPPED) for step in Step])
        report = ProbeReport(
            target=request.target.name,
            started_at=started_at,
            duration=duration,
            steps=steps,
            readiness=Readiness(ready=None, why="not_measured", stolen=max(self._discarded.values()))
            if self._discarded
            else assess(
                steps,
                pinned=request.target.key_version is not None,
                mode=request.module.mode,
                managed_identity=request.credential.kind.is_managed,
                vantage=request.vantage,
                unwrapped=self._unwrapped if request.round_trip else request.last_unwrapped,
                own_module=request.module.name == request.target.module,
            ),
            key=self._key,
            tenant=None if challenge is None else challenge.tenant,
            purge_at=self._purge_at,
            purged=self._purged,
        )
        return redacted(report)

    async def _token(self, challenge: Challenge) -> str | None:
        async def fetch() -> tuple[Facts, str | None]:
            result = self._fetched = await self.tokens(challenge, deadline=self._deadline)
            if result.token is None:  # a pause before this probe waited for the fetch may be the cause
                self._began[Step.TOKEN] = min(self._began[Step.TOKEN], self.clock.monotonic() - result.duration)
            return result.facts, result.token

        token = await self._step(Step.TOKEN, fetch)
        if (result := self._fetched) is not None and Step.TOKEN in self._results:
            self._results[Step.TOKEN] = replace(self._results[Step.TOKEN], duration=result.duration, shared=result.shared)
        return token

    async def _get_key(self, token: str) -> KeyFacts | None:
        target = self.request.target

        async def get() -> tuple[Facts, KeyFacts | None]:
            facts, key = await self.vault.get_key(token, target.key_name, target.key_version, deadline=self._deadline)
            if key is not None and (other := different_key(target.key_name, target.key_version, key)):
                # A round trip with it would prove nothing about the requested version.
                return replace(facts, fault=Fault.KID_UNUSABLE, detail=f"the response is about {other}"), None
            self._key = key
            if key is None or key.supported:
                return facts, key
            return replace(facts, fault=Fault.KEY_UNSUPPORTED), None

        key = await self._step(Step.GET_KEY, get)
        if key is None:
            await self._check_deleted(token)
        return key

    async def _check_deleted(self, token: str) -> None:
        """Check whether a missing key is soft-deleted; unknown without permission or time."""
        missing = self._results.get(Step.GET_KEY)
        if missing is None or missing.reason is not Reason.KEY_NOT_FOUND or missing.facts is None:
            return
        try:
            facts, purge_at = await self.vault.deleted_key(token, self.request.target.key_name, deadline=self._deadline)
        except PoolExhausted:
            return
        except Exception as error:  # noqa: BLE001 - an internal error ends here
            self.on_internal_error(error)
            return
        self._purged = facts.status == 404
        if facts.fault is Fault.NONE:
            self._purge_at = purge_at
            self._keep(Step.GET_KEY, replace(missing.facts, key_state="soft_deleted"), missing.duration)

    async def _round_trip(self, token: str, key: KeyFacts) -> None:
        algorithm, data = self.request.module.algorithm, os.urandom(ROUND_TRIP_BYTES)
        state = key_state(key, self.clock.time())

        async def wrap() -> tuple[Facts, bytes | None]:
            # Half of the remaining time: a hanging wrap must not prevent unwrap, which decides the verdict.
            half = (self.clock.monotonic() + self._deadline) / 2
            facts, wrapped = await self.vault.operate(Step.WRAP_KEY, token, key, algorithm, data, deadline=half)
            return replace(facts, key_state=state), wrapped

        allotted = (self._deadline - self.clock.monotonic()) / 2
        wrapped = await self._step(Step.WRAP_KEY, wrap, allotted) if self.request.wrap else None
        wrapped = wrapped or encrypt_locally(self.request.public_key or key, algorithm, data)
        if wrapped is None:
            return

        async def unwrap() -> tuple[Facts, bytes | None]:
            facts, back = await self.vault.operate(Step.UNWRAP_KEY, token, key, algorithm, wrapped, deadline=self._deadline)
            facts = replace(facts, key_state=state)
            return (facts, back) if back in (None, data) else (replace(facts, fault=Fault.BYTES_DIFFER), None)

        self._unwrapped = await self._step(Step.UNWRAP_KEY, unwrap) is not None

    async def _step(
        self, step: Step, exchange: Callable[[], Awaitable[tuple[Facts, T | None]]], allotted: float | None = None
    ) -> T | None:
        """Make one exchange, time it and keep its result.

        Return the value unless there was a fault. `allotted`: seconds, or None for all remaining time. If an earlier step used up the time, that step fails instead of this one.
        """
        before, self._began[step] = self.clock.monotonic(), self._ended
        left = self._deadline - before if allotted is None else allotted
        culprit = slowest(self._spent, left=left, timeout=self.request.timeout)
        try:
            facts, value = await exchange()
        except PoolExhausted:
            if culprit is None:
                raise
            facts, value = Facts(fault=Fault.READ_TIMEOUT), None
        except Exception as error:  # noqa: BLE001 - an internal error ends here, as a value
            facts, value = self._internal_error(error), None
        if facts.fault is Fault.NONE and value is None:  # the probe would end here and count as a success
            facts = self._internal_error(RuntimeError(f"{step} has no fault and no result"))
        self._ended = self.clock.monotonic()
        if culprit is not None and facts.fault.silence is Silence.TIMEOUT:
            known = self._results[culprit]
            if known.outcome is Outcome.OK and known.facts is not None:
                late = replace(known.facts, fault=slow_in(known.facts.phases), detail=f"left no time for {step}")
                self._keep(culprit, late, known.duration, shared=known.shared)
        else:
            self._spent[step] = self._ended - before
            self._keep(step, facts, self._spent[step])
        return value if facts.fault is Fault.NONE else None

    def _keep(self, step: Step, facts: Facts, duration: float, *, shared: bool = False) -> None:
        began = self._began.get(step, self._ended)
        late, took = self.clock.late_between(began, self._ended), self._ended - began
        failed = facts.fault is not Fault.NONE
        if is_discarded(facts.fault, late=late, took=took):
            self._discarded[step] = late / took
        is_late = facts.fault is not Fault.HTTP_STATUS and self.clock.monotonic() >= self._deadline
        if failed and self.request.cut_by_scrape and (facts.fault.silence is Silence.TIMEOUT or is_late):
            facts = replace(facts, cut_by_scrape=True)
        classification = classify(step, facts) if failed else None
        self._results[step] = StepResult(
            step=step,
            outcome=Outcome.FAILED if failed else Outcome.OK,
            duration=duration,
            code=None if classification is None else generation_code(classification.code, self.request.target.generation),
            reason=None if classification is None else classification.reason,
            facts=facts,
            shared=shared,
            disturbed=is_disturbed(late=late, took=took),
        )

    def _internal_error(self, error: Exception) -> Facts:
        self.on_internal_error(error)
        return Facts(fault=Fault.INTERNAL, exception=type(error).__name__)
