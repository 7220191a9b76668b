"""Tokens for vaults, lookups and SQL Servers: one request per credential and reuse window.

The cache keeps facts, and each target classifies them itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from functools import partial

from msgspec.structs import replace

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


def reuse_policy(config: Config) -> Callable[[Credential, Module], ReuseWindow]:
    """Return the reuse window of a credential on the route of a module to Entra; that of `global` for an unused pair."""
    windows: dict[Hashable, ReuseWindow] = {}
    for target in config.targets.values():
        route = config.modules[target.module].entra_route
        for name in probing_credentials(target):
            known = windows.get((name, route), ReuseWindow(target.interval, target.timeout))
            windows[name, route] = ReuseWindow(min(known.interval, target.interval), max(known.timeout, target.timeout))
    default = ReuseWindow(config.settings.interval, config.settings.timeout)
    return lambda credential, module: windows.get((credential.name, module.entra_route), default)


@dataclass(slots=True, eq=False)
class TokenFetch:
    """A fetch and, when it is done, its response. All times are loop times."""

    credential: Credential
    secret: CredentialSecret
    key: Hashable  # what the token depends on, in addition to the credential and its secret
    network: Network  # of the probe that started it; a reload does not change it
    challenge: Challenge
    window_start: float  # the start of the first probe that needed it
    began: float = field(default_factory=loop_time)
    context: Context = field(default_factory=copy_context)
    # PoolExhausted is a result: a raised error would keep this object alive, and this object keeps the task.
    task: asyncio.Task[TokenResult | PoolExhausted] = field(init=False)
    duration: float = 0.0
    counted: bool = False  # one probe has received it as its own measurement
    timer: asyncio.TimerHandle | None = None


# Faults with an HTTP status that the network or the exporter caused, not the credential. The next probe sends a new request.
TRANSIENT_FAULTS = frozenset({Fault.PROXY_STATUS, Fault.BODY_TRUNCATED, Fault.BODY_TIMEOUT, Fault.INTERNAL})
# A token is not reused in its last seconds: the probe needs time to use it, and clocks may differ.
EXPIRY_MARGIN_SECONDS = 60.0
_STOPPING = Facts(fault=Fault.INTERNAL, detail="the exporter is stopping")
OVERTIME_SECONDS = 5.0  # a fetch that continues for longer after its deadline is an internal error


# One token request until `deadline` (loop time), as `fetch_token` makes it; raises PoolExhausted.
Fetch = Callable[..., Awaitable[TokenResult]]


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
        self._fetches: dict[
            str, dict[Hashable, TokenFetch]
        ] = {}  # by credential; that of a changed secret is replaced at its next use
        self._tasks: SingleFlight[TokenFetch, TokenResult | PoolExhausted] = SingleFlight()
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
            return TokenResult(facts=_STOPPING)
        if secret is None:
            late = Facts(fault=Fault.SECRET_TIMEOUT, detail="reading the secret file took too long")
            return TokenResult(facts=late, duration=loop_time() - before)
        if secret.failure:
            unreadable = Facts(fault=Fault.SECRET_UNREADABLE, detail=mask(secret.failure), secret_file=credential.secret_path)
            return TokenResult(facts=unreadable)
        key = challenge.authority, credential.tenant_id or challenge.tenant, challenge.resource, module.entra_route
        fetch = self._fetches.get(credential.name, {}).get(key)
        if fetch is not None:
            same = fetch.credential == credential and fetch.secret.fingerprint == secret.fingerprint
            if same and self._is_reusable(fetch, module, started=started, fresh=fresh):
                return await self._wait_for(fetch, deadline, leading=False)
            self._forget(fetch)
        fetch = TokenFetch(credential, secret, key, network, challenge, started)
        fetch.task = self._tasks.start(fetch, self._run(fetch), name=f"token {credential.name}", context=fetch.context)
        self._fetches.setdefault(credential.name, {})[key] = fetch
        return await self._wait_for(fetch, deadline, leading=True)

    def invalidate(self, credential: Credential) -> None:
        """Drop the old tokens of a credential after a vault refused one of them.

        Tokens of the current reuse window stay: otherwise, if all tokens are refused, each target would request its own.
        """
        for fetch in list(self._fetches.get(credential.name, {}).values()):
            module = fetch.network.module
            window = self.reuse_policy(credential, module)
            if fetch.task.done() and loop_time() >= fetch.window_start + window.reusable_for(module, granted=False):
                self._forget(fetch)

    async def aclose(self) -> None:
        """Cancel every fetch and forget every token."""
        self._closed = True
        for fetch in [fetch for fetches in self._fetches.values() for fetch in fetches.values()]:
            self._forget(fetch)
        await self._tasks.aclose()

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

    def _is_reusable(self, fetch: TokenFetch, module: Module, *, started: float, fresh: bool) -> bool:
        if not fetch.task.done():
            return True
        response = fetch.task.result()
        granted = not isinstance(response, PoolExhausted) and response.token is not None
        age_limit = self.reuse_policy(fetch.credential, module).reusable_for(module, granted=granted)
        return not fresh and started < fetch.window_start + age_limit

    async def _run(self, fetch: TokenFetch) -> TokenResult | PoolExhausted:
        credential, module, response = fetch.credential, fetch.network.module, None
        deadline = fetch.began + self.reuse_policy(credential, module).timeout
        try:
            async with asyncio.timeout_at(deadline + OVERTIME_SECONDS):
                self._on_request()
                response = await self._fetch(fetch.network, credential, fetch.secret.proof, fetch.challenge, deadline=deadline)
                return response
        except PoolExhausted as busy:
            return PoolExhausted(str(busy), busy.shortage)
        finally:
            fetch.duration = loop_time() - fetch.began
            # A network failure is retried; a token and a complete response of Entra are kept.
            status, fault = (None, None) if response is None else (response.facts.status, response.facts.fault)
            window = self.reuse_policy(credential, module)
            is_answer = status is not None and fault not in TRANSIENT_FAULTS
            if response is not None and (is_answer or response.token is not None) and self._is_current(fetch):
                # For as long as a probe can reuse it, and no longer.
                granted = response.token is not None
                last_request = fetch.window_start + window.reusable_for(module, granted=granted) + window.timeout
                if granted and response.expires_at is not None:
                    last_request = min(last_request, loop_time() + response.expires_at - self._clock() - EXPIRY_MARGIN_SECONDS)
                fetch.timer = asyncio.get_running_loop().call_at(last_request, self._forget, fetch)
            else:
                self._forget(fetch)

    def _is_current(self, fetch: TokenFetch) -> bool:
        return self._fetches.get(fetch.credential.name, {}).get(fetch.key) is fetch

    def _forget(self, fetch: TokenFetch) -> None:
        """Give the response to no later probe; those that wait still receive it."""
        if self._is_current(fetch):
            fetches = self._fetches[fetch.credential.name]
            del fetches[fetch.key]
            if not fetches:
                del self._fetches[fetch.credential.name]
        if fetch.timer is not None:
            fetch.timer.cancel()

    async def _wait_for(self, fetch: TokenFetch, deadline: float, *, leading: bool) -> TokenResult:
        before = loop_time()
        if not fetch.task.done():
            # A timeout or a cancellation here does not reach the fetch: others wait for it, and its response is kept.
            await asyncio.wait([fetch.task], timeout=max(0.0, deadline - before))
        if fetch.task.cancelled():
            if self._closed:
                return TokenResult(facts=_STOPPING)
            raise RuntimeError("the token request was cancelled from inside")
        if not fetch.task.done():
            facts = self._pending_facts(fetch.context, fetch.network, fetch.challenge.authority)
            return TokenResult(facts=facts, duration=loop_time() - before, shared=not leading)
        response = fetch.task.result()
        if isinstance(response, PoolExhausted):
            raise PoolExhausted(str(response), response.shortage)
        shared, fetch.counted = fetch.counted, True
        return replace(response, duration=fetch.duration, shared=shared)


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
