"""Find key versions in vaults by their public keys, as those of SQL Server's keys.

The tokens of an inventory are requested here, with a credential of the configuration or azure-identity's default chain.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from exporter.clients.entra import fetch_token, quiet_sdk_loggers
from exporter.clients.http.network import Network, NetworkError, Networks
from exporter.clients.key_vault import VaultSession
from exporter.config.settings import Credential, Module
from exporter.core.values import Challenge, CredentialKind, KeyFacts
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
_ADVICE = "sign in with az login, or name a credential of --config.file"
_FORBIDDEN, _NOT_FOUND = 403, 404
_VAULTS = 8  # at the same time
_WHOLE = 60  # times the seconds of a request: what the search of a vault may take


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
    return None, f"{_ADVICE}: {failure_line(response.facts)}" if credential is AMBIENT else failure_line(response.facts)


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


class _VaultError(Exception):
    """The vault refused or did not answer; the text contains no secret."""


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
    limit = asyncio.Semaphore(_VAULTS)
    async with open_networks(declared) as networks:

        async def one(vault: str, search: Search) -> SearchResult:
            async with limit:
                result = SearchResult()
                try:
                    run = _SearchRun(vault, search, result, seconds, TimeLimit(seconds, _WHOLE * seconds))
                    await _search(networks, declared, credential, run)
                except (_VaultError, TimeLimitError, PoolExhausted) as error:
                    result.failure = str(error)
                return result

        results = await asyncio.gather(*(one(vault, search) for vault, search in searches.items()))
    return dict(zip(searches, results, strict=True))


@dataclass(frozen=True, slots=True)
class _SearchRun:
    vault: str
    search: Search
    result: SearchResult
    seconds: float
    time: TimeLimit

    def compare(self, key: KeyFacts) -> None:
        self.result.compared += 1
        for public_key in self.search.wanted:
            if has_modulus(public_key, key.modulus):
                self.result.matches.setdefault(public_key, set()).add(KeyVersion(self.vault, key.name, key.version))


async def _search(networks: Networks, declared: Declared, credential: str, run: _SearchRun) -> None:
    identity, module = _identity(declared, run.vault, credential)
    network = networks.network_of(module)
    token = await _token(networks, network, identity, run)
    async with VaultSession(network, run.vault, module.api_version) as session:
        for name in await _names(session, token, run):
            newest = await _compare(session, token, name, None, run)
            for version in await _versions(session, token, name, run):
                if version != newest:
                    await _compare(session, token, name, version, run)


def _identity(declared: Declared, vault: str, credential: str) -> tuple[Credential, Module]:
    module = declared.module_of(vault)
    if credential:
        return declared.credentials[credential], module
    named = [declared.credentials[name] for name, _ in declared.uses.get(vault, ()) if name in declared.credentials]
    if not named:
        raise _VaultError("no target of --config.file names it with a credential: give --vault.credential NAME")
    return named[0], module


async def _token(networks: Networks, network: Network, identity: Credential, run: _SearchRun) -> str:
    async with VaultSession(network, run.vault, network.module.api_version) as session:
        facts, challenge = await session.challenge(deadline=run.time.deadline())
    if challenge is None:
        raise _VaultError(failure_line(facts))
    token, why = await request_token(networks, network.module, identity, challenge, run.seconds)
    if token is None:
        raise _VaultError(f"no token from credential {identity.name}: {why}")
    return token


async def _names(session: VaultSession, token: str, run: _SearchRun) -> list[str]:
    """All names of the vault; without the permission `list` those that are known."""
    facts, keys = await session.list_keys(token, deadline=run.time.deadline())
    if keys is None and facts.status != _FORBIDDEN:
        raise _VaultError(failure_line(facts))
    run.result.listed = keys is not None
    return sorted(run.search.named) if keys is None else [key.name for key in keys]


async def _versions(session: VaultSession, token: str, name: str, run: _SearchRun) -> list[str]:
    if not run.result.listed:
        return sorted(run.search.named[name])
    facts, versions = await session.list_key_versions(token, name, deadline=run.time.deadline())
    if versions is None:
        raise _VaultError(failure_line(facts))
    return [entry.version for entry in versions if entry.version is not None]


async def _compare(session: VaultSession, token: str, name: str, version: str | None, run: _SearchRun) -> str | None:
    """Compare one key version, the newest without `version`; None if the vault does not return it."""
    facts, key = await session.get_key(token, name, version, deadline=run.time.deadline())
    if key is not None:
        run.compare(key)
        return key.version
    if facts.status not in (_FORBIDDEN, _NOT_FOUND):
        raise _VaultError(failure_line(facts))
    run.result.refused += facts.status == _FORBIDDEN
    return None
