"""An exporter process with TLS and passwords, a simulator process, and the metrics of the exporter."""

import asyncio
import contextlib
import json
import ssl
import sys
from dataclasses import dataclass

import aiohttp
import bcrypt
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.support.patience import PATIENCE
from tests.system.endurance.fleet import output
from tests.system.prometheus.servers import running
from tests.unit.web.authority import authority
from tests.unit.web.serving import basic

TARGETS = tuple(f"target-{number}" for number in range(6))
USERS = ("prometheus", "replica")
PASSWORD = "MARKED-password-of-prometheus"
SECRET = "MARKED~client.secret_8Q-9w_0123456789"
INTERVAL = 2.0


def configuration():
    return {
        "global": {"interval": "2s", "timeout": "1s", "min_interval": "1s", "connector_generation": "classic"},
        "credentials": {
            "sql": {
                "type": "client_secret", "tenant_id": "5f2a9c1e-0b7d-4c36-9e58-3a1d7c2b8f40", "expires_on": "2099-01-01",
                "client_id": "2b8e4d70-6c1f-4a95-8d23-9f0e5b7a1c64", "client_secret_file": "secret",
            }
        },
        "targets": [
            {
                "name": name, "vault": name, "key": "TdeKey/0123456789abcdef0123456789abcd01", "credential": "sql",
                "labels": {"team": "<script>alert(1)</script>"},
            }
            for name in TARGETS
        ],
    }  # fmt: skip


def write(path, text, mode=0o600):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


@dataclass
class Exporter:
    """A running exporter: its port on loopback, its process id and its simulator's, and the file of its output."""

    port: int
    pid: int
    simulator: int
    log: object
    session: aiohttp.ClientSession

    async def get(self, path, **headers):
        """Status and text of a response to a client with the right password."""
        headers = {"Authorization": basic("prometheus", PASSWORD), **headers}
        async with self.session.get(f"https://127.0.0.1:{self.port}{path}", headers=headers, allow_redirects=False) as answer:
            return answer.status, await answer.text()

    async def numbers(self):
        """Every sample of `/metrics`, by name and labels."""
        status, text = await self.get("/metrics")
        assert status == 200, text
        families = text_string_to_metric_families(text)
        return {(one.name, *sorted(one.labels.items())): one.value for family in families for one in family.samples}


def tls():
    return ssl.create_default_context(cadata=authority().pem.decode())


@contextlib.asynccontextmanager
async def exporter(folder):
    """Run both processes. Yields after the first probe of every target."""
    write(folder / "secret", SECRET)
    source = write(folder / "source.yml", json.dumps(configuration()))
    certificate, key = authority().server()
    write(folder / "server.pem", certificate)
    write(folder / "server.key", key)
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(10)).decode()
    locked = {
        "tls_server_config": {"cert_file": "server.pem", "key_file": "server.key"},
        "basic_auth_users": dict.fromkeys(USERS, hashed),
    }
    web = write(folder / "web.yml", yaml.safe_dump(locked))
    program = (sys.executable, "-m", "exporter")
    ports = ("--sim.port", "0", "--sim.management-port", "0")
    async with contextlib.AsyncExitStack() as stack:
        simulator = folder / "simulator.log"
        simulating = await stack.enter_async_context(
            running(simulator, *program, "simulate", "--config.file", source, "--out", folder / "sim", *ports)
        )
        await output(simulator, r"management port: (http://\S+)")
        log = folder / "exporter.log"
        flags = ("--config.file", folder / "sim" / "ekm.yml", "--web.config.file", web, "--web.listen-address", "127.0.0.1:0")
        process = await stack.enter_async_context(running(log, *program, "run", *flags))
        port = int(await output(log, r"url=https://127\.0\.0\.1:(\d+)"))
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls())))
        found = Exporter(port, process.pid, simulating.pid, log, session)
        async with asyncio.timeout(PATIENCE):
            while (await found.get("/-/ready"))[0] != 200:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
        yield found
