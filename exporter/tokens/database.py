"""Tokens for SQL Servers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from exporter.clients.http.network import Network, NetworkError, make_network
from exporter.config.settings import DEFAULT_MODULE, Config, Credential, Module
from exporter.core.faults import Fault
from exporter.core.model import HOST_IDENTITIES, Challenge, Facts, TokenResult
from exporter.core.probe_starts import DATABASE_TOKEN_SECONDS
from exporter.runtime.clock import loop_time
from exporter.runtime.files import FileUnreadableError
from exporter.runtime.thread_pool import DaemonThreadPool
from exporter.tokens.cache import TokenCache
from exporter.tokens.reuse import ReuseWindow
from exporter.tokens.secret_cache import SecretCache

_PUBLIC = "https://login.microsoftonline.com"
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
    """Return the parameters of a token request for SQL Servers.

    The result is None if the credential lacks a tenant.
    """
    if credential.tenant_id is None and credential.kind not in HOST_IDENTITIES:
        return None
    authority = module.authority_host or _PUBLIC
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
            return TokenResult(facts=facts, token=None, duration=0.0, shared=False)
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
