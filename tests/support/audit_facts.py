"""The facts of an audit sheet as an exporter returns them."""

from __future__ import annotations

from typing import Any

AT = "2026-11-28T12:00:00.000Z"
VERSION = "cgacf4f763ar42ffb0a1gca546aygd87"
READ: dict[str, Any] = {
    "server": "SQLPRD01 on n1",
    "uses_key": True,
    "read_at": "2026-11-28T11:55:00.000Z",
    "databases": ["sales", "stock"],
    "login": "tde_login",
    "credential": "tde_cred",
    "credential_altered_at": None,
    "state": "proven",
    "proven_at": "2026-11-28T11:00:00.000Z",
    "proven_by": "log_backup",
    "database": "sales",
    "since": "2026-11-28T11:00:00.000Z",
    "codes_since": [],
    "backups_fail": False,
    "closed": [],
    "restart": "ready",
    "restart_missing": None,
    "restart_unwraps": 2,
    "log_files_a_day": 12.0,
    "trace_flag_15025": False,
}
DECLARED: dict[str, Any] = {"server": "SQLPRD02", "ag": "AG7", "read_at": None, "uses_key": None}
DEPENDENTS: dict[str, Any] = {"sql_servers": 2, "read": 1, "unused": 0, "databases": 2, "proven_at": "2026-11-28T11:00:00.000Z"}
EXPIRY: dict[str, Any] = {
    "source": "graph",
    "expires_at": "2026-12-08T12:00:00.000Z",
    "looked_up_at": None,
    "failure": None,
    "wrong": None,
}
CREDENTIAL: dict[str, Any] = {
    "credential": "sql-prod",
    "uses": ["current"],
    "type": "client_secret",
    "tenant_id": None,
    "client_id": "6666",
    "object_id": None,
    "may_expire": True,
    "expiries": [EXPIRY],
}
KEY_VERSION: dict[str, Any] = {
    "version": VERSION,
    "pinned": True,
    "uri": f"https://contoso-prod.vault.azure.net/keys/ContosoRSAKey0/{VERSION}",
    "targets": ["contoso-key0"],
    "thumbprint": "0x2C56",
    "type": "RSA-HSM",
    "size_bits": 3072,
    "enabled": True,
    "not_before": None,
    "expires": "2027-11-28T12:00:00.000Z",
    "read": True,
}
PROBE: dict[str, Any] = {
    "target": "contoso-key0",
    "version": VERSION,
    "credential": "sql-prod",
    "mode": "full",
    "from": "n1",
    "ready": True,
    "not_ready_since": None,
    "last_probe": AT,
    "last_round_trip": "2026-11-28T11:58:00.000Z",
    "last_unwrap": "2026-11-28T11:59:00.000Z",
    "step": None,
    "code": None,
    "symbol": None,
    "reason": None,
}
RECOVERY: dict[str, Any] = {
    "target": "contoso-key0",
    "recovery_vault": "contoso-dr.vault.azure.net",
    "usable": True,
    "last_probe": AT,
    "last_unwrap": "2026-11-28T11:57:00.000Z",
    "backup_on": "2026-11-24",
}
RETAINED: dict[str, Any] = {
    "key": "ContosoRSAKey0/0123",
    "vault": "contoso-prod.vault.azure.net",
    "until": "2033-01-01",
    "usable": True,
    "last_probe": "2026-11-28T11:56:00.000Z",
}


def facts(**changes: Any) -> dict[str, Any]:
    """Return facts in which everything is known."""
    known = {
        "at": AT,
        "exporter": {"version": "1.2.3", "host": "mon1", "vantage": "central"},
        "vault": "contoso-prod.vault.azure.net",
        "key": "ContosoRSAKey0",
        "targets": 1,
        "region": "westeurope",
        "scheduled_purge": None,
        "newest_version": VERSION,
        "versions": [KEY_VERSION],
        "dependents": DEPENDENTS,
        "sql_servers": [READ, DECLARED],
        "credentials": [CREDENTIAL],
        "probes": [PROBE],
        "recovery": [RECOVERY],
        "retained_versions": [RETAINED],
        "tls_certificates": [{"endpoint": "contoso-prod:443", "issuer": "CN=R1", "expires_at": "2027-01-01T00:00:00.000Z"}],
        "requests_in_10_seconds": 500,
        "roles": [{"role": "Owner", "effect": "may assign a role"}],
        "who_may": [{"about": "Roles on the key", "language": "az", "text": "az role assignment list"}],
        "who_did": [{"about": "Who used it", "language": "KQL", "text": "AZKVAuditLogs\n| count"}],
    }
    return known | changes
