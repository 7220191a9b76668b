"""Tokens for vaults, lookups and SQL Servers: one request per credential and reuse window.

The cache keeps facts, and each target classifies them itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from exporter.clients.certificates import ClientCertificate
from exporter.clients.entra import fetch_token, pending_facts
from exporter.clients.http.network import Network, NetworkError, make_network
from exporter.config.settings import DEFAULT_MODULE, Config, Credential, Module
from exporter.config.usage import probing_credentials
from exporter.core.limits import DATABASE_TOKEN_SECONDS, JITTER
from exporter.core.secrets import hide, mask
from exporter.core.values import HOST_IDENTITIES, Challenge, Facts, Fault, TokenResult
from exporter.probing.secrets import CredentialSecret, SecretCache
from exporter.runtime.files import FileUnreadableError
from exporter.runtime.loop import loop_time
from exporter.runtime.tasks import DaemonThreadPool, PoolExhausted, SingleFlight, shortage_of


@dataclass(frozen=True, slots=True)
class ReuseWindow:
    """The shortest interval and longest timeout of targets that share a token."""

    interval: float
    timeout: float

    def reusable_for(self, module: Module, *, granted: bool) -> float:
        """Return for how many seconds other probes may reuse the response.

        This is the shortest gap that jitter leaves between two probes of one target. So no target gets the same response twice,
        unless the module allows a greater token age. A refusal is never kept for longer than that gap.
        """
        gap = self.interval * (1 - JITTER)
        return max(gap, module.token_max_age) if granted else gap


class TokenReusePolicy:
    """The reuse window of each credential on each route to Entra. Call it with a credential and a module."""

    def __init__(self, config: Config) -> None:
        self._default = ReuseWindow(config.settings.interval, config.settings.timeout)
        self._windows: dict[Hashable, ReuseWindow] = {}
        for target in config.targets.values():
            route = config.modules[target.module].entra_route
            for credential in probing_credentials(target):
                known = self._windows.get((credential, route), ReuseWindow(target.interval, target.timeout))
                shared = ReuseWindow(min(known.interval, target.interval), max(known.timeout, target.timeout))
                self._windows[credential, route] = shared

    def __call__(self, credential: Credential, module: Module) -> ReuseWindow:
        """Return the pair's window, or that of `global` for an unused pair."""
        return self._windows.get((credential.name, module.entra_route), self._default)


class TokenKey(NamedTuple):
    """What a token depends on, in addition to the credential and its secret."""

    authority: str
    tenant: str
    resource: str
    route: Hashable


@dataclass(slots=True, eq=False)
class CredentialEntry:
    """Fetches of one credential with one secret. A changed secret gets a new entry."""

    credential: Credential
    secret: CredentialSecret
    flights: dict[TokenKey, InFlightFetch] = field(default_factory=dict)

    def empty(self) -> None:
        """Give the responses of all fetches to no later probe."""
        for flight in list(self.flights.values()):
            flight.forget()


