"""The compared programs: their configurations, which lead every vault to the server of `server`, and their start."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from bench.processes import python, received, started
from bench.server import TENANT
from exporter.core import durations

BLACKBOX = "prometheus-blackbox-exporter"
_AT_ONCE = 4  # requests to blackbox_exporter
PER_CREDENTIAL = 20
_VAULT, _BEARER = "{vault}.vault.azure.net", f"headers: {{Authorization: Bearer {'t' * 1200}, Content-Type: application/json}}"
_POST, _CRYPT = "method: POST, body: '{}'", '{{"alg":"RSA-OAEP","value":"{}"}}'
# The requests of a probe: name, host, path, and settings of blackbox_exporter.
_REQUESTS = (
    (
        "token",
        "login.microsoftonline.com",
        f"/{TENANT}/oauth2/v2.0/token",
        _POST.format("grant_type=client_credentials&client_id=bench&client_secret=none"),
    ),
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
    rules: Sequence[Path] = ()

    def fresh(self, name: str) -> Path:
        """A new path."""
        return self.folder / f"{len(list(self.folder.iterdir())):03}-{name}"

    def newest(self, name: str) -> Path:
        """The last path of `fresh` with this name."""
        return max(self.folder.glob(f"*-{name}"))


@contextmanager
def serving(folder: Path, *, wait: float = 0.0, tree: Path | None = None, rules: Sequence[Path] = ()) -> Iterator[Bench]:
    """Run the server. `wait` is the time in seconds before each response of a vault."""
    number = len(list(folder.iterdir()))
    ca_file, log = folder / f"{number}-ca.pem", folder / f"{number}-server.log"
    with started(*python("bench.server", "--ca", ca_file, "--wait", wait), pattern=r"ports=(\S+)", log=log) as (
        process,
        ports,
    ):
        port, control = ports.split(",")
        server = Running(pid=process.pid, url=f"http://127.0.0.1:{control}")
        yield Bench(folder=folder, server=server, port=int(port), ca_file=ca_file, tree=tree, rules=rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Targets numbered from `first` on, credentials distributed among them, and the interval in seconds.

    `credentials` is their number; without it, 20 targets share one.
    With `auxiliary`, every fifth target has an auxiliary probe after each probe. Otherwise a target has only its first one.
    With `named`, hosts are resolved by name. With `servers`, two SQL Servers depend on each target.
    """

    targets: int
    interval: float
    credentials: int | None = None
    auxiliary: bool = False
    first: int = 0
    named: bool = False
    servers: bool = False

    @property
    def credential_count(self) -> int:
        return max(1, self.targets // PER_CREDENTIAL) if self.credentials is None else self.credentials

    @property
    def numbers(self) -> range:
        return range(self.first, self.first + self.targets)

    def module(self, number: int) -> str:
        return "auxiliary" if self.auxiliary and number % 5 == 0 else "default"


def configuration(fleet: Fleet, port: int, ca_file: Path) -> str:
    """The configuration of a fleet. Each vault has its own key."""
    interval = durations.write(fleet.interval)
    lines = [f"global: {{interval: {interval}, min_interval: 1s, preflight_interval: 0s}}", "modules:"]
    for module, apart in (("default", "1h"), ("auxiliary", "1s")):
        hosts = [f"bench-{n:04}.vault.azure.net" for n in fleet.numbers if fleet.module(n) == module]
        lines += [f"  {module}:", f"    auxiliary_interval: {apart}", f"    tls: {{ca_file: {ca_file}}}", "    connect_to:"]
        led = ("login.microsoftonline.com", *(() if fleet.named else hosts))
        lines += [f"      {host}:443: 127.0.0.1:{port}" for host in led]
    lines.append("credentials:")
    lines += [
        f"  app-{n}: {{type: client_secret, tenant_id: {TENANT}, client_id: 2b8e4d70-6c1f-4a95-8d23-{n:012x},"
        f" client_secret_env: EKM_BENCH, expires_on: 2099-01-01}}"
        for n in range(fleet.credential_count)
    ]
    lines.append("targets:")
    lines += [
        f"  - {{name: t{n}, vault: bench-{n:04}, key: Key/{n:032x}, credential: app-{n % fleet.credential_count},"
        f" module: {fleet.module(n)}{_instances(n) if fleet.servers else ''}}}"
        for n in fleet.numbers
    ]
    return "\n".join(lines) + "\n"


def _instances(number: int) -> str:
    servers = (f"{{sql_instance: SQL{each:05}, host: n{each}, ag: AG{number // 8}}}" for each in (2 * number, 2 * number + 1))
    return f", instances: [{', '.join(servers)}]"


@contextmanager
def exporter(bench: Bench, fleet: Fleet, *flags: str, program: str = "exporter") -> Iterator[Running]:
    """Run the exporter. `program` is its module."""
    config = bench.fresh("ekm.yml")
    config.write_text(configuration(fleet, bench.port, bench.ca_file), encoding="utf-8")
    command = python(program, "run", "--config.file", config, "--web.listen-address", "127.0.0.1:0", *flags)
    with started(*command, pattern=r"url=(http://\S+)", log=bench.fresh("exporter.log"), folder=bench.tree) as (process, url):
        yield Running(pid=process.pid, url=url.rstrip("/"))


@contextmanager
def blackbox(bench: Bench) -> Iterator[Running]:
    """Run blackbox_exporter of Debian with a module for each request of a probe."""
    config = bench.fresh("blackbox.yml")
    config.write_text(_blackbox_modules(bench.ca_file), encoding="utf-8")
    command = (BLACKBOX, "--config.file", config, "--web.listen-address", "127.0.0.1:0", "--log.prober", "error")
    with started(*command, pattern=r"address=(127\.0\.0\.1:\d+)", log=bench.fresh("blackbox.log")) as (process, address):
        yield Running(pid=process.pid, url=f"http://{address}")


def _blackbox_modules(ca_file: Path) -> str:
    common = f"preferred_ip_protocol: ip4, tls_config: {{ca_file: {ca_file}}}"
    lines = [f"  {kind}: {{prober: http, timeout: 5s, http: {{{common}, {rest}}}}}" for kind, _, _, rest in _REQUESTS]
    return "\n".join(["modules:", *lines]) + "\n"


def query_blackbox(bench: Bench, running: Running, targets: int, *, over: float) -> list[str]:
    """Send the five requests that are one probe of the exporter, for each target, with the targets spread over `over` seconds.

    Returns the texts about requests to vaults. Raises RuntimeError if a request fails.
    """

    async def one(session: aiohttp.ClientSession, number: int) -> list[str]:
        await asyncio.sleep(over * number / targets)
        return [await _probed(session, running, parameters) for parameters in _requests(bench, number)]

    async def every() -> list[list[str]]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=_AT_ONCE)) as session:
            return await asyncio.gather(*(one(session, number) for number in range(targets)))

    return [text for _, *of_vault in asyncio.run(every()) for text in of_vault]


