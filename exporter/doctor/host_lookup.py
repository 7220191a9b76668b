"""Looks up the facts of a SQL Server host on Windows, each in a thread until its deadline.

A look-up that fails is `Unreadable`; the others go on. Nothing on the host is changed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar, TypeVarTuple

from exporter.clients.http.network import split_url
from exporter.core.windows_host.facts import HostFacts, Unreadable, Version, WindowsResponse
from exporter.doctor import host_facts
from exporter.doctor.evidence import Endpoint
from exporter.doctor.host_facts import Windows
from exporter.runtime.computer import computer_name
from exporter.runtime.thread_pool import DaemonThreadPool
from exporter.runtime.windows.api import ACCESS_DENIED
from exporter.tde.model import version_number
from exporter.tde.sql_reading import SqlServerReading, known_instance, rows

_log = logging.getLogger(__name__)

_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")
_THREADS: Final = 10
_SECONDS: Final = 10.0  # of each look-up


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRequest:
    """What is to be looked up for a target.

    `vault` is a host name with its port unless that is 443; empty for no request. `loaded` has each path of a DLL that a SQL Server
    of this host names, with the version that it has loaded.
    """

    vault: str = ""
    loaded: Mapping[str, Version] = field(default_factory=dict)


def _host_request(vault: Endpoint, readings: Iterable[SqlServerReading]) -> HostRequest:
    """Return the request for a vault, with the paths that the SQL Servers of this host name. A redirected vault gets no request."""
    own, loaded = computer_name().partition(".")[0], dict[str, Version]()
    for reading in readings:
        instance = known_instance(reading)
        if instance is not None and own in {node.partition(".")[0] for node in instance.nodes}:
            versions = {provider.name: version_number(provider.file_version) for provider in instance.providers}
            for row in rows(reading, "providers"):
                name, path = str(row.get("name", "")), str(row.get("dll_path", ""))
                if path and name in versions:
                    loaded[path] = versions[name]
    return HostRequest(vault="" if vault.redirected else vault.host, loaded=loaded)


LookUpHost = Callable[[HostRequest], Awaitable[HostFacts]]


async def facts_of_host(
    look_up: LookUpHost | None, vault: Endpoint, readings: Iterable[SqlServerReading] | None
) -> HostFacts | None:
    """Return the facts of this host for a vault; None without such a function."""
    return None if look_up is None else await look_up(_host_request(vault, readings or ()))


class _Reader:
    """Makes look-ups, each in a thread until its deadline."""

    def __init__(self, pool: DaemonThreadPool, windows: Windows) -> None:
        self._pool, self._windows = pool, windows

    async def read(self, function: Callable[[Windows, *_Args], _T], *arguments: *_Args) -> _T | Unreadable:
        """Return the result, or why there is none."""
        try:
            async with asyncio.timeout(_SECONDS):
                return await self._pool.run(function, self._windows, *arguments)
        except TimeoutError:
            return Unreadable(f"no result within {_SECONDS:.0f} s")
        except OSError as error:
            return _unreadable(error)
        except ValueError as error:
            return Unreadable(str(error))
        except Exception as error:  # noqa: BLE001 - one failing look-up never stops the others
            _log.exception("look-up failed")
            return Unreadable(f"internal error {type(error).__name__}")

    def start(self, function: Callable[[Windows, *_Args], _T], *arguments: *_Args) -> asyncio.Task[_T | Unreadable]:
        return asyncio.ensure_future(self.read(function, *arguments))


def _unreadable(error: OSError) -> Unreadable:
    number = getattr(error, "winerror", None)
    if isinstance(error, PermissionError) or number == ACCESS_DENIED:
        return Unreadable(denied=True)
    return Unreadable(f"Windows error {error.errno if number is None else number}")


async def look_up_host(request: HostRequest, *, windows: Windows | None = None) -> HostFacts:
    """Make all look-ups within twice ten seconds."""
    pool = DaemonThreadPool(_THREADS, name="ekm-host")
    try:
        return await _facts(_Reader(pool, windows or Windows()), request)
    finally:
        pool.close()


async def _facts(reader: _Reader, request: HostRequest) -> HostFacts:
    """Read the instances, then everything else at the same time."""
    instances = await reader.read(host_facts.instances)
    found = () if isinstance(instances, Unreadable) else instances
    account = reader.start(lambda windows: windows.own_account())
    files = reader.start(host_facts.connector_files, request.loaded)
    runtimes = reader.start(host_facts.runtime_libraries)
    key = reader.start(host_facts.connector_key)
    cluster_node = reader.start(host_facts.is_cluster_node)
    tls = reader.start(host_facts.tls_settings, found)
    response = reader.start(_response, request.vault)
    proxies = reader.start(host_facts.account_proxies, found)
    winhttp = reader.start(host_facts.winhttp_proxy)
    time_service = reader.start(host_facts.time_service)
    events = reader.start(host_facts.connector_events)
    return HostFacts(
        account=await account,
        instances=instances,
        files=await files,
        runtimes=await runtimes,
        key=await key,
        cluster_node=await cluster_node,
        tls=await tls,
        response=await response,
        proxies=await proxies,
        winhttp=await winhttp,
        time_service=await time_service,
        events=await events,
    )


def _response(windows: Windows, vault: str) -> WindowsResponse | None:
    """Request the vault's health page, as `doctor` does itself; None without a vault."""
    if not vault:
        return None
    host, port = split_url(vault)
    return windows.request(host, port, "/healthstatus", _SECONDS - 1)
