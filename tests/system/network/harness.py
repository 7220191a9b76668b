"""The simulator on an isolated machine, on port 443, and probes of the exporter in both generations.

Without `connect_to`: names, routes and proxies work as in production. `namespaces` makes the machine.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.patience import PATIENCE
from tests.system.network.namespaces import Machine

VAULT, ENTRA = "contoso.vault.azure.net", "login.microsoftonline.com"
HERE = "127.0.0.1"
GUARDED = "127.0.0.2"  # the same services, behind the firewall
AWAY = "192.0.2.1"  # TEST-NET-1: without a route unless a test adds one
KEY = "TdeKey/0123456789abcdef0123456789abcd01"
EXPORTER = (sys.executable, "-W", "error", "-m", "exporter")
HEALTHY = ("", None, None, "")


@dataclass(frozen=True)
class SimulatorHost:
    """The machine of the simulator. `ca_file` is that of the simulator."""

    machine: Machine
    ca_file: Path
    client: asyncio.subprocess.Process

    def config(self, *, timeout: str = "4s", **module: Any) -> Path:
        """A configuration with one target for each generation, named like the generation."""
        path = self.machine.folder / "ekm.yml"
        path.write_text(json.dumps(_config(timeout, {"tls": {"ca_file": str(self.ca_file)}, **module})))
        return path

    async def shown(self, **config: Any) -> tuple[str, int | None, int | None, str]:
        """The failed step, its code in both generations and its reason; `HEALTHY` without a failure."""
        classic, current = await self.probed(**config)
        for name in ("step", "reason"):
            assert classic[name] == current[name]
        return classic["step"] or "", classic["code"], current["code"], classic["reason"] or ""

    async def probed(self, **config: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The reports in the format of `probe --json`, classic and current."""
        classic, current = await self._exchange(str(self.config(**config)))
        return classic, current

    async def run(self, *arguments: object) -> tuple[int, str, str]:
        """Exit code, output and errors of a command of the exporter."""
        code, out, err = await self._exchange([str(one) for one in arguments])
        return code, out, err

    async def _exchange(self, line: object) -> Any:
        self.client.stdin.write(json.dumps(line).encode() + b"\n")
        await self.client.stdin.drain()
        answer = await asyncio.wait_for(self.client.stdout.readline(), PATIENCE)
        assert answer, (self.machine.folder / "prober.log").read_text()
        return json.loads(answer)

    async def guard(self, *rules: str) -> None:
        """Add a firewall with these rules of nft(8) for outgoing packets."""
        await self.machine.do(
            "nft add table inet guard; nft add chain inet guard out '{ type filter hook output priority -150; }'",
            "nft add table ip ekm; nft add chain ip ekm out '{ type nat hook output priority -100; }'",
            f"nft add rule ip ekm out ip daddr {GUARDED} dnat to {HERE}",
            *(f"nft add rule inet guard out '{rule}'" for rule in rules),
        )


def _config(timeout: str, module: dict[str, Any]) -> dict[str, Any]:
    return {
        "global": {"interval": "10s", "min_interval": "1s"},
        "credentials": {
            "sql-prod": {
                "type": "client_secret",
                "tenant_id": "5f2a9c1e-0b7d-4c36-9e58-3a1d7c2b8f40",
                "client_id": "2b8e4d70-6c1f-4a95-8d23-9f0e5b7a1c64",
                "client_secret_file": "sql-prod",
                "expires_on": "2099-01-01",
            }
        },
        "modules": {"default": module},
        "target_defaults": {"credential": "sql-prod", "vault": "contoso", "key": KEY, "timeout": timeout},
        "targets": [{"name": name, "connector_generation": name} for name in ("classic", "current")],
    }


@contextlib.asynccontextmanager
async def simulator_host(folder: Path) -> AsyncIterator[SimulatorHost]:
    """A machine with the simulator on port 443 and without faults."""
    (folder / "sql-prod").write_text("MARKED-secret\n")
    (folder / "sql-prod").chmod(0o600)
    source = folder / "simulated.yml"
    source.write_text(json.dumps(_config("4s", {})))
    flags = ("--config.file", source, "--out", folder / "sim", "--sim.port", 443, "--sim.management-port", 8000)
    async with (
        Machine(folder) as machine,
        machine.serving("simulator", *EXPORTER, "simulate", *flags, ready="Ctrl-C"),
        _prober_on(machine) as client,
    ):
        yield SimulatorHost(machine, folder / "sim" / "ca.pem", client)


@contextlib.asynccontextmanager
async def _prober_on(machine: Machine) -> AsyncIterator[asyncio.subprocess.Process]:
    with (machine.folder / "prober.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *machine.inside(sys.executable, "-W", "error", "-m", "tests.system.network.prober_process"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.stdin.close()
        await process.stdin.wait_closed()
        try:
            await asyncio.wait_for(process.wait(), PATIENCE)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
