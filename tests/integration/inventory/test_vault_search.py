"""The command `inventory --vault.credential`: simulated vaults return the public keys that simulated SQL Servers show."""

from uuid import NAMESPACE_URL, uuid5

import pytest

from exporter.inventory import vault_search
from exporter.simulator.build import build_environment
from exporter.simulator.environment import ALL_OPERATIONS, SimulatedKeyVersion
from exporter.simulator.simulator import Simulator
from exporter.simulator.sql_servers import SqlServers
from tests.support.inventory_command import InventoryCommand, redirected
from tests.support.simulated_sql import DEFAULT, NEW, OLD, configuration
from tests.support.values import replace

pytestmark = pytest.mark.asyncio
VAULT, KEY = "contoso-claims.vault.azure.net", "ClaimsKey"


class Workspace(InventoryCommand):
    """A simulator with a SQL Server whose registry cannot be read, and the command."""

    def __init__(self, path, simulator, servers, capsys):
        super().__init__(path, capsys, content=redirected(path, simulator))
        self._simulator = simulator
        self.defaults |= {
            "--server": f"localhost,{servers.ports[DEFAULT]}",
            "--sql.ca.file": self.write("sql.pem", servers.ca_pem),
            "--sql.user": "ekm",
            "--sql.password.file": self.write("password", servers.password),
        }

    def change_vault(self, edit):
        state = self._simulator.state
        vaults = {**state.environment.vaults, VAULT: edit(state.environment.vaults[VAULT])}
        state.environment = replace(state.environment, vaults=vaults)
        state.clear()  # the vaults with faults are made anew

    def set_versions(self, *versions):
        """Change the versions of the key, the newest last; `material` is the number of the key pair."""

        def edit(vault):
            key = replace(vault.keys[KEY.lower()], versions=versions)
            return replace(vault, keys={**vault.keys, KEY.lower(): key})

        self.change_vault(edit)

    @property
    def version(self):
        """The version that SQL Server uses."""
        return self._simulator.state.environment.vaults[VAULT].keys[KEY.lower()].versions[0]


@pytest.fixture
async def workspace(tmp_path, capsys):
    environment = build_environment(configuration(tmp_path))
    server = replace(environment.sql_servers[DEFAULT.lower()], registry_readable=False)
    environment = replace(environment, sql_servers={DEFAULT.lower(): server})
    async with Simulator(environment) as simulator, SqlServers(simulator.state, pairs=simulator._pairs) as servers:
        yield Workspace(tmp_path, simulator, servers, capsys)


async def test_version_is_found_by_its_public_key(workspace):
    old = workspace.version
    workspace.set_versions(old, SimulatedKeyVersion(version=NEW, material=old.material + 1))
    output = await workspace.connect("--vault.credential", "tde")
    assert f"vault {VAULT}: 2 key versions compared by their public keys; each was found" in output
    assert workspace.keys() == [f"https://{VAULT}/keys/{KEY}/{OLD}"]
    assert "1 target; no file changed" in await workspace.connect()  # the facts keep what was found


async def test_version_among_many_pages_is_found(workspace):
    old = workspace.version
    others = [
        SimulatedKeyVersion(version=uuid5(NAMESPACE_URL, str(number)).hex, material=old.material + 1 + number % 3)
        for number in range(60)
    ]
    workspace.set_versions(old, *others)
    output = await workspace.connect("--vault.credential", "tde")
    assert "61 key versions compared" in output
    assert workspace.keys() == [f"https://{VAULT}/keys/{KEY}/{OLD}"]


async def test_refused_list_is_reported_and_known_names_are_compared(workspace):
    workspace.change_vault(lambda vault: replace(vault, permissions=dict.fromkeys(vault.permissions, ALL_OPERATIONS - {"list"})))
    output = await workspace.connect("--vault.credential", "tde", code=1)
    assert f"vault {VAULT}: 0 key versions compared by their public keys, the newest and the named ones only" in output
    assert "none has that of [ClaimsKey_01234567]" in output
    named = f"targets:\n  - {{name: other, vault: contoso-claims, key: {KEY}/{NEW}, credential: tde}}\n"
    (workspace.path / "other.yml").write_text(named)
    workspace.config.write_text(workspace.config.read_text().replace("targets.d/*.yml", "targets.d/*.yml\n- other.yml"))
    output = await workspace.connect("--vault.credential")  # the credential of that target
    assert "1 key versions compared by their public keys, the newest and the named ones only" in output
    assert workspace.keys() == [f"https://{VAULT}/keys/{KEY}/{OLD}"]


@pytest.mark.parametrize(
    ("break_it", "credential", "reason"),
    [
        (lambda workspace: (workspace.path / "tde.txt").unlink(), "tde", "no such file"),
        (lambda workspace: workspace._simulator.apply("challenge_unavailable", vault=VAULT), "tde", "HTTP 503"),
        (lambda workspace: workspace._simulator.apply("secret_wrong", vault=VAULT), "tde", "AADSTS7000215"),
        (lambda _: None, None, "no target of --config.file names it with a credential: give --vault.credential NAME"),
    ],
    ids=["secret", "vault", "sign-in", "credential"],
)
async def test_vault_that_is_not_reached_is_a_gap(workspace, break_it, credential, reason):
    break_it(workspace)
    output = await workspace.connect("--vault.credential", *([credential] if credential else []), code=1)
    (line,) = [line for line in output.splitlines() if f"vault {VAULT}: 0 key versions compared" in line]
    assert reason in line


async def test_unknown_credential_is_bad_usage(workspace):
    await workspace.connect("--vault.credential", "absent", code=2)
    assert "--vault.credential: --config.file declares no credential absent" in workspace.errors


async def test_search_without_end_is_a_gap(workspace, monkeypatch):
    monkeypatch.setattr(vault_search, "_WHOLE", 0)
    output = await workspace.connect("--vault.credential", "tde", code=1)
    assert "not read to the end within 0 s: run the command again" in output
