"""Read the vaults of Azure and their RSA keys, and what the targets of a configuration cover.

Microsoft's client queries Azure Resource Graph, one exchange for each page, with the exporter's policies: no retry, no redirect, no second
request for a token. The SDK's exceptions end here as facts. Whatever cannot be read is one line and stops nothing else.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from itertools import chain
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from exporter.clients.http.exchange import TRANSPORT
from exporter.clients.http.facts import facts_from
from exporter.clients.http.network import Network, Networks
from exporter.clients.key_vault import NO_CREDENTIAL, HostSession
from exporter.config.fields import Section
from exporter.config.files import retained_in, targets_in, vault_of
from exporter.config.settings import DEFAULT_MODULE, Credential, Module
from exporter.core.names import MANAGEMENT_HOSTS
from exporter.core.values import Challenge, Facts, Fault, KeyFacts, KeyReference
from exporter.inventory.azure_plan import PAGE, QUERY, Azure, AzureVault, Coverage, authority_of, read_rows
from exporter.inventory.folder import Declared, read_parts
from exporter.inventory.vault_search import NoTokenError, TimeLimit, UnreadError, open_networks, open_vault, request_token
from exporter.probing.tokens import failure_line
from exporter.runtime.process import ExtraMissingError
from exporter.runtime.tasks import PoolExhausted


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceGraphPage:
    """One page: `rows` as JSON, all rows of the query in `total`.

    `is_cut` is True if rows are missing and no token leads to them, `limit_hit` if not every subscription was searched.
    """

    rows: object = None
    total: int = 0
    skip_token: str | None = None
    is_cut: bool = False
    limit_hit: bool = False


class ResourceGraphSession(HostSession):
    """A session with one management host, as an async context manager. Raises ExtraMissingError."""

    def __init__(self, network: Network, host: str) -> None:
        try:
            from azure.mgmt.resourcegraph.aio import ResourceGraphClient  # noqa: PLC0415 - an extra
            from azure.mgmt.resourcegraph.models import QueryRequest, QueryRequestOptions  # noqa: PLC0415 - an extra
        except ImportError:
            raise ExtraMissingError("azure") from None
        self._request, self._options = QueryRequest, QueryRequestOptions
        super().__init__(network, host)
        self._graph = ResourceGraphClient(
            NO_CREDENTIAL,
            f"https://{host}",
            credential_scopes=[f"https://{host}/.default"],
            transport=TRANSPORT,
            policies=[],
        )

    async def vaults(
        self, token: str, subscriptions: Sequence[str], skip_token: str | None, *, deadline: float
    ) -> tuple[Facts, ResourceGraphPage | None]:
        """Return one page of vaults; None if it cannot be read. An identity without a subscription gets an empty page.

        `deadline` is in loop time. Raises CancelledError and PoolExhausted as every exchange does.
        """
        options = self._options(top=PAGE, skip_token=skip_token, result_format="objectArray")
        request = self._request(query=QUERY, subscriptions=list(subscriptions) or None, options=options)
        exchange = await self.connection.exchange(
            lambda: self._graph.resources(request, headers={"Authorization": f"Bearer {token}"}), deadline=deadline
        )
        # The implied codes are those of a vault.
        facts, response = replace(facts_from(exchange), inner_code=None), exchange.response
        if response is not None and facts.status == 400 and "NoValidSubscriptionsInQueryRequest" in _details(response.content):
            return facts, ResourceGraphPage()
        if facts.fault is not Fault.NONE or response is None:
            return facts, None
        limit_hit = response.headers.get("x-ms-tenant-subscription-limit-hit", "").lower() == "true"
        page = _page(exchange.result, limit_hit=limit_hit)
        return (facts, page) if page is not None else (replace(facts, fault=Fault.ANSWER_NOT_JSON), None)


def _page(answer: Any, *, limit_hit: bool) -> ResourceGraphPage | None:
    """Read Microsoft's QueryResponse; None for a body that is none."""
    rows, total, token = (getattr(answer, name, None) for name in ("data", "total_records", "skip_token"))
    if not isinstance(rows, list) or not isinstance(total, int):
        return None
    text = token if isinstance(token, str) and token else None
    is_cut = text is None and str(getattr(answer, "result_truncated", "")).lower() == "true"
    return ResourceGraphPage(rows=rows, total=total, skip_token=text, is_cut=is_cut, limit_hit=limit_hit)


