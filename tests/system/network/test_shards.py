"""The shards of one host, started by the commands of the systemd units and the pages, behind a real Prometheus.

They have their documented ports, on a machine of their own.
"""

import asyncio
import json
import re
import shlex
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_asyncio

from tests.support.patience import PATIENCE
from tests.system.network.harness import EXPORTER
from tests.system.network.namespaces import Machine

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

ROOT = Path(__file__).parents[3]
SYSTEMD = ROOT / "deploy" / "systemd"
UNIT, TARGET = ((SYSTEMD / f"ekm-exporter{end}").read_text() for end in ("@.service", ".target"))
SCRAPES = (ROOT / "deploy" / "prometheus" / "ekm-shards.yml").read_text().replace("exporter-a", "127.0.0.1")
NUMBER = re.search(
    r"^echo (EKM_SHARDS=(\d+)) > /etc/ekm-exporter/shards$", (ROOT / "docs" / "install.md").read_text(), re.MULTILINE
)
NAMES = [f"contoso-key{number}" for number in range(12)]
CONFIG = """
global: {interval: 1h, connector_generation: classic, vantage: sql_host}
credentials:
  sql-prod:
    type: client_secret
    tenant_id: 11111111-2222-3333-4444-555555555555
    client_id: 66666666-7777-8888-9999-000000000000
    client_secret_file: ${CREDENTIALS_DIRECTORY}/sql-prod
targets:
"""


def setting(name: str, index: str) -> list[str]:
    """Return a command of the unit as systemd would run it for the shard, with `$` of the shell."""
    line = re.search(rf"^{name}=(.+)$", UNIT, re.MULTILINE)[1]
    number = line.replace("%i", index).replace("${EKM_SHARDS}", NUMBER[2]).replace("$$", "$")
    return shlex.split(number)


async def simulate(machine: Machine, stack: AsyncExitStack) -> str:
    """Start the simulator; return the URL of its management port."""
    (machine.folder / "sql-prod").write_text("planted-secret")
    (machine.folder / "sql-prod").chmod(0o600)
    target = "  - {{name: {0}, vault: vault-{0}, key: Key/0123456789abcdef0123456789abcdef, credential: sql-prod}}\n"
    (machine.folder / "ekm.yml").write_text(CONFIG + "".join(target.format(name) for name in NAMES))
    files = ("--config.file", machine.folder / "ekm.yml", "--out", machine.folder / "sim", "--sim.management-port", 10400)
    command = ("env", f"CREDENTIALS_DIRECTORY={machine.folder}", *EXPORTER, "simulate", *files)
    await stack.enter_async_context(machine.serving("simulator", *command, ready="management port"))
    return "http://127.0.0.1:10400"


async def start(machine: Machine, stack: AsyncExitStack, index: str) -> None:
    """Start a shard as its unit does, unless its condition skips it."""
    code, _, _ = await machine.run("env", NUMBER[1], *setting("ExecCondition", index))
    if code == 0:
        _, *flags = setting("ExecStart", index)
        places = {"/etc/ekm-exporter/": f"{machine.folder}/sim/", "/var/lib/": f"{machine.folder}/"}
        for place, folder in places.items():
            flags = [flag.replace(place, folder) for flag in flags]
        await stack.enter_async_context(machine.serving(f"shard-{index}", *EXPORTER, *flags, ready="msg=listening"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Machine, str]]:
    """A machine with all shards and Prometheus, and the management port of the simulator."""
    async with Machine(tmp_path_factory.mktemp("host")) as machine, AsyncExitStack() as stack:
        management = await simulate(machine, stack)
        for index in re.findall(r"ekm-exporter@(\d+)\.service", TARGET):
            await start(machine, stack, index)
        (machine.folder / "prometheus.yml").write_text("global: {scrape_interval: 1s}\n" + SCRAPES)
        files = (f"--config.file={machine.folder}/prometheus.yml", f"--storage.tsdb.path={machine.folder}/data")
        flags = (*files, "--web.listen-address=127.0.0.1:9090")
        ready = "Server is ready to receive web requests"
        await stack.enter_async_context(machine.serving("prometheus", "prometheus", *flags, ready=ready))
        yield machine, management


async def queried(machine: Machine, expression: str) -> list[dict]:
    return json.loads(await machine.fetch(f"http://127.0.0.1:9090/api/v1/query?query={quote(expression)}"))["data"]["result"]


async def eventually(machine: Machine, expression: str, length: int) -> list[dict]:
    async with asyncio.timeout(PATIENCE):
        while len(result := await queried(machine, expression)) < length:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.2)
    return result


async def test_each_target_is_shown_by_one_of_all_scraped_shards(host):
    machine, _ = host
    shown = await eventually(machine, "ekm_target_info", len(NAMES))
    assert sorted(series["metric"]["target"] for series in shown) == sorted(NAMES)
    instances = [f"127.0.0.1:{10377 + index}" for index in range(int(NUMBER[2]))]
    assert sorted({series["metric"]["instance"] for series in shown}) == instances
    assert sorted(series["metric"]["instance"] for series in await queried(machine, 'up{job="ekm"} == 1')) == instances


async def test_no_vault_is_probed_twice(host):
    """A busy machine may lose a probe, which is due again in an hour; every shard has made one."""
    machine, management = host
    await eventually(machine, "count by (instance) (ekm_probes_total == 1)", int(NUMBER[2]))
    rows = json.loads(await machine.fetch(f"{management}/sim/requests"))["requests"]
    unwrapped = {row["host"]: row["count"] for row in rows if row["operation"] == "unwrapKey"}
    assert {*unwrapped} <= {f"vault-{name}.vault.azure.net" for name in NAMES}
    assert {*unwrapped.values()} == {1}
