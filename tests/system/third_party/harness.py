"""The simulator at the real host names on an isolated machine, and two clients that other people wrote."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.patience import PATIENCE
from tests.system.network.harness import ENTRA, EXPORTER, HERE, VAULT
from tests.system.network.namespaces import Machine

PACKAGES = Path(__file__).parents[3] / ".cache" / "tools" / "node_modules"
NAME, OLDEST, OLDER, NEWEST = "TdeKey", "a" * 32, "b" * 32, "c" * 32
TENANT, CLIENT = "5f2a9c1e-0b7d-4c36-9e58-3a1d7c2b8f40", "2b8e4d70-6c1f-4a95-8d23-9f0e5b7a1c64"
SECRET = "MARKED-secret"
HSM = "contoso.managedhsm.azure.net"
MANAGEMENT = "http://127.0.0.1:8000"
CONFIG = {
    "credentials": {
        "sql-prod": {"type": "client_secret", "tenant_id": TENANT, "client_id": CLIENT, "client_secret_file": "sql-prod"}
    },
    "targets": [
        {
            "name": "contoso",
            "credential": "sql-prod",
            "vault": "contoso",
            "key": f"{NAME}/{NEWEST}",
            "retained_versions": [{"key": f"{NAME}/{old}"} for old in (OLDEST, OLDER)],
        },
        {"name": "hsm", "credential": "sql-prod", "vault": HSM, "key": f"{NAME}/{NEWEST}"},
    ],
}

_KEY = {"tenant": TENANT, "client": CLIENT, "secret": SECRET, "vault": VAULT, "key": NAME, "version": NEWEST}


class Worker:
    """A process that turns lines of JSON into lines of JSON."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process, self._log = process, log

    async def send(self, **request: Any) -> dict[str, Any]:
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        await self._process.stdin.drain()
        line = await asyncio.wait_for(self._process.stdout.readline(), PATIENCE)
        assert line, self._log.read_text()
        return json.loads(line)


@dataclass(frozen=True)
class Clients:
    """`azure_sdk` and `mongodb` make round trips against the simulator with the faults that are set."""

    machine: Machine
    ca_file: Path
    node: Worker
    python: Worker

    async def azure_sdk(self, *steps: str, algorithm: str = "RSA-OAEP-256", **key: str) -> dict[str, Any]:
        """`key` can name another `vault` and `version`."""
        return await self.node.send(**_KEY | key, steps=steps, algorithm=algorithm)

    async def mongodb(self, **key: str) -> dict[str, Any]:
        return await self.python.send(**_KEY | key, ca_file=str(self.ca_file))

    async def program(self, code: str) -> str:
        """The output of a program for Node.js, with the application in its environment."""
        path = self.machine.folder / "app.cjs"
        path.write_text(code)
        application = {"AZURE_TENANT_ID": TENANT, "AZURE_CLIENT_ID": CLIENT, "AZURE_CLIENT_SECRET": SECRET}
        environment = {**application, "NODE_EXTRA_CA_CERTS": self.ca_file, "NODE_PATH": PACKAGES}
        status, out, err = await self.machine.run(
            "env", *(f"{name}={value}" for name, value in environment.items()), "node", path
        )
        assert status == 0, err
        return out

    async def requests(self, operation: str, status: int) -> int:
        """The number of requests to the vault of this kind with this status so far."""
        counts = (await self.python.send(method="GET", path=f"{MANAGEMENT}/sim/requests"))["requests"]
        found = {"host": VAULT, "operation": operation, "status": status}
        return sum(row["count"] for row in counts if row.items() >= found.items())

    async def break_(self, **fault: Any) -> None:
        await self.python.send(method="POST", path=f"{MANAGEMENT}/sim/fault", body=fault)

    async def repair(self) -> None:
        await self.python.send(method="DELETE", path=f"{MANAGEMENT}/sim/fault")


@contextlib.asynccontextmanager
async def third_party_clients(folder: Path) -> AsyncIterator[Clients]:
    """A machine with the simulator on port 443, and both clients on it."""
    if not (PACKAGES / "@azure" / "identity").is_dir():
        pytest.fail("the JavaScript SDK is missing: ./dev tools")
    (folder / "sql-prod").write_text(SECRET + "\n")
    (folder / "sql-prod").chmod(0o600)
    source, out = folder / "simulated.yml", folder / "sim"
    source.write_text(json.dumps(CONFIG))
    flags = ("--config.file", source, "--out", out, "--sim.port", 443, "--sim.management-port", 8000)
    ca_file = out / "ca.pem"
    async with Machine(folder) as machine:
        machine.set_hosts({VAULT: HERE, HSM: HERE, ENTRA: HERE})
        script = Path(__file__).with_name("azure_sdk.cjs")
        async with (
            machine.serving("simulator", *EXPORTER, "simulate", *flags, ready="Ctrl-C"),
            _worker(machine, "node", "env", f"NODE_EXTRA_CA_CERTS={ca_file}", "node", script, PACKAGES) as node,
            _worker(machine, "python", sys.executable, "-W", "error", "-m", "tests.system.third_party.process") as python,
        ):
            yield Clients(machine, ca_file, node, python)


@contextlib.asynccontextmanager
async def _worker(machine: Machine, name: str, *command: object) -> AsyncIterator[Worker]:
    path = machine.folder / f"{name}.log"
    with path.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *machine.inside(*command), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log
        )
    try:
        yield Worker(process, path)
    finally:
        process.stdin.close()
        with contextlib.suppress(ConnectionError):
            await process.stdin.wait_closed()
        try:
            await asyncio.wait_for(process.wait(), PATIENCE)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
