"""Write the files with which the exporter uses the simulator.

The files are a configuration with the simulator's addresses and the CA file. For the host's or pod's identity there are
also its variables and token.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from exporter.config.settings import Config, SecretSource, SqlServer, dump_yaml
from exporter.core.model import CredentialKind
from exporter.simulator.builder import SERVICE_ACCOUNT, build_environment, find_credential
from exporter.simulator.simulator import Simulator
from exporter.simulator.sql.servers import USER

__all__ = ["build_environment", "exporter_variables", "redirect_config", "simulated_sql_servers", "write_config"]

_TOKEN_FILE = "service-account-token"  # noqa: S105 - a file's name
SQL_SERVERS, SQL_PASSWORD = "sql-servers.txt", "sql-password"
_HOST_KINDS = (CredentialKind.MANAGED_IDENTITY, CredentialKind.DEFAULT)


def redirect_config(simulator: Simulator, config: Config, ca_file: Path) -> Config:
    """Return the configuration with `connect_to` and `tls.ca_file` in every module."""
    connect_to = simulator.connect_to
    modules = {
        name: replace(module, ca_file=ca_file, connect_to={**module.connect_to, **connect_to})
        for name, module in config.modules.items()
    }
    return replace(config, modules=modules)


def simulated_sql_servers(simulator: Simulator, out: Path) -> dict[str, SqlServer]:
    """Return the section `sql_servers`: one entry for each that is served. The real ones are left alone."""
    if simulator.sql is None:
        return {}
    password = SecretSource(file=out / SQL_PASSWORD)
    entries = []
    for name, port in simulator.sql.ports.items():
        server = simulator.sql.server(name)
        entry = SqlServer(address=f"127.0.0.1,{port}", user=USER, password=password, ca_file=out / "ca.pem")
        entries.append(replace(entry, sql_instance=server.sql_instance, host=server.host or None))
    return {entry.address: entry for entry in entries}


def write_config(simulator: Simulator, config: Config, out: Path) -> Path:
    """Write `out`/ca.pem and `out`/ekm.yml, and return the path of the latter.

    If a credential is the host's or the pod's identity, also write `out`/environment with one NAME=value a line. For the
    pod's identity, also write `out`/service-account-token, which is valid for a day. If SQL Servers are served, also write
    `out`/sql-servers.txt, an address for each, and `out`/sql-password. Raises OSError.
    """
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    _write(out / "ca.pem", simulator.ca_pem)
    head = "# Written by the simulator. Every address leads to loopback. Valid for one run of the simulator.\n"
    redirected = replace(redirect_config(simulator, config, out / "ca.pem"), sql_servers=simulated_sql_servers(simulator, out))
    _write(out / "ekm.yml", (head + dump_yaml(redirected)).encode())
    if find_credential(config, CredentialKind.WORKLOAD_IDENTITY) is not None:
        _write(out / _TOKEN_FILE, simulator.service_accounts.issue(*SERVICE_ACCOUNT).encode(), mode=0o600)
    variables = exporter_variables(simulator, config, out)
    if variables:
        _write(out / "environment", "".join(f"{name}={value}\n" for name, value in variables.items()).encode())
    if simulator.sql is not None:
        _write(out / SQL_PASSWORD, simulator.sql.password.encode(), mode=0o600)
        lines = (f"127.0.0.1,{port}  # {name}\n" for name, port in simulator.sql.ports.items())
        _write(out / SQL_SERVERS, "".join(lines).encode())
    return out / "ekm.yml"


def exporter_variables(simulator: Simulator, config: Config, out: Path) -> dict[str, str]:
    """Return the environment variables for an exporter that uses the simulator.

    The result is empty if no credential is the host's or the pod's identity.
    """
    found: dict[str, str] = {}
    if find_credential(config, *_HOST_KINDS) is not None:
        found |= {"IDENTITY_ENDPOINT": simulator.identity_url, "IDENTITY_HEADER": "any"}
    pod = find_credential(config, CredentialKind.WORKLOAD_IDENTITY)
    if pod is not None:
        tenant, client_id = simulator.state.locate_application(pod.name)
        found |= {"AZURE_TENANT_ID": tenant, "AZURE_CLIENT_ID": client_id}
        found["AZURE_FEDERATED_TOKEN_FILE"] = str(out.resolve() / _TOKEN_FILE)
    return found


def _write(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Replace the file in one step: the exporter may read it at any time."""
    fresh = path.with_name(path.name + ".new")
    fresh.touch(mode=mode)
    fresh.write_bytes(content)
    fresh.replace(path)
