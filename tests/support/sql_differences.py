"""A difference between the configuration and a SQL Server, for tests."""

from __future__ import annotations

from typing import Any

from exporter.sqlserver.differences import Difference

_KEY = "https://contoso-prod.vault.azure.net/keys/TdeKey/"
URI, PINNED = _KEY + "a" * 32, _KEY + "b" * 32


def a_difference(**changes: Any) -> Difference:
    """Return target `sales` that pins another version than SQLPRD01 on n1 uses."""
    known: dict[str, Any] = {
        "kind": "other_version",
        "sql_instance": "SQLPRD01",
        "host": "n1",
        "target": "sales",
        "other": "claims",
        "thumbprint": "0x2C56",
        "key_uri": URI,
        "databases": ("hr", "sales"),
        "pinned": PINNED,
    }
    return Difference(**(known | changes))
