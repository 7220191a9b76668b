"""The registry of the host: `xp_instance_regenumkeys` and `xp_instance_regread` on the connector's key."""

from __future__ import annotations

import re

from exporter.simulator.sql.response import ResultSet, SqlMessage
from exporter.simulator.sql_model import SqlServer

ROOT = r"SOFTWARE\Microsoft\SQL Server Cryptographic Provider\Azure Key Vault"
_CALL = re.compile(
    r"EXEC(?:UTE)? (?:\[?master\]?\.)?(?:\[?(?:dbo|sys)\]?\.)?\[?xp_(?:instance_)?reg(enumkeys|read|enumvalues)\]? (.*)",
    re.IGNORECASE,
)
_ARGUMENT = re.compile(r"(?:@\w+ ?= ?)?N?'([^']*)'")


def registry_result(plain: str, server: SqlServer) -> tuple[ResultSet, ...] | SqlMessage | None:
    """Return the result of a registry call, None for any other statement."""
    call = _CALL.fullmatch(plain)
    if call is None:
        return None
    kind, arguments = call[1].lower(), _ARGUMENT.findall(call[2])
    if not server.registry_readable:
        name = f"xp_instance_reg{kind}"
        return SqlMessage(
            229,
            f"The EXECUTE permission was denied on the object '{name}', database 'mssqlsystemresource', schema 'sys'.",
            level=14,
        )
    path = arguments[1].strip("\\").lower() if len(arguments) > 1 else ""
    if kind == "enumkeys":
        return (_subkeys(path, server),)
    return (_values(path, server),)


def _entries(server: SqlServer) -> dict[str, dict[str, str]]:
    """Return the URI of each thumbprint by the subkey of its vault."""
    vaults: dict[str, dict[str, str]] = {}
    for key in server.keys:
        vaults.setdefault(f"https://{key.vault}", {})[key.thumbprint] = key.uri
    return vaults


def _subkeys(path: str, server: SqlServer) -> ResultSet:
    below = path.removeprefix(ROOT.lower()).strip("\\")
    entries = _entries(server)
    if not path.startswith(ROOT.lower()):
        names: list[str] = []
    else:
        names = [name for vault, uris in entries.items() if vault.lower() == below for name in uris] if below else list(entries)
    return ResultSet(("SubKey",), tuple((name,) for name in names))


def _values(path: str, server: SqlServer) -> ResultSet:
    for vault, uris in _entries(server).items():
        for thumbprint, uri in uris.items():
            if path == f"{ROOT}\\{vault}\\{thumbprint}".lower():
                return ResultSet(("Value", "Data"), (("KeyUri", uri),))
    return ResultSet(("Value", "Data"))