@dataclass(slots=True, eq=False)
class InFlightFetch:
    """A fetch and, when it is done, its response. All times are loop times."""

    entry: CredentialEntry
    key: TokenKey
    network: Network  # of the probe that started it; a reload does not change it
    challenge: Challenge
    window_start: float  # the start of the first probe that needed it
    began: float
    context: Context = field(default_factory=copy_context)
    # PoolExhausted is a result: a raised error would keep this object alive, and this object keeps the task.
    task: asyncio.Task[TokenResult | PoolExhausted] = field(init=False)
    duration: float = 0.0
    unusable_from: float = float("inf")  # end of the token's life, less the last seconds
    counted: bool = False  # one probe has received it as its own measurement
    timer: asyncio.TimerHandle | None = None

    @property
    def module(self) -> Module:
        return self.network.module

    @property
    def current(self) -> bool:
        return self.entry.flights.get(self.key) is self

    @property
    def granted(self) -> bool:
        """Whether the finished fetch brought a token."""
        response = self.task.result()
        return not isinstance(response, PoolExhausted) and response.token is not None

    def forget(self) -> None:
        """Give the response to no later probe; those that wait still receive it."""
        if self.current:
            del self.entry.flights[self.key]
        if self.timer is not None:
            self.timer.cancel()


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
    ) -> TokenResult: ...


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
        pending_facts: Callable[[Context, Network, str], Facts] = pending_facts,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` gives Unix time, the unit of a token's expiry; `on_request` is called before each request.

        `pending_facts` returns the facts of a timeout now, for a fetch that runs in this context. It may raise PoolExhausted, as `fetch` may.
        """
        self._secrets = secrets
        self.reuse_policy = reuse_policy
        self._on_request, self._fetch, self._pending_facts = on_request, fetch, pending_facts
        self._clock = clock
        self._entries: dict[str, CredentialEntry] = {}
        self._fetches: SingleFlight[InFlightFetch, TokenResult | PoolExhausted] = SingleFlight()
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

    async def _run(self, flight: InFlightFetch) -> TokenResult | PoolExhausted:
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

    def _keep(self, flight: InFlightFetch, response: TokenResult) -> None:
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
            return TokenResult(facts=facts, duration=loop_time() - before, shared=not leading)
        response = flight.task.result()
        if isinstance(response, PoolExhausted):
            raise PoolExhausted(str(response), response.shortage)
        shared, flight.counted = flight.counted, True
        return replace(response, duration=flight.duration, shared=shared)


def _is_worth_keeping(response: TokenResult) -> bool:
    """Return True for a token or a complete response of Entra. A network failure is retried."""
    return response.token is not None or (response.facts.status is not None and response.facts.fault not in TRANSIENT_FAULTS)


def _without_request(facts: Facts, duration: float = 0.0) -> TokenResult:
    """Return the result of a probe that sent no request."""
    return TokenResult(facts=facts, duration=duration)


_REFUSALS = frozenset({400, 401, 403})  # any other status does not depend on the credential


def failure_line(facts: Facts) -> str:
    """Return a failure in one masked line."""
    words = [f"HTTP {facts.status}" if facts.fault is Fault.HTTP_STATUS else facts.fault.value.replace("_", " ")]
    words += [code for code in (facts.inner_code or facts.service_code,) if code is not None]
    words += [f"AADSTS{facts.aadsts}"] if facts.aadsts is not None else []
    return hide(" ".join(words)) + (f": {mask(facts.detail)}" if facts.detail else "")


def is_refusal(facts: Facts, credential: Credential) -> bool:
    """Whether Entra ID refused the secret or certificate of this credential.

    Another request with the same one gets the same answer.
    """
    return credential.has_own_secret and facts.fault is Fault.HTTP_STATUS and facts.status in _REFUSALS


# Tokens for SQL Servers.

# The resource of Azure SQL by Entra's host. A server that Azure Arc connects to Entra has the same one.
_DATABASES = {
    "login.microsoftonline.us": "https://database.usgovcloudapi.net",
    "login.chinacloudapi.cn": "https://database.chinacloudapi.cn",
    "login.partner.microsoftonline.cn": "https://database.chinacloudapi.cn",
}
_THREADS = 4
_TOKEN_SECONDS = 10.0  # for one request
_LOADING_SECONDS = 10.0  # for the authorities, which may be on a dead mount


def database_challenge(credential: Credential, module: Module) -> Challenge | None:
    """Return the parameters of a token request for SQL Servers. The result is None if the credential lacks a tenant."""
    if credential.tenant_id is None and credential.kind not in HOST_IDENTITIES:
        return None
    authority = module.authority_host or "https://login.microsoftonline.com"
    resource = _DATABASES.get(authority.removeprefix("https://").rstrip("/"), "https://database.windows.net")
    return Challenge(authority=authority, tenant=credential.tenant_id or "organizations", resource=resource)


class DatabaseTokens:
    """Requests tokens over the network of the default module.

    Servers with one credential share a token. A changed secret gets another one. Use it from one event loop.
    """

    def __init__(self, config: Config, *, on_request: Callable[[], None]) -> None:
        self._config = config
        self._pool = DaemonThreadPool(_THREADS, name="ekm-sql-token")
        window = ReuseWindow(DATABASE_TOKEN_SECONDS, _TOKEN_SECONDS)
        self._tokens = TokenCache(
            SecretCache(self._pool), reuse_policy=lambda _credential, _module: window, on_request=on_request
        )
        self._network: Network | None = None  # loading the authorities takes milliseconds: only if a token is needed
        self._loading = asyncio.Lock()

    async def token_of(self, name: str) -> TokenResult:
        """Return a token of this credential, or why there is none. Raises PoolExhausted and FileUnreadableError."""
        credential, module = self._config.credentials[name], self._config.modules[DEFAULT_MODULE]
        challenge = database_challenge(credential, module)
        if challenge is None:
            facts = Facts(fault=Fault.CHALLENGE_NO_TENANT, detail=f"credential {name} has no tenant_id: add it")
            return TokenResult(facts=facts)
        network = await self._network_of(module)
        now = loop_time()
        return await self._tokens.token(credential, network, challenge, started=now, deadline=now + _TOKEN_SECONDS)

    async def _network_of(self, module: Module) -> Network:
        """Return the network. Raises PoolExhausted and FileUnreadableError."""
        try:
            async with asyncio.timeout(_LOADING_SECONDS), self._loading:
                if self._network is None:
                    self._network = await self._pool.run(partial(make_network, module, pool=self._pool))
                return self._network
        except NetworkError as error:
            raise FileUnreadableError(str(error)) from None
        except TimeoutError:
            text = f"module {module.name}: its authorities were not read within {_LOADING_SECONDS:g} s"
            raise FileUnreadableError(text) from None

    async def aclose(self) -> None:
        """Cancel all requests and forget all tokens."""
        await self._tokens.aclose()
        self._pool.close()