def _details(body: bytes) -> set[str]:
    """Return the codes in the details of an error."""
    try:
        return {one["code"] for one in json.loads(body)["error"]["details"]}
    except (ValueError, KeyError, TypeError, RecursionError):
        return set()


SECONDS = 30.0  # for one request
_LIST_SECONDS, _VAULT_SECONDS, _WHOLE_SECONDS = 600.0, 300.0, 3600.0  # for the list of vaults, for each vault, for everything
_CONCURRENT_VAULTS = 16
_MOST_PAGES, _MOST_VAULTS = 200, 20_000
_NAME_SOME = "name some subscriptions with --azure.subscription"
# Advice by HTTP status.
_MANAGEMENT = {
    401: "the token was not accepted",
    403: "give the identity the role Reader on the subscriptions or their management group",
    429: "wait a minute and run the command again",
}
_VAULT = {
    401: "the vault did not accept the token: is it in another tenant?",
    403: "give the identity Key Vault Reader (Managed HSM: Managed HSM Crypto Auditor), or let the vault's firewall admit this host",
    429: "the vault throttles: run the command again later",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureRequest:
    """Where to look, and the identity. `tenant` is for a credential that names none."""

    cloud: str
    credential: Credential
    tenant: str | None
    subscriptions: Sequence[str]


async def read_azure(declared: Declared, request: AzureRequest) -> Azure:
    """Return the vaults, keys and failures. Raises SourceError and ExtraMissingError."""
    azure = Azure(MANAGEMENT_HOSTS[request.cloud])
    async with open_networks(declared) as networks:
        reader = _AzureReader(networks, declared, request, azure)
        await reader.list_vaults()
        await asyncio.gather(*(reader.read_keys(vault.host) for vault in azure.vaults))
    azure.failures.sort()
    return azure


class _AzureReader:
    """Reads with one credential; the vaults of a tenant share a token."""

    def __init__(self, networks: Networks, declared: Declared, request: AzureRequest, azure: Azure) -> None:
        self._networks, self._declared, self._request, self._azure = networks, declared, request, azure
        self._tokens: dict[tuple[Challenge, str], asyncio.Task[str]] = {}
        self._time, self._slots = TimeLimit(SECONDS, _WHOLE_SECONDS), asyncio.Semaphore(_CONCURRENT_VAULTS)

    def _fail(self, text: str) -> None:
        self._azure.failures.append(f"{self._azure.host}: {text}")

    async def list_vaults(self) -> None:
        """Read every page of Resource Graph. The token goes to the management host only."""
        host, module, identity = self._azure.host, self._declared.modules[DEFAULT_MODULE], self._request.credential
        challenge = Challenge(
            authority=authority_of(self._request.cloud),
            tenant=identity.tenant_id or self._request.tenant or "",
            resource=f"https://{host}",
        )
        async with ResourceGraphSession(self._networks.network_of(module), host) as session:
            try:
                await self._pages(session, await self._token(challenge, module))
            except NoTokenError as failure:
                self._fail(str(failure))
            except (UnreadError, PoolExhausted) as failure:
                self._fail(f"not read: {failure}")

    async def _pages(self, session: ResourceGraphSession, token: str) -> None:
        skip_token: str | None = None
        seen, time, rows, others = {skip_token}, TimeLimit(SECONDS, _LIST_SECONDS), 0, 0
        vaults: dict[str, AzureVault] = {}
        for number in range(1, _MOST_PAGES + 1):
            facts, page = await session.vaults(token, self._request.subscriptions, skip_token, deadline=time.deadline())
            if page is None:
                self._fail(f"page {number} not read: {_advised(facts, _MANAGEMENT)}")
                break
            found, unknown = read_rows(page.rows, self._request.cloud)
            vaults |= {vault.host: vault for vault in found}
            self._azure.vaults = [vaults[host] for host in sorted(vaults)[:_MOST_VAULTS]]
            rows, others = rows + len(found) + unknown, others + unknown
            if page.limit_hit:
                self._fail(f"more than 10,000 subscriptions: {_NAME_SOME}")
            if len(vaults) > _MOST_VAULTS:
                self._fail(f"more than {_MOST_VAULTS} vaults: {_NAME_SOME}")
                break
            if page.skip_token in seen:
                if page.is_cut or page.skip_token is not None or rows < page.total:
                    self._fail(f"Resource Graph listed {rows} of {page.total} vaults: run the command again")
                break
            skip_token = page.skip_token
            seen.add(skip_token)
        else:
            self._fail(f"more than {_MOST_PAGES} pages: {_NAME_SOME}")
        if others:
            self._fail(f"entries that name no vault of the cloud {self._request.cloud}: {others}")

    async def read_keys(self, host: str) -> None:
        """Read the newest versions of a vault's RSA keys, or why they are unknown."""
        async with self._slots:
            try:
                self._azure.keys[host] = await self._keys_of(host)
            except (UnreadError, PoolExhausted) as failure:
                self._azure.failures.append(f"{host}: not read: {failure}")

    async def _keys_of(self, host: str) -> tuple[KeyFacts, ...]:
        self._time.deadline()
        time, module, found = TimeLimit(SECONDS, _VAULT_SECONDS), self._declared.module_of(host), list[KeyFacts]()
        line_of, token_for = partial(_advised, advice=_VAULT), partial(self._token, module=module)
        async with open_vault(self._networks.network_of(module), host, time, token_for, line_of) as (session, token):
            facts, listed = await session.list_keys(token, deadline=time.deadline())
            if listed is None:
                raise UnreadError(line_of(facts))
            for name in [key.name for key in listed if not key.managed]:
                facts, key = await session.get_key(token, name, None, deadline=time.deadline())
                if key is not None and key.kty in ("RSA", "RSA-HSM"):
                    found.append(key)
                elif key is None and facts.status != HTTPStatus.NOT_FOUND:  # 404: it was deleted meanwhile
                    raise UnreadError(f"key {name}: {line_of(facts)}")
        return tuple(found)

    async def _token(self, challenge: Challenge, module: Module) -> str:
        """Return a token; equal requests are sent once. Raises UnreadError and PoolExhausted."""
        key, request = (challenge, module.name), self._request
        if key not in self._tokens:
            sent = request_token(self._networks, module, request.credential, challenge, SECONDS, missing="no token for")
            self._tokens[key] = asyncio.create_task(sent)
        return await self._tokens[key]


def _advised(facts: Facts, advice: dict[int, str]) -> str:
    """Return the failure in one line, with what to do if it is known."""
    todo = advice.get(facts.status or 0) if facts.fault is Fault.HTTP_STATUS else None
    return f"{failure_line(facts).rstrip('.')}: {todo}" if todo else failure_line(facts)


def read_coverage(files: Iterable[Path], own: Collection[Path]) -> Coverage:
    """Return what the targets of these files and their includes cover, without the files in `own`; retained versions and recovery vaults included.

    Raises SourceError if a file cannot be read: its targets would seem to be missing.
    """
    parts = read_parts(files, own, whole=True)
    targets = [raw for part in parts for raw in targets_in(part)]
    used = ((vault_of(raw), raw.get("credential")) for raw in reversed(targets))  # the first one counts
    return Coverage(
        keys=frozenset(chain.from_iterable(map(_keys, targets))),
        names=frozenset(raw.get("name") for raw in targets) - {None},
        credentials={vault: credential for vault, credential in used if vault is not None and credential is not None},
        declared=frozenset(name for part in parts for name in part.get("credentials") or ()),
    )


def _keys(raw: Section) -> Iterator[tuple[str, str]]:
    """Yield vault and key name of each key that the probes of a target use."""
    key: KeyReference | None = raw.get("key")
    if key is not None:
        yield from ((vault, key.name.lower()) for vault in (vault_of(raw), raw.get("recovery_vault")) if vault is not None)
    yield from ((vault, old.name.lower()) for _, old, vault in retained_in(raw))
