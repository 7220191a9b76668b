"""One token request per credential and cycle, however many targets share the credential.

For: who fetches, who waits, what is kept and until when. A fleet of probes must not become a storm of token requests, and a
revoked secret must still be seen in the next cycle.
Not for: the request itself (see `clients`), reading secrets (see `secret_cache`), how long a cycle is (see `reuse`), or
codes: facts are kept, and each target judges them by itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from exporter.config.model import Credential, Module
from exporter.core.faults import Fault
from exporter.core.masking import mask
from exporter.core.model import Challenge, Facts, TokenResponse, TokenResult
from exporter.runtime.shortage import shortage_of
from exporter.runtime.thread_pool import PoolExhausted
from exporter.tokens.reuse import ReuseWindow
from exporter.tokens.secret_cache import Secret, SecretCache

# Answers that have a status and still say nothing of the credential: the network's or the exporter's doing. The next probe asks again.
BROKEN_OFF = frozenset({Fault.PROXY_STATUS, Fault.BODY_TRUNCATED, Fault.BODY_TIMEOUT, Fault.INTERNAL})
# A token is not handed out for its last seconds: the probe that gets it must have time to use it, on a clock that may differ.
LAST_SECONDS = 60.0
OVERTIME = 5.0  # how much longer than its deadline a fetch may take to let go before that counts as a bug


class Fetch(Protocol):
    """One token request until `deadline` (loop time). Raises CancelledError, and PoolExhausted for a shortage of our own."""

    async def __call__(
        self, module: Module, credential: Credential, secret: str | None, challenge: Challenge, *, deadline: float
    ) -> TokenResponse: ...


# What a fetch, running in this context, has come to: the facts of a time-out now. May raise PoolExhausted, as the fetch would.
Glimpse = Callable[[Context, Module, Challenge], Facts]


class _Key(NamedTuple):
    """Beside the credential and its secret, what a token depends on."""

    authority: str
    tenant: str
    resource: str
    way: Hashable


@dataclass(slots=True, eq=False)
class _CredentialEntry:
    """The flights of one credential with one secret. A changed secret, or credential, gets a new drawer."""

    credential: Credential
    secret: Secret
    flights: dict[_Key, _InFlightFetch] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _InFlightFetch:
    """A fetch, and afterwards what it brought. Loop times, in seconds."""

    entry: _CredentialEntry
    key: _Key
    module: Module
    challenge: Challenge
    cycle_start: float  # the start of the probe that needed it
    began: float
    context: Context = field(default_factory=copy_context)
    task: asyncio.Task[TokenResponse | PoolExhausted] = field(
        init=False
    )  # raised, its error would keep this flight, which keeps the task
    duration: float = 0.0
    useless_from: float = float("inf")  # end of the token's life, less the last seconds
    counted: bool = False  # one probe has got it as its own measurement
    timer: asyncio.TimerHandle | None = None

    @property
    def current(self) -> bool:
        return self.entry.flights.get(self.key) is self

    def forget(self) -> None:
        """Nobody gets it any more, besides those who wait."""
        if self.current:
            del self.entry.flights[self.key]
        if self.timer is not None:
            self.timer.cancel()


def _no_glimpse(_context: Context, _module: Module, _challenge: Challenge) -> Facts:
    return Facts(fault=Fault.READ_TIMEOUT, detail="the shared token request had not come back")


class TokenCache:
    """Hands out tokens. To be used from one event loop; `cycle` may be exchanged when the configuration changes."""

    def __init__(
        self,
        fetch: Fetch,
        secrets: SecretCache,
        *,
        cycle: Callable[[Credential, Module], ReuseWindow],
        glimpse: Glimpse = _no_glimpse,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` gives Unix time, in which tokens say when they expire."""
        self._fetch = fetch
        self._secrets = secrets
        self.cycle = cycle
        self._glimpse = glimpse
        self._clock = clock
        self._entries: dict[str, _CredentialEntry] = {}
        self._tasks: set[asyncio.Task[TokenResponse | PoolExhausted]] = set()
        self._closed = False

    async def token(
        self,
        credential: Credential,
        module: Module,
        challenge: Challenge,
        *,
        started: float,
        deadline: float,
        fresh: bool = False,
    ) -> TokenResult:
        """The token for a challenge, or the facts of why there is none, by `deadline`; `started` is when the probe began.

        `fresh` takes nothing that was kept, though it joins a fetch under way. A grant that is not `shared` is the one that
        measures. Raises PoolExhausted where no word about the network can be said.
        """
        before = _now()
        secret = await self._secret(credential, deadline)
        if self._closed:
            return _nothing(Facts(fault=Fault.INTERNAL, detail="the exporter is stopping"))
        if secret is None:
            late = Facts(fault=Fault.SECRET_TIMEOUT, detail="reading the secret file took too long")
            return _nothing(late, duration=_now() - before)
        if secret.failure:
            return _nothing(Facts(fault=Fault.SECRET_UNREADABLE, detail=mask(secret.failure)))
        entry = self._drawer(credential, secret)
        key = _Key(challenge.authority, credential.tenant_id or challenge.tenant, challenge.resource, module.way_to_entra)
        flight = entry.flights.get(key)
        if flight is not None and self._serves(flight, module, started=started, fresh=fresh):
            return await self._wait_for(flight, deadline, leading=False)
        if flight is not None:
            flight.forget()
        return await self._wait_for(
            self._begin(_InFlightFetch(entry, key, module, challenge, started, _now())), deadline, leading=True
        )

    def invalidate(self, credential: Credential) -> None:
        """A vault refused a token of this credential: those that are used again beyond their cycle are used no more.

        One of this very cycle stays, or a fleet whose tokens are all refused would ask for one token per target.
        """
        entry = self._entries.get(credential.name)
        for flight in [] if entry is None else list(entry.flights.values()):
            cycle = self.cycle(credential, flight.module)
            if flight.task.done() and _now() >= flight.cycle_start + cycle.reusable_for(flight.module, granted=False):
                self._drop(flight)

    async def aclose(self) -> None:
        """Cancel every fetch and forget every token."""
        self._closed = True
        for entry in self._entries.values():
            _empty(entry)
        self._entries.clear()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks))

    async def _secret(self, credential: Credential, deadline: float) -> Secret | None:
        """None if it was still being read at the deadline. Raises PoolExhausted if no thread came to read it."""
        try:
            async with asyncio.timeout_at(deadline):
                return await self._secrets.current(credential)
        except TimeoutError as error:
            lacking = shortage_of(error)
            if lacking is not None:
                raise PoolExhausted("no thread was free to read the secret", lacking) from error
            return None

    def _drawer(self, credential: Credential, secret: Secret) -> _CredentialEntry:
        entry = self._entries.get(credential.name)
        if entry is not None:
            if entry.credential == credential and entry.secret.fingerprint == secret.fingerprint:
                return entry
            _empty(entry)
        entry = self._entries[credential.name] = _CredentialEntry(credential, secret)
        return entry

    def _serves(self, flight: _InFlightFetch, module: Module, *, started: float, fresh: bool) -> bool:
        if not flight.task.done():
            return True
        granted = _granted(flight)
        age_limit = self.cycle(flight.entry.credential, module).reusable_for(module, granted=granted)
        return not fresh and started < flight.cycle_start + age_limit and _now() < flight.useless_from

    def _begin(self, flight: _InFlightFetch) -> _InFlightFetch:
        name = f"token {flight.entry.credential.name}"
        flight.task = asyncio.create_task(self._run(flight), name=name, context=flight.context)
        flight.task.add_done_callback(lambda _: self._done(flight))
        self._tasks.add(flight.task)
        flight.entry.flights[flight.key] = flight
        return flight

    async def _run(self, flight: _InFlightFetch) -> TokenResponse | PoolExhausted:
        entry, answer = flight.entry, None
        deadline = flight.began + self.cycle(entry.credential, flight.module).timeout
        try:
            async with asyncio.timeout_at(deadline + OVERTIME):
                answer = await self._fetch(
                    flight.module, entry.credential, entry.secret.text, flight.challenge, deadline=deadline
                )
        except PoolExhausted as busy:
            return PoolExhausted(str(busy), busy.shortage)
        else:
            return answer
        finally:
            flight.duration = _now() - flight.began
            if answer is not None and _is_worth_keeping(answer) and flight.current:
                self._keep(flight, answer)
            else:
                self._drop(flight)

    def _done(self, flight: _InFlightFetch) -> None:
        self._tasks.discard(flight.task)
        if flight.task.cancelled() or flight.task.exception() is not None:  # those who waited have got it
            self._drop(flight)

    def _keep(self, flight: _InFlightFetch, answer: TokenResponse) -> None:
        """Until no probe can ask for it any more: a token does not stay in memory for nothing."""
        granted = answer.token is not None
        if granted and answer.expires_at is not None:
            flight.useless_from = _now() + answer.expires_at - self._clock() - LAST_SECONDS
        cycle = self.cycle(flight.entry.credential, flight.module)
        last_start = flight.cycle_start + cycle.reusable_for(flight.module, granted=granted)
        last_request = min(last_start + cycle.timeout, flight.useless_from)
        flight.timer = asyncio.get_running_loop().call_at(last_request, self._drop, flight)

    def _drop(self, flight: _InFlightFetch) -> None:
        flight.forget()
        entry = flight.entry
        if not entry.flights and self._entries.get(entry.credential.name) is entry:
            del self._entries[entry.credential.name]

    async def _wait_for(self, flight: _InFlightFetch, deadline: float, *, leading: bool) -> TokenResult:
        before = _now()
        if not flight.task.done():
            # Neither a time-out nor a cancellation here reaches the fetch: others wait for it, and what it brings is kept.
            await asyncio.wait([flight.task], timeout=max(0.0, deadline - before))
        if flight.task.cancelled():
            return _nothing(Facts(fault=Fault.INTERNAL, detail="the exporter is stopping"))
        if not flight.task.done():
            facts = self._glimpse(flight.context, flight.module, flight.challenge)
            return TokenResult(facts=facts, token=None, duration=_now() - before, shared=not leading)
        answer = flight.task.result()
        if isinstance(answer, PoolExhausted):
            raise PoolExhausted(str(answer), answer.shortage)
        shared, flight.counted = flight.counted, True
        return TokenResult(facts=answer.facts, token=answer.token, duration=flight.duration, shared=shared)


def _granted(flight: _InFlightFetch) -> bool:
    answer = flight.task.result()
    return not isinstance(answer, PoolExhausted) and answer.token is not None


def _empty(entry: _CredentialEntry) -> None:
    for flight in list(entry.flights.values()):
        flight.forget()


def _is_worth_keeping(answer: TokenResponse) -> bool:
    """A grant, or any answer that Entra gave in full; what the network prevented is worth another try."""
    return answer.token is not None or (answer.facts.status is not None and answer.facts.fault not in BROKEN_OFF)


def _nothing(facts: Facts, duration: float = 0.0) -> TokenResult:
    """No request was made, so the probe has this to itself."""
    return TokenResult(facts=facts, token=None, duration=duration, shared=False)


def _now() -> float:
    return asyncio.get_running_loop().time()
