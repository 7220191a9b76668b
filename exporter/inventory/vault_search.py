"""Find key versions in vaults by their public keys, as those of SQL Server's keys.

The tokens of an inventory are requested here, with a credential of the configuration or azure-identity's default chain.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus

from exporter.clients.entra import fetch_token, quiet_sdk_loggers
from exporter.clients.http.network import Network, NetworkError, Networks
from exporter.clients.key_vault import VaultSession
from exporter.config.settings import DEFAULT_MODULE, Credential, Module
from exporter.core.values import Challenge, CredentialKind, Facts
from exporter.inventory.folder import Declared, SourceError
from exporter.inventory.plan import Search
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


def search_vaults(searches: Iterable[Search], declared: Declared, credential: str, seconds: float) -> None:
    """Search every vault; `seconds` is for each request.

    An empty `credential` is that of a target for the vault. Raises SourceError if the named one is not declared.
    """
    if credential and credential not in declared.credentials:
        raise SourceError(f"--vault.credential: --config.file declares no credential {credential}")
    asyncio.run(_search_all(searches, declared, credential, seconds))


async def _search_all(searches: Iterable[Search], declared: Declared, credential: str, seconds: float) -> None:
    limit = asyncio.Semaphore(_VAULTS)
    async with open_networks(declared) as networks:

        async def one(search: Search) -> None:
            async with limit:
                try:
                    await _search(networks, declared, credential, search, seconds)
                except (UnreadError, PoolExhausted) as error:
                    search.failure = str(error)

        await asyncio.gather(*map(one, searches))


async def _search(networks: Networks, declared: Declared, credential: str, search: Search, seconds: float) -> None:
    module, uses = declared.module_of(search.vault), declared.uses.get(search.vault, ())
    known = [credential] if credential else [name for name, _ in uses if name in declared.credentials]
    if not known:
        raise UnreadError("no target of --config.file names it with a credential: give --vault.credential NAME")
    identity, missing, time = declared.credentials[known[0]], "no token from credential", TimeLimit(seconds, _WHOLE * seconds)
    token_for = partial(request_token, networks, module, identity, seconds=seconds, missing=missing)
    async with open_vault(networks.network_of(module), search.vault, time, token_for) as (session, token):
        await _compare_all(session, token, search, time)


async def _compare_all(session: VaultSession, token: str, search: Search, time: TimeLimit) -> None:
    """Compare all versions of all keys; without the permission `list`, those that are known."""
    compare = partial(_compare, session, token, search, time)
    facts, keys = await session.list_keys(token, deadline=time.deadline())
    if keys is None and facts.status != HTTPStatus.FORBIDDEN:
        raise UnreadError(failure_line(facts))
    search.listed = keys is not None
    for name in sorted(search.named) if keys is None else [key.name for key in keys]:
        newest, versions = await compare(name=name), sorted(search.named.get(name, ()))
        if search.listed:
            facts, listed = await session.list_keys(token, name, deadline=time.deadline())
            if listed is None:
                raise UnreadError(failure_line(facts))
            versions = [entry.version for entry in listed if entry.version is not None]
        for version in versions:
            if version != newest:
                await compare(name=name, version=version)


async def _compare(
    session: VaultSession, token: str, search: Search, time: TimeLimit, *, name: str, version: str | None = None
) -> str | None:
    """Compare one key version, the newest without `version`; None if the vault does not return it."""
    facts, key = await session.get_key(token, name, version, deadline=time.deadline())
    if key is None:
        if facts.status not in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
            raise UnreadError(failure_line(facts))
        search.refused += facts.status == HTTPStatus.FORBIDDEN
        return None
    search.compared += 1
    for public_key in search.wanted:
        if has_modulus(public_key, key.modulus):
            search.matches.setdefault(public_key, set()).add(KeyVersion(search.vault, key.name, key.version))
    return key.version
