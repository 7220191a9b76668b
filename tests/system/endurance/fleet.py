"""A fleet for one exporter: healthy targets, permanently broken targets, and lanes.

A lane is a target on which the scenarios of the table run one after another, through the control API of the simulator.
"""

import asyncio
import contextlib
import datetime as dt
import json
import re
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from exporter.simulator.faults import FaultScope
from exporter.simulator.scenarios import BY_NAME, SIMULATED, Scenario
from tests.support.patience import PATIENCE
from tests.system.prometheus.servers import running

LANES = tuple(f"lane-{number:02}" for number in range(40))
HEALTHY = ("healthy-one", "healthy-two", "healthy-three")
# A target with its own sign-in host, so that faults of the host affect no other target.
GOVERNMENT = "lane-government"
# Permanent scenarios by target: the route to a host is in the configuration of the exporter.
PERMANENT = {
    "deleted": ("vault_deleted", {"vault": "deleted.vault.azure.net"}),
    "refused": ("vault_refused", {"vault": "refused.vault.azure.net"}),
    "sign-in-refused": ("entra_refused", {"authority": "login.partner.microsoftonline.cn"}),
    "sign-in-deleted": ("entra_deleted", {"authority": "login.windows.net"}),
}
PROXIES = (
    "proxy_refused",
    "proxy_unresolvable",
    "proxy_silent",
    "proxy_unauthorized",
    "proxy_bad_gateway",
    "proxy_not_http",
    "proxy_redirects",
)

_DOMAINS = {GOVERNMENT: "vault.usgovcloudapi.net", "sign-in-refused": "vault.azure.cn"}
_MODULES = {"sign-in-deleted": "elsewhere"} | {name.replace("_", "-"): name for name in PROXIES}


def generation_of(target: str) -> str:
    return "current" if target in LANES[::2] else "classic"


def vault_of(target: str) -> str:
    return f"{target}.{_DOMAINS.get(target, 'vault.azure.net')}"


def configuration(folder: Path, proxies: Mapping[str, str]) -> dict[str, Any]:
    """The configuration of the exporter for real hosts. Writes the secrets into `folder`."""
    names = (*HEALTHY, *LANES, GOVERNMENT, *PERMANENT, *(name.replace("_", "-") for name in proxies))
    for name in names:
        (folder / name).write_text(f"MARKED-secret-of-{name}\n")
        (folder / name).chmod(0o600)
    return {
        "global": {"interval": "4s", "timeout": "2s", "min_interval": "1s", "concurrency": 64, "preflight_interval": "0s"},
        "credentials": {name: _credential(number, name) for number, name in enumerate(names)},
        "modules": {
            "default": {},
            "elsewhere": {"authority_host": "https://login.windows.net"},
            **{name: {"proxy": {"url": url}} for name, url in proxies.items()},
        },
        "targets": [_target(name) for name in names],
    }


def _credential(number: int, name: str) -> dict[str, Any]:
    return {
        "type": "client_secret",
        "tenant_id": f"11111111-2222-3333-4444-{number:012}",
        "client_id": f"66666666-7777-8888-9999-{number:012}",
        "client_secret_file": name,
        "expires_on": "2099-01-01",
    }


def _target(name: str) -> dict[str, Any]:
    target = {
        "name": name,
        "vault": vault_of(name),
        "key": "TdeKey/0123456789abcdef0123456789abcd01",
        "credential": name,
        "connector_generation": generation_of(name),
        "module": _MODULES.get(name, "default"),
    }
    return {**target, "interval": "8s", "timeout": "4s"} if name in HEALTHY else target


def redirected(simulated: Mapping[str, Any], proxies: Mapping[str, str]) -> dict[str, Any]:
    """The configuration of the simulator, without `connect_to` in modules with a proxy: it bypasses proxies."""
    modules = {name: dict(module) for name, module in simulated["modules"].items()}
    for name in proxies:
        modules[name]["connect_to"] = {}
    return {**simulated, "modules": modules}


