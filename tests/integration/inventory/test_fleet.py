"""300 simulated SQL Servers over 40 vaults: one command writes the configuration, and later runs report what changed."""

import asyncio
import subprocess
import sys

import pytest

from exporter.config import load_config
from exporter.simulator import Simulator
from exporter.simulator.configuration import build_environment, write_config
from tests.support.simulated_sql import OLD, configuration

pytestmark = pytest.mark.asyncio
VAULTS, SERVERS = 40, 300
SECRET = "00000000000000000000000000000001" + "marked-secret"


def fleet():
    """Each vault has one key, which protects the databases of seven or eight servers of one availability group."""
    lines = [
        "credentials: {tde: {type: connector_secret, secret_file: tde.txt}}",
        "target_defaults: {credential: tde, connector_generation: current}",
        "targets:",
    ]
    for vault in range(VAULTS):
        members = range(vault, SERVERS, VAULTS)
        instances = ", ".join(f"{{sql_instance: PRD{number:03}, host: n{number}, ag: AG{vault}}}" for number in members)
        lines.append(f"  - {{name: t{vault}, vault: contoso-{vault:02}, key: Key/{OLD}, instances: [{instances}]}}")
    return "\n".join(lines)


@pytest.fixture
async def simulator(tmp_path):
    config = configuration(tmp_path, fleet())
    async with Simulator(build_environment(config), sql_port=0) as simulator:
        write_config(simulator, config, tmp_path / "sim")
        (tmp_path / "inventory.yml").write_text("global: {interval: 60s, vantage: sql_host}\ninclude: [targets.d/*.yml]\n")
        yield simulator


@pytest.fixture
def inventory(tmp_path):
    """Run the command on every server; return its exit code, output and errors."""
    sim = tmp_path / "sim"
    access = ["--sql.user", "ekm", "--sql.password.file", sim / "sql-password", "--sql.ca.file", sim / "ca.pem"]
    files = ["--servers", sim / "sql-servers.txt", "--out", tmp_path / "targets.d", "--config.file", tmp_path / "inventory.yml"]
    command = [sys.executable, "-m", "exporter", "inventory", *files, *access]

    async def run():
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=300, check=False)
        return done.returncode, done.stdout, done.stderr

    return run


async def test_one_command_writes_a_valid_configuration(simulator, inventory, tmp_path):
    code, output, errors = await inventory()
    assert (code, f"{SERVERS} instances read, 0 failures; {VAULTS} targets" in output) == (0, True), output[-2000:] + errors

    for credential in range(VAULTS):
        secret = tmp_path / "secrets" / f"contoso-{credential:02}-tde"
        secret.parent.mkdir(exist_ok=True)
        secret.touch(mode=0o600)
        secret.write_text(SECRET)
    loaded = load_config(tmp_path / "inventory.yml")
    assert loaded.config is not None
    assert sum(len(target.instances) for target in loaded.config.targets.values()) == SERVERS
    assert [one for one in loaded.warnings if "the expiry of the secret is unknown" not in str(one)] == []

    simulator.set_fault("sql_databases_moved", sql="N0\\PRD000")
    simulator.set_fault("sql_database_added", sql="N1\\PRD001")
    simulator.set_fault("sql_login_refused", sql="N2\\PRD002")
    code, output, errors = await inventory()
    assert f"{SERVERS - 1} instances read, 1 failure; {VAULTS + 2} targets" in output
    assert "+    thumbprint:" in output
    assert "/keys/NotInConfiguration/" in output
    assert "Not read this time, kept as last read: N2\\PRD002" in output
    assert "the login was refused (18456)" in errors
