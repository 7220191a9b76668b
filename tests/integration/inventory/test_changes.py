"""Later runs of the command report moved databases, rotated keys, a refusal and a vault without a target."""

import asyncio
import os
import sys
from dataclasses import replace

import pytest
import yaml

from exporter.config import load_config
from exporter.simulator import Simulator
from exporter.simulator.configuration import build_environment
from exporter.simulator.faults import Options, Scope

pytestmark = pytest.mark.asyncio
SERVERS, VAULTS = 12, 4
SECRET = "0123456789abcdef0123456789abcdef" + "a-secret"


def version(vault, number):
    return f"{vault + 16:016x}{number + 16:016x}"


def server(number):
    return f"H{number:03}\\SQLPRD01"


def configuration(folder):
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
            "instances": [{"sql_instance": "SQLPRD01", "host": f"h{one:03}"} for one in range(vault, SERVERS, VAULTS)],
        }
        for vault in range(VAULTS)
        for number in range(2)
    ]
    credentials = {"tde": {"type": "connector_secret", "secret_file": "tde.txt"}}
    (folder / "simulated.yml").write_text(yaml.safe_dump({"credentials": credentials, "targets": targets}))
    config = load_config(folder / "simulated.yml").config
    assert config is not None
    return config


class Workspace:
    """A folder with a list of servers and a configuration without targets, and the command in a process of its own."""

    def __init__(self, path, simulator):
        self.path, self.simulator = path, simulator
        self.config = path / "ekm.yml"
        self.config.write_text("global: {interval: 60s, vantage: sql_host}\ninclude: [targets.d/*.yml]\n")
        (path / "ca.pem").write_bytes(simulator.sql.ca_pem)
        (path / "password").write_text(simulator.sql.password)
        (path / "password").chmod(0o600)
        (path / "servers.txt").write_text("".join(f"localhost,{port}\n" for port in simulator.sql.ports.values()))

    async def run(self, *, code):
        flags = {
            "--servers": self.path / "servers.txt",
            "--sql.user": "ekm",
            "--sql.password.file": self.path / "password",
            "--sql.ca.file": self.path / "ca.pem",
            "--sql.timeout": 60,
            "--out": self.path / "targets.d",
            "--config.file": self.config,
        }
        words = [str(word) for flag in flags.items() for word in flag]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "exporter", "inventory", *words, stdout=-1, stderr=-1, env={**os.environ, "EKM_DEBUG": "1"}
        )
        output, errors = await process.communicate()
        assert process.returncode == code, errors.decode()
        self.errors = errors.decode().splitlines()
        return output.decode()

    def supply_secrets(self):
        (self.path / "secrets").mkdir(exist_ok=True)
        for file in (self.path / "targets.d").glob("*.yml"):
            for credential in (yaml.safe_load(file.read_text()).get("credentials") or {}).values():
                secret = file.parent / credential["secret_file"]
                secret.touch(mode=0o600)
                secret.write_text(SECRET)

    def change(self, name, edit):
        state = self.simulator.state
        servers = state.environment.sql_servers
        state.environment = replace(state.environment, sql_servers={**servers, name.lower(): edit(servers[name.lower()])})

    def keys(self, vault):
        targets = yaml.safe_load((self.path / "targets.d" / f"{vault}.yml").read_text())["targets"]
        return {target["key"]: [one["host"] for one in target["instances"]] for target in targets}


@pytest.fixture
async def workspace(tmp_path):
    async with Simulator(build_environment(configuration(tmp_path)), sql_port=0) as simulator:
        yield Workspace(tmp_path, simulator)


def with_databases_of_first_key(one):
    return replace(one, databases=tuple(replace(database, thumbprint=one.keys[0].thumbprint) for database in one.databases))


def with_other_vault(one):
    keys = tuple(replace(key, vault="vault-new.vault.azure.net", identity="vault-new", credential="new") for key in one.keys)
    return replace(one, keys=keys)


async def test_changes_of_servers_are_reported_and_written(workspace):
    output = await workspace.run(code=0)
    assert f"{SERVERS} instances read, 0 failures; 8 targets; 4 files changed" in output
    assert workspace.errors[-1] == f"{SERVERS} of {SERVERS} read, 0 failed"
    assert {problem.message for problem in load_config(workspace.config).problems} == {"no such file"}  # the secrets
    workspace.supply_secrets()
    loaded = load_config(workspace.config)
    assert loaded.problems == ()
    assert {warning.path.rpartition(".")[2] for warning in loaded.warnings} == {"expires_on"}  # of the secrets
    assert sum(len(target.instances) for target in loaded.config.targets.values()) == 2 * SERVERS

    workspace.change(server(0), with_databases_of_first_key)
    rotated = [server(number) for number in range(1, SERVERS, VAULTS)]
    for name in rotated:
        workspace.simulator.state.set("sql_databases_moved", Scope.SQL, name, Options())
    workspace.change(server(2), with_other_vault)
    workspace.change(server(3), lambda one: replace(one, refuses_login=True))
    output = await workspace.run(code=1)

    assert f"{SERVERS - 1} instances read, 1 failure; 10 targets; 4 files changed" in output
    (refused,) = [line for line in workspace.errors if "not read" in line]
    assert f"localhost,{workspace.simulator.sql.ports[server(3)]}: not read: the login was refused (18456)" in refused
    assert f"Not read this time, kept as last read: {server(3)}" in output
    moved = workspace.keys("vault-00")
    assert "h000" in moved[f"https://vault-00.vault.azure.net/keys/Key0/{version(0, 0)}"]
    assert "h000" not in moved[f"https://vault-00.vault.azure.net/keys/Key1/{version(0, 1)}"]
    assert not {f"https://vault-01.vault.azure.net/keys/Key0/{version(1, 0)}"} & workspace.keys("vault-01").keys()
    assert set(map(tuple, workspace.keys("vault-new").values())) == {("h002",)}
    assert "+++ " + str(workspace.path / "targets.d" / "vault-new.yml") in output


async def test_right_revoked_between_two_runs_removes_no_target(workspace):
    await workspace.run(code=0)
    files = {file: file.read_text() for file in (workspace.path / "targets.d").glob("*.yml")}
    for right, section in (("VIEW ANY DEFINITION", "keys"), ("VIEW SERVER SECURITY STATE", "encryption")):
        workspace.simulator.state.set("sql_right_missing", Scope.SQL, server(0), Options(right=right))
        output = await workspace.run(code=1)
        assert "no file changed" in output
        assert f"{server(0)}: the section {section} is of " in output
        assert {file: file.read_text() for file in (workspace.path / "targets.d").glob("*.yml")} == files
    workspace.simulator.state.clear()
    assert "is of 2" not in await workspace.run(code=0)
