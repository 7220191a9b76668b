"""Collects the evidence for the checks, each part until its deadline.

The evidence is a probe with a fresh token, an endpoint check of both hosts, a listing of keys, auxiliary probes, revocation hosts
and expiry dates. A failure is a value in `Evidence`.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from exporter.clients.http.network import Network, Networks, Resolver, split_url
from exporter.clients.http.timing import make_context
from exporter.clients.key_vault import HostSession, VaultSession, check_endpoint
from exporter.config.settings import Config, Proxy, SecretUnreadableError, SqlServer, Target
from exporter.config.usage import compared_targets, names_at, servers_of
from exporter.core.connector import CLIENT_ID_DIGITS, connector_secret_findings, split_connector_secret
from exporter.core.json import read_object
from exporter.core.names import is_address, match_entry, told_apart
from exporter.core.secrets import mask
from exporter.core.values import Challenge, CredentialKind, Facts, Fault, KeyFacts, Outcome, Step, TokenResult, is_discarded
from exporter.doctor.evidence import Endpoint, Evidence, HostCertificate, SecretEvidence
from exporter.doctor.host_facts import LookUpHost, facts_of_host
from exporter.knowledge.answers import read_claims
from exporter.knowledge.expiry import CredentialExpiry, graph_of
from exporter.knowledge.report import ProbeReport
from exporter.knowledge.verdict import CREDENTIAL_REFUSED, AuxiliaryKind, AuxiliaryResult
from exporter.probing.auxiliary import auxiliary_probes
from exporter.probing.expiry import ExpiryLookup
from exporter.probing.expiry_monitor import ExpiryCallbacks, ExpiryMonitor
from exporter.probing.prober import auxiliary_result
from exporter.probing.round_trip import LoopClock, Probe, ProbeRequest, probe_request
from exporter.probing.secrets import SecretCache
from exporter.probing.tokens import TokenCache, reuse_policy
from exporter.runtime.errors import drop_tracebacks, number_of, text_of
from exporter.runtime.loop import LoopLag
from exporter.runtime.tasks import DaemonThreadPool, PoolExhausted, shortage_of
from exporter.sqlserver.differences import DeclaredTargets
from exporter.sqlserver.reading import SqlServerReading, contested_addresses, names_of

# A server's certificate. The DER may come from an untrusted host; its content raises no exception.

_URL = re.compile(r"http://[A-Za-z0-9.-]{1,253}(?::[1-5]?[0-9]{1,4})?(?:/[!-~]{0,500})?")


def read_certificate(der: bytes) -> HostCertificate | None:
    """Parse a certificate; None if that is not possible."""
    try:
        found = x509.load_der_x509_certificate(der)
        return HostCertificate(
            subject=_name(found.subject),
            issuer=_name(found.issuer),
            organization=_part(found.issuer, NameOID.ORGANIZATION_NAME),
            not_before=found.not_valid_before_utc.timestamp(),
            not_after=found.not_valid_after_utc.timestamp(),
            revocation=tuple(islice(dict.fromkeys(_urls(found)), 6)),
        )
    except ValueError:
        return None


def _name(name: x509.Name) -> str:
    return _part(name, NameOID.COMMON_NAME) or mask(name.rfc4514_string()) or "no name"


def _part(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    attributes = name.get_attributes_for_oid(oid)
    return mask(str(attributes[0].value), limit=100) if attributes else ""


def _urls(certificate: x509.Certificate) -> Iterator[str]:
    for extension in certificate.extensions:
        names: Iterable[x509.GeneralName] = ()
        match extension.value:
            case x509.CRLDistributionPoints() as points:
                names = [name for point in points for name in point.full_name or ()]
            case x509.AuthorityInformationAccess() as accesses:
                names = [one.access_location for one in accesses if one.access_method == AuthorityInformationAccessOID.OCSP]
        yield from (one.value for one in names if isinstance(one, x509.UniformResourceIdentifier) and _URL.fullmatch(one.value))


# Whether the revocation host of a certificate answers on port 80: one HEAD request over plain HTTP, as Windows does.
# Any response is a success; revocation lists are not read.


async def problem_with(network: Network, url: str, *, deadline: float) -> str:
    """Return the host's problem, or an empty text if it answered in time.

    Raises PoolExhausted if this process lacks a descriptor, a thread or memory.
    """
    host, port = host_of(url), urlsplit(url).port or 80
    proxy = network.proxy_for(host, port)
    try:
        async with asyncio.timeout_at(deadline):
            status = await (_direct(network, host, port, url) if proxy is None else _through(network, proxy, url))
    except TimeoutError:
        return "no response in time"
    except socket.gaierror:
        return "the name does not resolve"
    except SecretUnreadableError:
        return "the proxy's password cannot be read"
    except OSError as error:
        drop_tracebacks(error)
        lacking, number = shortage_of(error), number_of(error)
        if lacking is not None:
            raise PoolExhausted(f"the system grants no {lacking}", lacking) from None
        return text_of(number) if number else type(error).__name__.lower()
    if status is None:
        return "the response is not HTTP"
    return f"the proxy answers HTTP {status}" if proxy is not None and (status in (401, 403, 407) or status >= 500) else ""


def host_of(url: str) -> str:
    return urlsplit(url).hostname or ""


async def _direct(network: Network, host: str, port: int, url: str) -> int | None:
    failure: OSError = socket.gaierror(socket.EAI_NONAME, "no address")
    for found in await Resolver(network.pool, network.module.connect_to).resolve(host, port):
        try:
            streams = await asyncio.open_connection(found["host"], found["port"])
        except OSError as error:
            failure = error
        else:
            return await _head(*streams, urlsplit(url).path or "/", host, {})
    raise failure


async def _through(network: Network, proxy: Proxy, url: str) -> int | None:
    parts, headers = urlsplit(proxy.url), await network.proxy_headers()
    context = await network.pool.run(make_context, network.module.ca_file) if parts.scheme == "https" else None
    streams = await asyncio.open_connection(parts.hostname, parts.port or (80 if context is None else 443), ssl=context)
    return await _head(*streams, url, host_of(url), headers)


async def _head(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, what: str, host: str, headers: Mapping[str, str]
) -> int | None:
    lines = [f"HEAD {what} HTTP/1.1", f"Host: {host}", "Connection: close", *(": ".join(header) for header in headers.items())]
    try:
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        await writer.drain()
        found = re.match(rb"HTTP/1\.[01] ([0-9]{3})", await reader.readline())
    except ValueError:  # a line that never ends
        return None
    finally:
        writer.transport.abort()
    return None if found is None else int(found[1])


# The addresses of a name, and those without search domains, to detect one that answers with another host.

_NO_SUCH_NAME = frozenset(number for name in ("EAI_NONAME", "EAI_NODATA") if (number := getattr(socket, name, None)) is not None)


async def addresses_of(resolver: Resolver, name: str, port: int, *, deadline: float) -> tuple[str, ...] | None:
    """Return the addresses of a name; empty if there is no such name, None without a name or if the lookup failed.

    `deadline` is in loop time.
    """
    if not name:
        return None
    try:
        async with asyncio.timeout_at(deadline):
            return tuple(dict.fromkeys(found["host"] for found in await resolver.resolve(name, port)))
    except socket.gaierror as error:
        return () if error.errno in _NO_SUCH_NAME else None
    except (OSError, TimeoutError):
        return None


# The evidence of one target.

_THREADS: Final = 24
_MOST_READINGS: Final = 8  # of SQL Servers at the same time

Lookup = Callable[[str, str], Coroutine[Any, Any, tuple[CredentialExpiry, ...]]]
ReadSqlServer = Callable[[SqlServer], Awaitable[SqlServerReading]]


@dataclass(slots=True)
class _SignInTrace:
    """The challenge and token of a probe. The token is used for one more request, then dropped."""

    challenge: Challenge | None = None
    token: str | None = None


class EvidenceCollector:
    """Collects the evidence of one target, once. Use it from one event loop.

    Raises NetworkError if a module's authorities cannot be loaded. `look_up` returns the expiry of a credential by its name and that
    of a target; if it is None, the sources are looked up now. `read_sql_server` returns the reading of a SQL Server, failures included. `look_up_host`
    returns the facts of this host.
    """

    def __init__(
        self,
        config: Config,
        target: Target,
        *,
        clock: Callable[[], float],
        look_up: Lookup | None,
        read_sql_server: ReadSqlServer | None = None,
        look_up_host: LookUpHost | None = None,
        on_internal_error: Callable[[Exception], None],
    ) -> None:
        self._config, self._target, self._on_internal_error = config, target, on_internal_error
        self._module = config.modules[target.module]
        self._credential = config.credentials[target.credential]
        self._lag = LoopLag()
        self._clock = LoopClock(clock, late_between=self._lag.late_between)
        self._look_up = look_up or self._look_up_expiry
        self._read_sql_server, self._look_up_host = read_sql_server, look_up_host
        self._pool = DaemonThreadPool(_THREADS, name="ekm-doctor")
        self._networks = Networks(config, pool=self._pool)
        self._network = self._networks.network_of(self._module)
        self._secrets = SecretCache(self._pool)
        self._tokens = TokenCache(self._secrets, reuse_policy=reuse_policy(config))

    async def aclose(self) -> None:
        self._lag.stop()
        await self._tokens.aclose()
        self._pool.close()

    async def collect(self) -> Evidence:
        """Return all evidence within about three timeouts of the target.

        Eight of its SQL Servers at a time may take four minutes more. Raises PoolExhausted if this process lacks a resource.
        """
        target, trace = self._target, _SignInTrace()
        self._lag.start()
        async with _together() as group:
            probe = group.create_task(self._probe(probe_request(self._config, target), trace))
            vault = group.create_task(self._endpoint(target.vault, "/healthstatus"))
            secret = group.create_task(self._secret())
            sql_servers = group.create_task(self._sql_servers())
        async with _together() as group:
            entra = group.create_task(self._entra(trace.challenge))
            listing = group.create_task(self._list(trace.token))
            auxiliary = group.create_task(self._auxiliary(probe.result()))
            expiry = group.create_task(self._look_up(self._credential.name, target.name))
            host = group.create_task(facts_of_host(self._look_up_host, vault.result(), sql_servers.result()))
        return Evidence(
            target=target,
            credential=self._credential,
            module=self._module,
            now=self._clock.time(),
            vault=vault.result(),
            entra=entra.result(),
            report=probe.result(),
            secret=secret.result(),
            challenge=trace.challenge,
            granted=trace.token is not None,
            claims=None if trace.token is None else read_claims(trace.token),
            listing=listing.result(),
            auxiliary=auxiliary.result(),
            expiry=expiry.result(),
            revocation=await self._revocation(vault.result(), entra.result()),
            pins=tuple(
                (other.name, other.pin)
                for other in self._config.targets.values()
                if other.name != target.name and other.pin is not None
            ),
            sql_servers=sql_servers.result(),
            host=host.result(),
            declared=_declared(self._config, target, probe.result().key, sql_servers.result() or ()),
        )

    def _deadline(self) -> float:
        return self._clock.monotonic() + self._target.timeout

    async def _probe(self, request: ProbeRequest, trace: _SignInTrace | None = None) -> ProbeReport:
        started, network = self._clock.monotonic(), self._networks.network_of(request.module)
        trace = trace or _SignInTrace()

        async def tokens(challenge: Challenge, *, deadline: float) -> TokenResult:
            trace.challenge = challenge
            result = await self._tokens.token(request.credential, network, challenge, started=started, deadline=deadline)
            trace.token = result.token if result.facts.fault is Fault.NONE else None
            return result

        async with VaultSession(network, request.target.vault, request.module.api_version) as vault:
            return await Probe(request, vault, tokens, self._clock, self._on_internal_error).run()

    async def _entra(self, challenge: Challenge | None) -> Endpoint | None:
        if self._credential.kind is CredentialKind.MANAGED_IDENTITY:  # it signs in at the host's identity service
            return None
        known = graph_of(self._target.vault, self._module.authority_host).authority
        authority = self._module.authority_host or (known if challenge is None else challenge.authority)
        tenant = self._credential.tenant_id or (None if challenge is None else challenge.tenant) or "common"
        return await self._endpoint(authority.removeprefix("https://"), f"/{tenant}/v2.0/.well-known/openid-configuration")

    async def _endpoint(self, host: str, path: str) -> Endpoint:
        name, port = split_url(host)
        resolver, proxy = Resolver(self._pool, self._module.connect_to), self._network.proxy_for(name, port)
        has_absolute = not (proxy or resolver.redirects(name, port) or is_address(name))
        (facts, certificate, discarded), addresses, absolute = await asyncio.gather(
            self._check_endpoint(host, path),
            addresses_of(resolver, name, port, deadline=self._deadline()),
            addresses_of(resolver, f"{name}." if has_absolute else "", port, deadline=self._deadline()),
        )
        return Endpoint(
            host=host,
            facts=facts,
            proxy=None if proxy is None else proxy.url,
            redirected=self._module.connect_to.get(f"{name}:{port}"),
            addresses=addresses or () if proxy is None else (),
            absolute=absolute,
            certificate=None if certificate is None else read_certificate(certificate),
            skew=None if facts.server_time is None else self._clock.time() - facts.server_time,
            discarded=discarded,
        )

    async def _check_endpoint(self, host: str, path: str) -> tuple[Facts, bytes | None, bool]:
        """Return the facts and the certificate of a host, and whether the check says nothing."""
        began = self._clock.monotonic()
        facts, certificate = await check_endpoint(self._network, host, path, deadline=self._deadline())
        ended = self._clock.monotonic()
        late = self._clock.late_between(began, ended)
        return facts, certificate, is_discarded(facts.fault, late=late, took=ended - began)

    async def _secret(self) -> SecretEvidence:
        credential, secret = self._credential, await self._secrets.current(self._credential)
        if secret.failure:
            return SecretEvidence(failure=secret.failure)
        text, client_id = secret.text or "", credential.client_id
        if credential.kind is CredentialKind.CONNECTOR_SECRET:
            parts = split_connector_secret(text)
            client_id = None if parts is None else parts.client_id
        elif credential.kind is CredentialKind.CLIENT_SECRET:
            text = (client_id or "").replace("-", "")[:CLIENT_ID_DIGITS] + text  # the string in SQL Server consists of both
        findings = connector_secret_findings(text) if credential.kind.has_secret else None
        return SecretEvidence(findings=findings, client_id=client_id)

    async def _list(self, token: str | None) -> Facts | None:
        if token is None:
            return None
        path = f"/keys?api-version={self._module.api_version}&maxresults=1"
        async with HostSession(self._network, self._target.vault) as reading:
            return (await reading.request(path, token, _read_listing, deadline=self._deadline()))[0]

    async def _auxiliary(self, report: ProbeReport) -> tuple[AuxiliaryResult, ...]:
        """Make the auxiliary probes in turn, except at a vault that did not answer."""
        today, failure = datetime.fromtimestamp(report.started_at, UTC).date(), report.first_failure
        kinds = [AuxiliaryKind.RETAINED, AuxiliaryKind.NEWEST]
        if failure is not None and failure.step is Step.TOKEN and failure.reason in CREDENTIAL_REFUSED:
            kinds.append(AuxiliaryKind.NEXT)
        answered = report.steps[0].outcome is Outcome.OK
        plans = auxiliary_probes(self._config, self._target, report.key, today)
        wanted = [plan for plan in plans if plan.kind in kinds and (answered or plan.request.target.vault != self._target.vault)]
        return tuple([auxiliary_result(plan, await self._probe(plan.request)) for plan in wanted])

    async def _sql_servers(self) -> tuple[SqlServerReading, ...] | None:
        """Read each SQL Server that may be one of the target's. The result lacks those that turn out to be others."""
        read, slots = self._read_sql_server, asyncio.Semaphore(_MOST_READINGS)
        if read is None or not self._config.sql_servers:
            return None

        async def bounded(server: SqlServer) -> SqlServerReading:
            async with slots:
                return await read(server)

        readings = await asyncio.gather(*map(bounded, servers_of(self._target, self._config.sql_servers.values())))
        contested = contested_addresses(readings)
        return tuple(
            replace(each, contested=each.address in contested)
            for each in readings
            if not each.sql_instance or any(match_entry(entry, names_of(each)) for entry in self._target.instances)
        )

    async def _look_up_expiry(self, credential: str, target: str) -> tuple[CredentialExpiry, ...]:
        lookup = ExpiryLookup(self._config, requested=lambda _endpoint, _count: None, tenant_of=lambda _target: None)
        monitor = ExpiryMonitor(self._config, lookup, ExpiryCallbacks(on_internal_error=self._on_internal_error))
        try:
            return await monitor.look_up(credential, target)
        finally:
            await monitor.aclose()

    async def _revocation(self, *endpoints: Endpoint | None) -> dict[str, str]:
        """Return the problem of each revocation host of trusted certificates. An untrusted one must not choose a host to connect to."""
        trusted = [each.certificate for each in endpoints if each is not None and each.facts.certificate]
        urls = {
            host_of(url): url
            for certificate in trusted
            if certificate is not None and self._module.crl_check
            for url in certificate.revocation
        }
        problems = await asyncio.gather(*(problem_with(self._network, url, deadline=self._deadline()) for url in urls.values()))
        return dict(zip(urls, problems, strict=True))


@asynccontextmanager
async def _together() -> AsyncIterator[asyncio.TaskGroup]:
    """Yield a group of tasks, and wait for all; if one raises, cancel the others and raise its error alone."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


def _read_listing(body: bytes) -> tuple[Fault, bool | None]:
    return (Fault.ANSWER_NOT_JSON, None) if read_object(body) is None else (Fault.NONE, True)


def _declared(config: Config, target: Target, key: KeyFacts | None, readings: Iterable[SqlServerReading]) -> DeclaredTargets:
    """Return the targets of the configuration, this one as it is checked."""
    read = {each.address: names_of(each) for each in readings}
    names = told_apart({address: names_at(server) for address, server in config.sql_servers.items()} | read)
    return DeclaredTargets(
        compared_targets(replace(config, targets={**config.targets, target.name: target})),
        {target.name: key}.get,
        lambda reading: names[reading.address],
    )
