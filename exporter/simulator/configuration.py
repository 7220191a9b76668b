"""Between the exporter's configuration and the simulator: what it names is served, and a copy of it points here.

For: writing the copy that `run` can be given, and all that `run` needs beside it.
Not for: making the estate (see `builder`), reading YAML (see `exporter.config`), nor breaking anything.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from exporter.config import dump_yaml
from exporter.config.model import Config, CredentialKind
from exporter.simulator.builder import SERVICE_ACCOUNT, build_environment, first_of
from exporter.simulator.simulator import Simulator

__all__ = ["build_environment", "exporter_variables", "redirect_config", "write_config"]

_TOKEN_FILE = "service-account-token"  # noqa: S105 - a file's name
_ASKED_OF_THE_HOST = (CredentialKind.MANAGED_IDENTITY, CredentialKind.DEFAULT)


def redirect_config(simulator: Simulator, config: Config, ca_file: Path) -> Config:
    """The same configuration with `connect_to` and `tls.ca_file` set in every module."""
    connect_to = simulator.connect_to
    modules = {
        name: replace(module, ca_file=ca_file, connect_to={**module.connect_to, **connect_to})
        for name, module in config.modules.items()
    }
    return replace(config, modules=modules)


def write_config(simulator: Simulator, config: Config, out: Path) -> Path:
    """Writes `out`/ca.pem and `out`/ekm.yml and returns the path of the latter. Raises OSError.

    Where a credential is the host's or the pod's identity, also `out`/environment, one NAME=value a line; and for the
    pod's, `out`/service-account-token, good for a day from now.
    """
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    _write(out / "ca.pem", simulator.ca_pem)
    head = "# Written by the simulator: everything in here leads to loopback. Good for this one run of it.\n"
    _write(out / "ekm.yml", (head + dump_yaml(redirect_config(simulator, config, out / "ca.pem"))).encode())
    if first_of(config, CredentialKind.WORKLOAD_IDENTITY) is not None:
        _write(out / _TOKEN_FILE, simulator.service_accounts.issue(*SERVICE_ACCOUNT).encode(), mode=0o600)
    environment = exporter_variables(simulator, config, out)
    if environment:
        _write(out / "environment", "".join(f"{name}={value}\n" for name, value in environment.items()).encode())
    return out / "ekm.yml"


def exporter_variables(simulator: Simulator, config: Config, out: Path) -> dict[str, str]:
    """The variables with which the exporter has to be started, none where no credential is the host's or the pod's identity."""
    found: dict[str, str] = {}
    if first_of(config, *_ASKED_OF_THE_HOST) is not None:
        found |= {"IDENTITY_ENDPOINT": simulator.identity_url, "IDENTITY_HEADER": "any"}
    pod = first_of(config, CredentialKind.WORKLOAD_IDENTITY)
    if pod is not None:
        tenant, client_id = simulator.state.home_of(pod.name)
        found |= {"AZURE_TENANT_ID": tenant, "AZURE_CLIENT_ID": client_id}
        found["AZURE_FEDERATED_TOKEN_FILE"] = str(out.resolve() / _TOKEN_FILE)
    return found


def _write(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Puts the file in place at once: the exporter may be reading it."""
    fresh = path.with_name(path.name + ".new")
    fresh.touch(mode=mode)
    fresh.write_bytes(content)
    fresh.replace(path)