async def _probed(session: aiohttp.ClientSession, running: Running, parameters: dict[str, str]) -> str:
    async with session.get(f"{running.url}/probe", params=parameters) as answer:
        text = await answer.text()
    if "\nprobe_success 1" not in text:
        raise RuntimeError(f"blackbox_exporter failed: {parameters}")
    return text


def _requests(bench: Bench, number: int) -> list[dict[str, str]]:
    """The parameters of the requests to `/probe`, that for the token first."""
    address, names = f"https://127.0.0.1:{bench.port}", {"vault": f"bench-{number:04}", "key": f"Key/{number:032x}"}
    return [
        {"module": kind, "target": f"{address}{path.format(**names)}?api-version=7.4", "hostname": host.format(**names)}
        for kind, host, path, _ in _REQUESTS
    ]


@dataclass(frozen=True, slots=True)
class Bare:
    """The running bare script."""

    process: subprocess.Popen[bytes]
    log: Path

    def make(self, probes: int, *, over: float) -> None:
        """Make probes spread over `over` seconds and wait for them. Raises RuntimeError if the script ends."""
        already = self.log.read_text(encoding="utf-8").count("made=1")
        assert self.process.stdin is not None  # noqa: S101 - it was started with a pipe
        self.process.stdin.write(f"{probes} {over}\n".encode())
        self.process.stdin.flush()
        received(self.process, "made=1", self.log, times=already + 1)


@contextmanager
def bare(bench: Bench) -> Iterator[Bare]:
    log = bench.fresh("bare.log")
    command = python("bench.bare", "--ca", bench.ca_file, "--port", bench.port)
    with started(*command, pattern="(ready=1)", log=log) as (process, _):
        yield Bare(process, log)
