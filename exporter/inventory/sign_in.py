"""Tokens for an inventory, with a credential of the configuration or azure-identity's default chain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from exporter.clients.entra import fetch_token, quiet_sdk_loggers
from exporter.clients.http.network import NetworkError, Networks
from exporter.config.settings import Credential, Module
from exporter.core.model import Challenge, CredentialKind
from exporter.inventory.declarations import Declared
from exporter.inventory.sources import SourceError
from exporter.runtime.clock import loop_time
from exporter.runtime.thread_pool import DaemonThreadPool, PoolExhausted
from exporter.tokens.database import database_challenge
from exporter.tokens.failure import reason
from exporter.tokens.secret_cache import SecretCache

_THREADS = 32
AMBIENT = Credential(name="default chain", kind=CredentialKind.DEFAULT)
_ADVICE = "sign in with az login, or name a credential of --config.file"


class TimeLimitError(Exception):
    """The time of a series of requests is over; the text is for the user."""


class TimeLimit:
    """The time of a series of requests, which begins now: each has `seconds`, all together have `whole`."""

    def __init__(self, seconds: float, whole: float) -> None:
        self._seconds, self._whole = seconds, whole
        self._end = loop_time() + whole

    def deadline(self) -> float:
        """Return the deadline of the next request, in loop time. Raises TimeLimitError."""
        now = loop_time()
        if now >= self._end:
            raise TimeLimitError(f"not read to the end within {self._whole:g} s: run the command again")
        return min(now + self._seconds, self._end)


@asynccontextmanager
async def open_networks(declared: Declared) -> AsyncIterator[Networks]:
    """Yield the networks of the modules. Raises SourceError if a CA file cannot be used."""
    quiet_sdk_loggers()
    pool = DaemonThreadPool(_THREADS, name="ekm-inventory")
    try:
        yield Networks(declared.config, pool=pool)
    except NetworkError as error:
        raise SourceError(str(error)) from None
    finally:
        pool.close()


async def request_token(
    networks: Networks, module: Module, credential: Credential, challenge: Challenge, seconds: float
) -> tuple[str | None, str]:
    """Return a token, or None and why there is none."""
    network = networks.network_of(module)
    try:
        secret = await SecretCache(network.pool).current(credential)
        if secret.failure:
            return None, secret.failure
        response = await fetch_token(network, credential, secret.proof, challenge, deadline=loop_time() + seconds)
    except PoolExhausted as error:
        return None, str(error)
    if response.token is not None:
        return response.token, ""
    return None, f"{_ADVICE}: {reason(response.facts)}" if credential is AMBIENT else reason(response.facts)


def database_token(declared: Declared, name: str, seconds: float) -> str:
    """Return a token for SQL Servers; an empty name is the default chain. Raises SourceError."""
    credential = AMBIENT if not name else declared.credentials.get(name)
    if credential is None:
        raise SourceError(f"--sql.entra: --config.file declares no credential {name}")
    module = declared.modules["default"]
    challenge = database_challenge(credential, module)
    if challenge is None:
        raise SourceError(f"--sql.entra: credential {name} has no tenant_id: add it")

    async def run() -> str:
        async with open_networks(declared) as networks:
            token, why = await request_token(networks, module, credential, challenge, seconds)
        if token is None:
            raise SourceError(f"--sql.entra: no token from {credential.name}: {why}")
        return token

    return asyncio.run(run())
