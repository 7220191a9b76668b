"""Later runs of the command report moved databases, rotated keys, a refusal and a vault without a target."""

import pytest
import yaml

from exporter.config.load import load_config
from exporter.simulator.build import build_environment, write_config
from exporter.simulator.faults import FaultScope, Options
from exporter.simulator.simulator import Simulator
from tests.support.inventory_command import SECRET, InventoryCommand
from tests.support.values import replace

pytestmark = pytest.mark.asyncio
SERVERS, VAULTS = 60, 20


def version(vault, number):
    return f"{vault + 16:016x}{number + 16:016x}"


def server(number):
    return f"H{number:03}\\SQLPRD01"


def configuration(folder, servers):
    """Two keys in each vault; each SQL Server uses both keys of one vault."""
    (folder / "tde.txt").write_text(SECRET)
    targets = [
        {
            "name": f"vault-{vault:02}-{number}",
            "vault": f"vault-{vault:02}",
            "key": f"Key{number}/{version(vault, number)}",
            "thumbprint": f"0x{vault:02X}{number:02X}" + "AB" * 18,
            "credential": "tde",
            "connector_generation": "current",
            "instances": [{"sql_instance": "SQLPRD01", "host": f"h{one:03}"} for one in range(vault, servers, VAULTS)],
        }
        for vault in range(VAULTS)
        for number in range(2)
    ]
    credentials = {"tde": {"type": "connector_secret", "secret_file": "tde.txt"}}
    (folder / "simulated.yml").write_text(yaml.safe_dump({"credentials": credentials, "targets": targets}))
    config = load_config(folder / "simulated.yml").config
    assert config is not None
    return config


class Workspace(InventoryCommand):
    """The command on each simulated server, with the files that `simulate` writes."""

    def __init__(self, path, simulator, capsys):
        super().__init__(path, capsys)
        self.simulator = simulator
        self.defaults |= {
            "--servers": path / "sim" / "sql-servers.txt",
            "--sql.user": "ekm",
            "--sql.password.file": path / "sim" / "sql-password",
            "--sql.ca.file": path / "sim" / "ca.pem",
            "--sql.timeout": 60,
        }

    def change(self, name, edit):
        state = self.simulator.state
        servers = state.environment.sql_servers
        state.environment = replace(state.environment, sql_servers={**servers, name.lower(): edit(servers[name.lower()])})

    def hosts(self, vault):
        return {target["key"]: [one["host"] for one in target["instances"]] for target in self.targets(vault)}


@pytest.fixture
async def workspace(request, tmp_path, capsys):
    config = configuration(tmp_path, getattr(request, "param", SERVERS))
    async with Simulator(build_environment(config), sql_port=0) as simulator:
        write_config(simulator, config, tmp_path / "sim")
        yield Workspace(tmp_path, simulator, capsys)


def with_databases_of_first_key(one):
    return replace(one, databases=tuple(replace(database, thumbprint=one.keys[0].thumbprint) for database in one.databases))


def with_other_vault(one):
    keys = tuple(replace(key, vault="vault-new.vault.azure.net", identity="vault-new", credential="new") for key in one.keys)
    return replace(one, keys=keys)


async def test_changes_of_servers_are_reported_and_written(workspace):
    output = await workspace.connect(code=0)
    assert f"{SERVERS} instances read, 0 failures; {2 * VAULTS} targets; {VAULTS} files changed" in output
    assert workspace.errors.endswith(f"{SERVERS} of {SERVERS} read, 0 failed\n")
    assert {problem.message for problem in load_config(workspace.config).problems} == {"no such file"}  # the secrets
    workspace.supply_secrets()
    loaded = load_config(workspace.config)
    assert loaded.problems == ()
    assert {warning.path.rpartition(".")[2] for warning in loaded.warnings} == {"expires_on"}  # of the secrets
    assert sum(len(target.instances) for target in loaded.config.targets.values()) == 2 * SERVERS

    workspace.change(server(0), with_databases_of_first_key)
    rotated = [server(number) for number in range(1, SERVERS, VAULTS)]
    for name in rotated:
        workspace.simulator.state.set("sql_databases_moved", FaultScope.SQL, name, Options())
    workspace.change(server(2), with_other_vault)
    workspace.simulator.set_fault("sql_login_refused", sql=server(3))
    workspace.simulator.set_fault("sql_database_added", sql=server(4))
    output = await workspace.connect(code=1)

    assert f"{SERVERS - 1} instances read, 1 failure; {2 * VAULTS + 3} targets; 5 files changed" in output
    assert "+    thumbprint:" in output
    assert "/keys/NotInConfiguration/" in output
    (refused,) = [line for line in workspace.errors.splitlines() if "not read" in line]
    assert f"127.0.0.1,{workspace.simulator.sql.ports[server(3)]}: not read: the login was refused (18456)" in refused
    assert f"Not read this time, kept as last read: {server(3)}" in output
    moved = workspace.hosts("vault-00")
    assert "h000" in moved[f"https://vault-00.vault.azure.net/keys/Key0/{version(0, 0)}"]
    assert "h000" not in moved[f"https://vault-00.vault.azure.net/keys/Key1/{version(0, 1)}"]
    assert not {f"https://vault-01.vault.azure.net/keys/Key0/{version(1, 0)}"} & workspace.hosts("vault-01").keys()
    assert set(map(tuple, workspace.hosts("vault-new").values())) == {("h002",)}
    assert "+++ " + str(workspace.out / "vault-new.yml") in output


@pytest.mark.parametrize("workspace", [VAULTS], indirect=True, ids=["a server for each vault"])
async def test_right_revoked_between_two_runs_removes_no_target(workspace):
    await workspace.connect(code=0)
    files = {file: file.read_text() for file in (workspace.out).glob("*.yml")}
    for right, section in (("VIEW ANY DEFINITION", "keys"), ("VIEW SERVER SECURITY STATE", "encryption")):
        workspace.simulator.state.set("sql_right_missing", FaultScope.SQL, server(0), Options(right=right))
        output = await workspace.connect(code=1)
        assert "no file changed" in output
        assert f"{server(0)}: the section {section} is of " in output
        assert {file: file.read_text() for file in (workspace.out).glob("*.yml")} == files
    workspace.simulator.state.clear()
    assert "is of 2" not in await workspace.connect(code=0)
