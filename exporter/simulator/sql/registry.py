"""The registry of the host: `xp_regenumkeys` and `xp_regread` on the connector's key, and their variants `xp_instance_...`."""

from __future__ import annotations

import re

from exporter.simulator.sql.response import ResultSet, SimulatedMessage
from exporter.simulator.sql_model import SimulatedSqlServer

ROOT = r"SOFTWARE\Microsoft\SQL Server Cryptographic Provider\Azure Key Vault"
_CALL = re.compile(
    r"EXEC(?:UTE)? (?:\[?master\]?\.)?(?:\[?(?:dbo|sys)\]?\.)?\[?(xp_(?:instance_)?reg(?:enumkeys|read))\]? (.*)", re.IGNORECASE
)
_ARGUMENT = re.compile(r"(?:@\w+ ?= ?)?N?'([^']*)'")
_MISSING = "{}() returned error 2, 'The system cannot find the file specified.'"
_DENIED = "The EXECUTE permission was denied on the object '{}', database 'mssqlsystemresource', schema 'sys'."


def registry_result(plain: str, server: SimulatedSqlServer) -> tuple[ResultSet, ...] | SimulatedMessage | None:
    """Return the result of a registry call, None for any other statement."""
    call = _CALL.fullmatch(plain)
    if call is None:
        return None
    procedure, arguments = call[1].lower(), _ARGUMENT.findall(call[2])
    if not server.registry_readable:
        return SimulatedMessage(229, _DENIED.format(procedure), level=14)
    _, path, name, *_ = [*arguments, "", "", ""]
    found = _tree(server).get(path.strip("\\").lower())
    if found is None:
        return SimulatedMessage(22001, _MISSING.format("RegOpenKeyEx"), level=1)
    subkeys, uri = found
    if procedure.endswith("enumkeys"):
        return (ResultSet(("SubKey",), tuple((one,) for one in subkeys)),)
    if uri is None or name.lower() != "keyuri":
        return SimulatedMessage(22001, _MISSING.format("RegQueryValueEx"), level=1)
    return (ResultSet(("Value", "Data"), ((name, uri),)),)


def _tree(server: SimulatedSqlServer) -> dict[str, tuple[list[str], str | None]]:
    """Return the subkeys and the URI of each path, in lower case."""
    vaults: dict[str, list[str]] = {}
    tree: dict[str, tuple[list[str], str | None]] = {}
    for key in server.keys:
        vault = f"https://{key.vault}"
        vaults.setdefault(vault, []).append(key.thumbprint)
        tree[f"{ROOT}\\{vault}\\{key.thumbprint}".lower()] = ([], key.uri)
    tree |= {f"{ROOT}\\{vault}".lower(): (marks, None) for vault, marks in vaults.items()}
    return tree | {ROOT.lower(): (list(vaults), None)}
