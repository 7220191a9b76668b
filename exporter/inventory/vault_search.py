"""Find key versions in vaults by their public keys, as those of SQL Server's keys.

The tokens of an inventory are requested here, with a credential of the configuration or azure-identity's default chain.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

from exporter.clients.entra import fetch_token, quiet_sdk_loggers
from exporter.clients.http.network import Network, NetworkError, Networks
from exporter.clients.key_vault import VaultSession
from exporter.config.settings import DEFAULT_MODULE, Credential, Module
from exporter.core.values import Challenge, CredentialKind, Facts
from exporter.inventory.folder import Declared, SourceError
from exporter.inventory.plan import Search, SearchResult
from exporter.probing.secrets import SecretCache
from exporter.probing.tokens import database_challenge, failure_line
from exporter.runtime.loop import loop_time
from exporter.runtime.tasks import DaemonThreadPool, PoolExhausted
from exporter.sqlserver.document import KeyVersion
from exporter.sqlserver.keys import has_modulus

_THREADS = 32
AMBIENT = Credential(name="default chain", kind=CredentialKind.DEFAULT)
_VAULTS = 8  # at the same time
_WHOLE = 60  # times the seconds of a request: what the search of a vault may take
_UNREADABLE = (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)  # of one key


class UnreadError(Exception):
    """Why something was not read to the end, in one line for the user that contains no secret."""


class NoTokenError(UnreadError):
    """Why there is no token."""


class TimeLimit:
    """The time of a series of requests, which begins now: each has `seconds`, all together have `whole`."""

    def __init__(self, seconds: float, whole: float) -> None:
        self._seconds, self._whole = seconds, whole
        self._end = loop_time() + whole

    def deadline(self) -> float:
        """Return the deadline of the next request, in loop time. Raises UnreadError."""
        now = loop_time()
        if now >= self._end:
            raise UnreadError(f"not read to the end within {self._whole:g} s: run the command again")
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
    networks: Networks,
    module: Module,
    credential: Credential,
    challenge: Challenge,
    seconds: float,
    *,
    missing: str = "no token from",
) -> str:
    """Return a token. Raises NoTokenError, with `missing` before the name of the credential, and PoolExhausted."""
    network = networks.network_of(module)
    secret = await SecretCache(network.pool).current(credential)
    why = secret.failure
    if not why:
        response = await fetch_token(network, credential, secret.proof, challenge, deadline=loop_time() + seconds)
        if response.token is not None:
            return response.token
        hint = "sign in with az login, or name a credential of --config.file: " if credential is AMBIENT else ""
        why = hint + failure_line(response.facts)
    raise NoTokenError(f"{missing} {credential.name}: {why}")


@asynccontextmanager
async def open_vault(
    network: Network,
    vault: str,
    time: TimeLimit,
    token_for: Callable[[Challenge], Awaitable[str]],
    line_of: Callable[[Facts], str] = failure_line,
) -> AsyncIterator[tuple[VaultSession, str]]:
    """Yield a session with a vault, and a token for the resource that it names. Raises UnreadError with `line_of` the facts."""
    async with VaultSession(network, vault, network.module.api_version) as session:
        facts, challenge = await session.challenge(deadline=time.deadline())
        if challenge is None:
            raise UnreadError(line_of(facts))
        yield session, await token_for(challenge)


def database_token(declared: Declared, name: str, seconds: float) -> str:
    """Return a token for SQL Servers; an empty name is the default chain. Raises SourceError."""
    credential, module = AMBIENT if not name else declared.credentials.get(name), declared.modules[DEFAULT_MODULE]
    if credential is None:
        raise SourceError(f"--sql.entra: --config.file declares no credential {name}")
    challenge = database_challenge(credential, module)
    if challenge is None:
        raise SourceError(f"--sql.entra: credential {name} has no tenant_id: add it")

    async def run() -> str:
        async with open_networks(declared) as networks:
            return await request_token(networks, module, credential, challenge, seconds)

    try:
        return asyncio.run(run())
    except (UnreadError, PoolExhausted) as error:
        raise SourceError(f"--sql.entra: {error}") from None


def search_vaults(searches: Mapping[str, Search], declared: Declared, credential: str, seconds: float) -> dict[str, SearchResult]:
    """Search every vault; `seconds` is for each request.

    An empty `credential` is that of a target for the vault. Raises SourceError if the named one is not declared.
    """
    if credential and credential not in declared.credentials:
        raise SourceError(f"--vault.credential: --config.file declares no credential {credential}")
    return asyncio.run(_search_all(searches, declared, credential, seconds))


async def _search_all(
    searches: Mapping[str, Search], declared: Declared, credential: str, seconds: float
) -> dict[str, SearchResult]:
    limit, results = asyncio.Semaphore(_VAULTS), {vault: SearchResult() for vault in searches}
    async with open_networks(declared) as networks:

        async def one(vault: str) -> None:
            async with limit:
                try:
                    await _search(networks, declared, credential, _SearchRun(vault, searches[vault], results[vault], seconds))
                except (UnreadError, PoolExhausted) as error:
                    results[vault].failure = str(error)

        await asyncio.gather(*map(one, searches))
    return results


async def _search(networks: Networks, declared: Declared, credential: str, run: _SearchRun) -> None:
    module, uses = declared.module_of(run.vault), declared.uses.get(run.vault, ())
    named = [credential] if credential else [name for name, _ in uses if name in declared.credentials]
    if not named:
        raise UnreadError("no target of --config.file names it with a credential: give --vault.credential NAME")
    token_for = partial(
        request_token, networks, module, declared.credentials[named[0]], seconds=run.seconds, missing="no token from credential"
    )
    time = TimeLimit(run.seconds, _WHOLE * run.seconds)
    async with open_vault(networks.network_of(module), run.vault, time, token_for) as (session, token):
        await run.compare_all(session, token, time)


@dataclass(frozen=True, slots=True)
class _SearchRun:
    vault: str
    search: Search
    result: SearchResult
    seconds: float

    async def compare_all(self, session: VaultSession, token: str, time: TimeLimit) -> None:
        """Compare all versions of all keys; without the permission `list`, those that are known."""
        named, result = self.search.named, self.result
        facts, keys = await session.list_keys(token, deadline=time.deadline())
        result.listed = keys is not None
        if keys is None and facts.status != HTTPStatus.FORBIDDEN:
            raise UnreadError(failure_line(facts))
        for name in sorted(named) if keys is None else [key.name for key in keys]:
            newest = await self._compare(session, token, name, None, time)
            versions = sorted(named[name]) if keys is None else await self._versions(session, token, name, time)
            for version in versions:
                if version != newest:
                    await self._compare(session, token, name, version, time)

    async def _versions(self, session: VaultSession, token: str, name: str, time: TimeLimit) -> list[str]:
        facts, versions = await session.list_key_versions(token, name, deadline=time.deadline())
        if versions is None:
            raise UnreadError(failure_line(facts))
        return [entry.version for entry in versions if entry.version is not None]

    async def _compare(self, session: VaultSession, token: str, name: str, version: str | None, time: TimeLimit) -> str | None:
        """Compare one key version, the newest without `version`; None if the vault does not return it."""
        facts, key = await session.get_key(token, name, version, deadline=time.deadline())
        if key is None:
            if facts.status not in _UNREADABLE:
                raise UnreadError(failure_line(facts))
            self.result.refused += facts.status == HTTPStatus.FORBIDDEN
            return None
        self.result.compared += 1
        for public_key in self.search.wanted:
            if has_modulus(public_key, key.modulus):
                self.result.matches.setdefault(public_key, set()).add(KeyVersion(self.vault, key.name, key.version))
        return key.version
