"""The compared programs: their configurations, which lead every vault to the server of `server`, and their start."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from urllib.parse import parse_qsl

import aiohttp

from bench.processes import python, started
from bench.server import TENANT
from exporter.clients.answers import encode
from exporter.core import durations

BLACKBOX = "prometheus-blackbox-exporter"
AT_ONCE = 4  # probes of blackbox_exporter and of the bare script
PER_CREDENTIAL = 20
_VAULT, _BEARER = "{vault}.vault.azure.net", f"headers: {{Authorization: Bearer {'t' * 1200}, Content-Type: application/json}}"
_POST, _CRYPT = "method: POST, body: '{}'", '{{"alg":"RSA-OAEP","value":"{}"}}'
_FORM = "grant_type=client_credentials&client_id=bench&client_secret=none"
# The requests of a probe: name, host, path, and settings of blackbox_exporter.
_REQUESTS = (
    ("token", "login.microsoftonline.com", f"/{TENANT}/oauth2/v2.0/token", _POST.format(_FORM)),
    ("challenge", _VAULT, "/keys", "valid_status_codes: [401]"),
    ("get", _VAULT, "/keys/{key}", _BEARER),
    ("wrap", _VAULT, "/keys/{key}/wrapkey", f"{_BEARER}, {_POST.format(_CRYPT.format('A' * 43))}"),
    ("unwrap", _VAULT, "/keys/{key}/unwrapkey", f"{_BEARER}, {_POST.format(_CRYPT.format('A' * 342))}"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A process and its URL; for the server, that of its control port."""

    pid: int
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The folder of a run, and the server that is all vaults and Entra on `port`. `tree` holds another commit to measure."""

    folder: Path
    server: Running
    port: int
    ca_file: Path
    tree: Path | None = None

    def fresh(self, name: str) -> Path:
        """A new path."""
        return self.folder / f"{len(list(self.folder.iterdir())):03}-{name}"


@contextmanager
def serving(folder: Path, tree: Path | None = None) -> Iterator[Bench]:
    """Run the server."""
    ca_file, log = folder / "ca.pem", folder / "server.log"
    command = python("bench.server", ca_file)
    with started(*command, pattern=r"ports=(\S+)", log=log) as (process, ports):
        port, control = ports.split(",")
        server = Running(pid=process.pid, url=f"http://127.0.0.1:{control}")
        yield Bench(folder=folder, server=server, port=int(port), ca_file=ca_file, tree=tree)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Targets, credentials distributed among them, and the interval in seconds.

    `credentials` is their number; without it, 20 targets share one.
    With `auxiliary`, every fifth target has an auxiliary probe after each probe. Otherwise a target has only its first one.
    With `servers`, two SQL Servers depend on each target.
    """

    targets: int
    interval: float
    credentials: int | None = None
    auxiliary: bool = False
    servers: bool = False

    @property
    def credential_count(self) -> int:
        return max(1, self.targets // PER_CREDENTIAL) if self.credentials is None else self.credentials

    def module(self, number: int) -> str:
        return "auxiliary" if self.auxiliary and number % 5 == 0 else "default"


def configuration(fleet: Fleet, port: int, ca_file: Path) -> str:
    """The configuration of a fleet. Each vault has its own key."""
    interval = durations.write(fleet.interval)
    lines = [f"global: {{interval: {interval}, min_interval: 1s, preflight_interval: 0s}}", "modules:"]
    for module, apart in (("default", "1h"), ("auxiliary", "1s")):
        hosts = [f"bench-{n:04}.vault.azure.net" for n in range(fleet.targets) if fleet.module(n) == module]
        lines += [f"  {module}:", f"    auxiliary_interval: {apart}", f"    tls: {{ca_file: {ca_file}}}", "    connect_to:"]
        lines += [f"      {host}:443: 127.0.0.1:{port}" for host in ("login.microsoftonline.com", *hosts)]
    lines.append("credentials:")
    lines += [
        f"  app-{n}: {{type: client_secret, tenant_id: {TENANT}, client_id: 2b8e4d70-6c1f-4a95-8d23-{n:012x},"
        f" client_secret_env: EKM_BENCH, expires_on: 2099-01-01}}"
        for n in range(fleet.credential_count)
    ]
    server = (
        ", instances: [{{sql_instance: SQL{0:05}, host: n{0}, ag: AG{2}}}, {{sql_instance: SQL{1:05}, host: n{1}, ag: AG{2}}}]"
    )
    lines.append("targets:")
    lines += [
        f"  - {{name: t{n}, vault: bench-{n:04}, key: Key/{n:032x}, credential: app-{n % fleet.credential_count},"
        f" module: {fleet.module(n)}{server.format(2 * n, 2 * n + 1, n // 8) if fleet.servers else ''}}}"
        for n in range(fleet.targets)
    ]
    return "\n".join(lines) + "\n"


@contextmanager
def exporter(bench: Bench, fleet: Fleet) -> Iterator[Running]:
    config = bench.fresh("ekm.yml")
    config.write_text(configuration(fleet, bench.port, bench.ca_file), encoding="utf-8")
    command = python("exporter", "run", "--config.file", config, "--web.listen-address", "127.0.0.1:0")
    with started(*command, pattern=r"url=(http://\S+)", log=bench.fresh("exporter.log"), folder=bench.tree) as (process, url):
        yield Running(pid=process.pid, url=url.rstrip("/"))


@contextmanager
def blackbox(bench: Bench) -> Iterator[Running]:
    """Run blackbox_exporter of Debian with a module for each request of a probe."""
    config, common = bench.fresh("blackbox.yml"), f"preferred_ip_protocol: ip4, tls_config: {{ca_file: {bench.ca_file}}}"
    lines = [f"  {kind}: {{prober: http, timeout: 5s, http: {{{common}, {rest}}}}}\n" for kind, _, _, rest in _REQUESTS]
    config.write_text("modules:\n" + "".join(lines), encoding="utf-8")
    command = (BLACKBOX, "--config.file", config, "--web.listen-address", "127.0.0.1:0", "--log.prober", "error")
    with started(*command, pattern=r"address=(127\.0\.0\.1:\d+)", log=bench.fresh("blackbox.log")) as (process, address):
        yield Running(pid=process.pid, url=f"http://{address}")


async def _spread(count: int, over: float, act: Callable[[int], Coroutine[None, None, None]]) -> None:
    """Do something for each number, spread over `over` seconds; at a slow rate only one at once."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        await asyncio.sleep(over * number / count)
        async with places:
            await act(number)

    await asyncio.gather(*map(one, range(count)))


def query_blackbox(bench: Bench, running: Running, targets: int, *, over: float) -> list[str]:
    """Send the five requests that are one probe of the exporter, for each target, with the targets spread over `over` seconds.

    Returns the texts about requests to vaults. Raises RuntimeError if a request fails.
    """
    texts = list[str]()

    async def every() -> None:
        async with aiohttp.ClientSession() as session:

            async def one(number: int) -> None:
                names = {"vault": f"bench-{number:04}", "key": f"Key/{number:032x}"}
                for kind, host, path, _ in _REQUESTS:
                    url = f"https://127.0.0.1:{bench.port}{path.format(**names)}?api-version=7.4"
                    parameters = {"module": kind, "target": url, "hostname": host.format(**names)}
                    async with session.get(f"{running.url}/probe", params=parameters) as answer:
                        text = await answer.text()
                    if "\nprobe_success 1" not in text:
                        raise RuntimeError(f"blackbox_exporter failed: {parameters}")
                    texts.extend([text] * (kind != "token"))

            await _spread(targets, over, one)

    asyncio.run(every())
    return texts


@contextmanager
def bare(bench: Bench) -> Iterator[tuple[int, Callable[[int, float], None]]]:
    """Run a bare script in a process of its own. Yield the process id, and what makes a number of probes spread over some seconds."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        make = partial(pool.submit, _make, bench.port, bench.ca_file)
        yield pool.submit(os.getpid).result(), lambda probes, over: make(probes, over).result()


def _make(port: int, ca_file: Path, probes: int, over: float) -> None:
    """Make probes spread over `over` seconds. Raises RuntimeError if other bytes come back."""
    asyncio.run(_spread(probes, over, _Bare(port, ca_file).probe))


@cache
class _Bare:
    """A bare aiohttp script with the exchanges of a probe: a new connection a probe, and one token for all."""

    def __init__(self, port: int, ca_file: Path) -> None:
        self._context, self._url = ssl.create_default_context(cafile=ca_file), f"https://127.0.0.1:{port}"
        self._bearer = asyncio.run(self._token("login.microsoftonline.com"))

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(self._url, connector=aiohttp.TCPConnector(ssl=self._context))

    async def _token(self, host: str) -> str:
        path, form, own = _REQUESTS[0][2], dict(parse_qsl(_FORM)), {"Host": host}
        async with self._session() as session, session.post(path, data=form, headers=own, server_hostname=host) as answer:
            return str((await answer.json())["access_token"])

    async def probe(self, number: int) -> None:
        key, host = f"/keys/Key/{number:032x}", f"bench-{number:04}.vault.azure.net"
        headers, query = {"Host": host, "Authorization": f"Bearer {self._bearer}"}, {"api-version": "7.4"}
        value = back = encode(os.urandom(32))
        async with self._session() as session:
            async with session.get("/keys", params=query, headers={"Host": host}, server_hostname=host) as answer:
                await answer.read()
            async with session.get(key, params=query, headers=headers, server_hostname=host) as answer:
                await answer.json()
            for operation in ("wrapkey", "unwrapkey"):
                url, body = f"{key}/{operation}", {"alg": "RSA-OAEP", "value": back}
                async with session.post(url, params=query, headers=headers, json=body, server_hostname=host) as answer:
                    back = (await answer.json())["value"]
        if back != value:
            raise RuntimeError("other bytes came back")
