"""One token request per credential and reuse window.

The cache keeps facts, and each target classifies them itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextvars import Context
from typing import Protocol

from exporter.clients.certificate_file import ClientCertificate
from exporter.clients.entra import fetch_token, pending_facts
from exporter.clients.http.network import Network
from exporter.config.settings import Credential, Module
from exporter.core.faults import Fault
from exporter.core.masking import mask
from exporter.core.model import Challenge, Facts, TokenResponse, TokenResult
from exporter.runtime.clock import loop_time
from exporter.runtime.shortage import shortage_of
from exporter.runtime.single_flight import SingleFlight
from exporter.runtime.thread_pool import PoolExhausted
from exporter.tokens.in_flight import CredentialEntry, InFlightFetch, TokenKey
from exporter.tokens.reuse import ReuseWindow
from exporter.tokens.secret_cache import CredentialSecret, SecretCache

# Faults with an HTTP status that the network or the exporter caused, not the credential. The next probe sends a new request.
TRANSIENT_FAULTS = frozenset({Fault.PROXY_STATUS, Fault.BODY_TRUNCATED, Fault.BODY_TIMEOUT, Fault.INTERNAL})
# A token is not reused in its last seconds: the probe needs time to use it, and clocks may differ.
EXPIRY_MARGIN_SECONDS = 60.0
OVERTIME_SECONDS = 5.0  # a fetch that continues for longer after its deadline is an internal error


class Fetch(Protocol):
    """One token request until `deadline` (loop time); raises PoolExhausted."""

    async def __call__(
        self,
        network: Network,
        credential: Credential,
        proof: str | ClientCertificate | None,
        challenge: Challenge,
        *,
        deadline: float,
    ) -> TokenResponse: ...


# Returns the facts of a timeout now, for a fetch that runs in this context. May raise PoolExhausted, as the fetch may.
PendingFacts = Callable[[Context, Network, str], Facts]


class TokenCache:
    """Shares token requests and their responses, in one event loop.

    `reuse_policy` may be replaced when the configuration changes.
    """

    def __init__(
        self,
        secrets: SecretCache,
        *,
        reuse_policy: Callable[[Credential, Module], ReuseWindow],
        on_request: Callable[[], None] = lambda: None,
        fetch: Fetch = fetch_token,
        pending_facts: PendingFacts = pending_facts,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` gives Unix time, the unit of a token's expiry; `on_request` is called before each request."""
        self._secrets = secrets
        self.reuse_policy = reuse_policy
        self._on_request, self._fetch, self._pending_facts = on_request, fetch, pending_facts
        self._clock = clock
        self._entries: dict[str, CredentialEntry] = {}
        self._fetches: SingleFlight[InFlightFetch, TokenResponse | PoolExhausted] = SingleFlight()
        self._closed = False

    async def token(
        self,
        credential: Credential,
        network: Network,
        challenge: Challenge,
        *,
        started: float,
        deadline: float,
        fresh: bool = False,
    ) -> TokenResult:
        """Return the token for a challenge, or the facts of a failure, by `deadline`.

        A new request goes over `network`. `started` is the start of the probe. `fresh` ignores kept responses, but joins a running
        fetch. Of all probes that share a request, one gets a result that is not `shared`. Raises PoolExhausted if this process lacked
        a resource; the network was not tested.
        """
        module, before = network.module, loop_time()
        secret = self._secrets.find(credential) or await self._secret(credential, deadline)
        if self._closed:
            return _without_request(Facts(fault=Fault.INTERNAL, detail="the exporter is stopping"))
        if secret is None:
            late = Facts(fault=Fault.SECRET_TIMEOUT, detail="reading the secret file took too long")
            return _without_request(late, duration=loop_time() - before)
        if secret.failure:
            unreadable = Facts(fault=Fault.SECRET_UNREADABLE, detail=mask(secret.failure), secret_file=credential.secret_path)
            return _without_request(unreadable)
        entry = self._entry(credential, secret)
        key = TokenKey(challenge.authority, credential.tenant_id or challenge.tenant, challenge.resource, module.entra_route)
        flight = entry.flights.get(key)
        if flight is not None and self._is_reusable(flight, module, started=started, fresh=fresh):
            return await self._wait_for(flight, deadline, leading=False)
        if flight is not None:
            flight.forget()
        return await self._wait_for(
            self._start(InFlightFetch(entry, key, network, challenge, started, loop_time())), deadline, leading=True
        )

    def invalidate(self, credential: Credential) -> None:
        """Drop the old tokens of a credential after a vault refused one of them.

        Tokens of the current reuse window stay: otherwise, if all tokens are refused, each target would request its own.
        """
        entry = self._entries.get(credential.name)
        for flight in [] if entry is None else list(entry.flights.values()):
            window = self.reuse_policy(credential, flight.module)
            if flight.task.done() and loop_time() >= flight.window_start + window.reusable_for(flight.module, granted=False):
                self._drop(flight)

    async def aclose(self) -> None:
        """Cancel every fetch and forget every token."""
        self._closed = True
        for entry in self._entries.values():
            entry.empty()
        self._entries.clear()
        await self._fetches.aclose()

    async def _secret(self, credential: Credential, deadline: float) -> CredentialSecret | None:
        """Read the secret on a thread. Return None after the deadline; raise PoolExhausted without a free thread."""
        try:
            async with asyncio.timeout_at(deadline):
                return await self._secrets.read(credential)
        except TimeoutError as error:
            lacking = shortage_of(error)
            if lacking is not None:
                raise PoolExhausted("no thread was free to read the secret", lacking) from error
            return None

    def _entry(self, credential: Credential, secret: CredentialSecret) -> CredentialEntry:
        entry = self._entries.get(credential.name)
        if entry is not None:
            if entry.credential == credential and entry.secret.fingerprint == secret.fingerprint:
                return entry
            entry.empty()
        entry = self._entries[credential.name] = CredentialEntry(credential, secret)
        return entry

    def _is_reusable(self, flight: InFlightFetch, module: Module, *, started: float, fresh: bool) -> bool:
        if not flight.task.done():
            return True
        granted = flight.granted
        age_limit = self.reuse_policy(flight.entry.credential, module).reusable_for(module, granted=granted)
        return not fresh and started < flight.window_start + age_limit and loop_time() < flight.unusable_from

    def _start(self, flight: InFlightFetch) -> InFlightFetch:
        name = f"token {flight.entry.credential.name}"
        flight.task = self._fetches.start(flight, self._run(flight), name=name, context=flight.context)
        flight.task.add_done_callback(lambda _: self._done(flight))
        flight.entry.flights[flight.key] = flight
        return flight

    async def _run(self, flight: InFlightFetch) -> TokenResponse | PoolExhausted:
        entry, response = flight.entry, None
        deadline = flight.began + self.reuse_policy(entry.credential, flight.module).timeout
        try:
            async with asyncio.timeout_at(deadline + OVERTIME_SECONDS):
                self._on_request()
                response = await self._fetch(
                    flight.network, entry.credential, entry.secret.proof, flight.challenge, deadline=deadline
                )
        except PoolExhausted as busy:
            return PoolExhausted(str(busy), busy.shortage)
        else:
            return response
        finally:
            flight.duration = loop_time() - flight.began
            if response is not None and _is_worth_keeping(response) and flight.current:
                self._keep(flight, response)
            else:
                self._drop(flight)

    def _done(self, flight: InFlightFetch) -> None:
        if flight.task.cancelled() or flight.task.exception() is not None:  # the waiting probes have received it
            self._drop(flight)

    def _keep(self, flight: InFlightFetch, response: TokenResponse) -> None:
        """Keep the response for as long as a probe can reuse it, and no longer."""
        granted = response.token is not None
        if granted and response.expires_at is not None:
            flight.unusable_from = loop_time() + response.expires_at - self._clock() - EXPIRY_MARGIN_SECONDS
        window = self.reuse_policy(flight.entry.credential, flight.module)
        last_start = flight.window_start + window.reusable_for(flight.module, granted=granted)
        last_request = min(last_start + window.timeout, flight.unusable_from)
        flight.timer = asyncio.get_running_loop().call_at(last_request, self._drop, flight)

    def _drop(self, flight: InFlightFetch) -> None:
        flight.forget()
        entry = flight.entry
        if not entry.flights and self._entries.get(entry.credential.name) is entry:
            del self._entries[entry.credential.name]

    async def _wait_for(self, flight: InFlightFetch, deadline: float, *, leading: bool) -> TokenResult:
        before = loop_time()
        if not flight.task.done():
            # A timeout or a cancellation here does not reach the fetch: others wait for it, and its response is kept.
            await asyncio.wait([flight.task], timeout=max(0.0, deadline - before))
        if flight.task.cancelled():
            if self._closed:
                return _without_request(Facts(fault=Fault.INTERNAL, detail="the exporter is stopping"))
            raise RuntimeError("the token request was cancelled from inside")
        if not flight.task.done():
            facts = self._pending_facts(flight.context, flight.network, flight.challenge.authority)
            return TokenResult(facts=facts, token=None, duration=loop_time() - before, shared=not leading)
        response = flight.task.result()
        if isinstance(response, PoolExhausted):
            raise PoolExhausted(str(response), response.shortage)
        shared, flight.counted = flight.counted, True
        return TokenResult(facts=response.facts, token=response.token, duration=flight.duration, shared=shared)


def _is_worth_keeping(response: TokenResponse) -> bool:
    """Return True for a token or a complete response of Entra.

    A network failure is retried.
    """
    return response.token is not None or (response.facts.status is not None and response.facts.fault not in TRANSIENT_FAULTS)


def _without_request(facts: Facts, duration: float = 0.0) -> TokenResult:
    """Return the result of a probe that sent no request."""
    return TokenResult(facts=facts, token=None, duration=duration, shared=False)