class Fleet:
    """A client of the exporter at `url` and of the management port of the simulator."""

    def __init__(self, client: aiohttp.ClientSession, url: str, management: str):
        self._client, self._url, self._management = client, url, management
        self._rows: dict[str, dict[str, Any]] = {}
        self._news = asyncio.Condition()

    async def metrics(self) -> str:
        async with self._client.get(f"{self._url}/metrics") as answer:
            return await answer.text()

    async def wait_for_permanent(self) -> None:
        """Wait until the lanes are healthy and the exporter shows the permanent failures."""
        expected: dict[str, Scenario | None] = dict.fromkeys((*LANES, GOVERNMENT))
        expected |= {name: BY_NAME[scenario] for name, (scenario, _) in PERMANENT.items()}
        expected |= {name.replace("_", "-"): BY_NAME[name] for name in PROXIES}
        await self._watched(self._until(name, scenario, since=time.time()) for name, scenario in expected.items())

    async def every_scenario(self, step: int = 1) -> int:
        """Apply each scenario on a lane, or each of a step, wait for its code, and clear it. Returns their number."""
        possible = [one for one in SIMULATED if one.fault.route is None][::step]
        anywhere = deque(one for one in possible if one.scope is not FaultScope.AUTHORITY)
        sign_in_host = deque(one for one in possible if one.scope is FaultScope.AUTHORITY)
        lanes = [self._lane(name, anywhere) for name in LANES]
        await self._watched([*lanes, self._lane(GOVERNMENT, sign_in_host)])
        return len(possible)

    async def _lane(self, target: str, scenarios: deque[Scenario]) -> None:
        while scenarios:
            scenario = scenarios.popleft()
            numbers = await self._apply({"vault": vault_of(target), "scenario": scenario.name})
            await self._until(target, scenario, since=time.time())
            for number in numbers:
                async with self._client.delete(f"{self._management}/sim/fault", params={"number": number}) as answer:
                    assert answer.status == 200

    async def _apply(self, fault: dict[str, str]) -> list[int]:
        async with self._client.post(f"{self._management}/sim/fault", json=fault) as answer:
            text = await answer.text()
            assert answer.status == 200, text
        return [one["number"] for one in json.loads(text)["set"]]

    async def _until(self, target: str, scenario: Scenario | None, *, since: float) -> None:
        """Wait for a probe after `since` that shows the scenario, or a success for None."""
        expected = _shown(scenario, target)
        row: dict[str, Any] = {}
        try:
            async with asyncio.timeout(PATIENCE):
                while not row or _begun(row) < since or tuple(row[name] for name in ("step", "code", "reason")) != expected:
                    async with self._news:
                        await self._news.wait()
                    row = self._rows[target]
        except TimeoutError:
            raise AssertionError(f"{target}: {scenario and scenario.name} gave {row} and never {expected}") from None

    async def _watched(self, waiting: Iterable[Coroutine[Any, Any, None]]) -> None:
        """Run these coroutines while the state of the targets is read repeatedly."""
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch())
            await asyncio.gather(*waiting)
            watching.cancel()

    async def _watch(self) -> None:
        while True:
            async with self._client.get(f"{self._url}/api/v1/targets", raise_for_status=True) as answer:
                self._rows = {row["target"]: row for row in json.loads(await answer.text())["targets"]}
            async with self._news:
                self._news.notify_all()
            await asyncio.sleep(0.5)


def _begun(row: dict[str, Any]) -> float:
    """The start of the last probe as Unix time; 0 if there is none."""
    return dt.datetime.fromisoformat(row["last_probe"]).timestamp() if row["last_probe"] else 0.0


def _shown(scenario: Scenario | None, target: str) -> tuple[str | None, int | None, str | None]:
    if scenario is None:
        return None, None, None
    code = scenario.current if generation_of(target) == "current" else scenario.classic
    return scenario.step, code, scenario.reason


@contextlib.asynccontextmanager
async def simulated(folder: Path, proxies: Mapping[str, str]) -> AsyncIterator[tuple[Path, str]]:
    """Run a simulator with the permanent faults. Yields the configuration and the management URL."""
    source = folder / "source.yml"
    source.write_text(json.dumps(configuration(folder, proxies)))
    out, log = folder / "sim", folder / "simulator.log"
    flags = ("--config.file", source, "--out", out, "--sim.port", "0", "--sim.management-port", "0")
    async with running(log, sys.executable, "-m", "exporter", "simulate", *flags):
        management = await output(log, r"management port: (http://\S+)")
        async with aiohttp.ClientSession() as client:
            for scenario, on in PERMANENT.values():
                async with client.post(f"{management}/sim/fault", json={"fault": BY_NAME[scenario].cause, **on}) as answer:
                    assert answer.status == 200, await answer.text()
        written = yaml.safe_load((out / "ekm.yml").read_text())
        path = folder / "ekm.yml"
        path.write_text(yaml.safe_dump(redirected(written, proxies)))
        yield path, management


async def output(log: Path, pattern: str) -> str:
    """Wait for a match in a log and return its first group."""
    written, end = "", time.monotonic() + PATIENCE
    while time.monotonic() < end:
        written = await asyncio.to_thread(log.read_text)
        if match := re.search(pattern, written):
            return match[1]
        await asyncio.sleep(0.05)
    raise AssertionError(written)
