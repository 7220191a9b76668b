"""Output of inventory.sql for given rows, as sqlcmd prints it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping

from exporter.sqlserver.document import SECTIONS

Rows = Mapping[str, Iterable[Mapping[str, object]]]
WIDTH = 72
ROOT = r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SQL Server Cryptographic Provider\Azure Key Vault"


def lines_of(name: str, rows: Iterable[Mapping[str, object]]) -> list[str]:
    """Return the lines of one section, as the script makes them."""
    text = json.dumps({"section": name, "rows": list(rows)}, ensure_ascii=False, separators=(",", ":"))
    checksum = hashlib.sha256(text.encode("utf-16-le")).hexdigest().upper()
    whole = text + " " * (WIDTH - len(text) % WIDTH) + f"sha256:{checksum}"
    return [f"|{whole[start : start + WIDTH]}|" for start in range(0, len(whole), WIDTH)]


def sqlcmd(rows: Rows, failing: Mapping[str, str] | None = None) -> str:
    """Return what sqlcmd writes: a header and dashes before each section, CRLF, padded lines.

    `failing` has the messages of sections that the server refuses.
    """
    printed = []
    for name in SECTIONS:
        if name in (failing or {}):
            printed += ["Msg 300, Level 14, State 1, Server N1, Line 2", (failing or {})[name]]
            printed += [
                "Msg 297, Level 16, State 1, Server N1, Line 2",
                "The user does not have permission to perform this action.",
            ]
        else:
            printed += [name, "-" * 74, *(line.ljust(74) for line in lines_of(name, rows.get(name, ())))]
        printed.append("")
    return "\r\n".join(printed)


def reg_query(uris: Mapping[str, str]) -> str:
    """Return what `reg query ROOT /s /v KeyUri` prints for thumbprints and their URIs."""
    blocks = [
        f"{ROOT}\\{uri.split('/keys/')[0]}\\{thumbprint}\r\n    KeyUri    REG_SZ    {uri}\r\n" for thumbprint, uri in uris.items()
    ]
    return "\r\n" + "\r\n".join(blocks) + f"\r\nEnd of search: {len(blocks)} match(es) found.\r\n"


def replacing(**sections: list[dict[str, object]]) -> Callable[[dict[str, list[dict[str, object]]]], None]:
    """Return a change of an instance: it has these rows in these sections."""
    return lambda rows: rows.update(sections)


def altering(section: str, **values: object) -> Callable[[dict[str, list[dict[str, object]]]], None]:
    """Return a change of an instance: the first row of a section has these values."""
    return lambda rows: rows[section][0].update(values)


def rows_of(
    server: str = "N1\\SQLPRD01",
    *,
    vault: str = "contoso-prod",
    databases: Mapping[str, str] | None = None,
    ag: str | None = None,
) -> dict[str, list[dict[str, object]]]:
    """Return the sections of an instance; `databases` has the thumbprint of each."""
    machine, _, instance = server.partition("\\")
    used = {"sales": "0x2C56"} if databases is None else databases
    return {
        "instance": [
            {
                "server_name": server,
                "machine": machine,
                **({"instance_name": instance} if instance else {}),
                "node": machine,
                "product_version": "16.0.4105.2",
                "platform": "windows",
                "may_view_definitions": 1,
                "may_view_databases": 1,
                "read_at_utc": "2026-11-26T20:00:00",
            }
        ],
        "providers": [{"name": "AzureKV", "version": "1.0.5.0", "dll_path": "C:\\x.dll", "is_enabled": 1}],
        "modules": [{"provider": "AzureKV", "file_version": "15.0.2000.440"}],
        "credentials": [{"name": "tde_cred", "identity": vault, "provider": "AzureKV", "modified_utc": "2026-01-02T03:04:05"}],
        "keys": [
            {
                "name": f"key_{mark[2:]}",
                "thumbprint": mark,
                "public_key": f"0xAA{mark[2:]}",
                "provider": "AzureKV",
                "has_sid": 1,
                "login": "tde_login",
                "credential": "tde_cred",
            }
            for mark in sorted(set(used.values()))
        ],
        "logins": [],
        "encryption": [
            {"database": name, "encryption_state": 3, "encryptor_type": "ASYMMETRIC KEY", "thumbprint": mark}
            for name, mark in used.items()
        ],
        "databases": [
            {"name": name, "state": "ONLINE", "is_encrypted": 1, "in_group": int(ag is not None), **({"ag": ag} if ag else {})}
            for name in used
        ],
        "replicas": [{"ag": ag, "server_name": server}] if ag else [],
        "configurations": [{"name": "EKM provider enabled", "value": 1, "value_in_use": 1}],
        "start": [{"started_utc": "2026-11-01T00:00:00"}],
        "nodes": [],
    }
