"""What `run` knows of a SQL Server, for tests: an encrypted database with backups, errors and a log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from exporter.sqlserver.document import Document
from exporter.sqlserver.reading import SqlServerReading
from tests.support.sql_inventory import rows_of
from tests.support.values import replace

READ_AT = datetime(2026, 11, 26, 20, 0, 0, tzinfo=UTC).timestamp()
STARTED = "2026-11-01T00:00:00"
HOUR = 3600.0


def unix(text: str) -> float:
    """Return the Unix time of a time in UTC without a zone."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def proof_rows(*databases: str) -> dict[str, list[dict[str, Any]]]:
    """Return the sections of proof.sql for databases with a healthy log and backups of today."""
    return {
        "service": [{"started_utc": STARTED}],
        "history": [{"newest_id": 4711}],
        "opened": [
            {
                "database": name,
                "opened_utc": "2026-11-01T00:00:10",
                "set_utc": "2026-01-05T09:00:00",
                "encryption_state": 3,
                "percent_complete": 0,
            }
            for name in databases
        ],
        "backups": [
            {
                "database": name,
                "type": kind,
                "started_utc": f"2026-11-26T{hour}:00:00",
                "finished_utc": f"2026-11-26T{hour}:05:00",
                "gaps": 9,
                "longest_seconds": gap,
                "second_seconds": gap,
            }
            for name in databases
            for kind, hour, gap in (("D", "01", 86400), ("I", "13", 86400), ("L", "19", 3600))
        ],
        "logs": [
            {
                "database": name,
                "vlf_sequence_number": 4711,
                "vlf_count": 16,
                "vlf_mb": 64,
                "total_kb": 1_048_576,
                "used_kb": 102_400,
                "since_backup_kb": 51_200,
                "log_backup_utc": "2026-11-26T19:05:00",
                "limit_kb": 2_097_152,
                "volume": f"L:\\{name}\\",
                "disk_free_kb": 10_485_760,
                "reuse_wait": "NOTHING",
            }
            for name in databases
        ],
        "flags": [{"flag": 15025, "is_on": 0}],
        "errors": [{"code": "other", "lines": 0}],
        "log": [{"since_utc": "2026-10-20T00:00:00", "until_utc": "2026-11-26T20:00:00"}],
        "loaded": [{"provider": "AzureKV", "provider_version": "1.0.5.0", "friendly_name": "Azure Key Vault"}],
    }


def changes_of(
    rows: dict[str, list[dict[str, Any]]], *, node: str = "n1", since: str = "2026-10-20T00:00:00"
) -> list[dict[str, Any]]:
    """Return what the exporter keeps of things without a time of their own."""
    seen = {"node": node, "since_utc": since, "first": 1}
    return [
        *({"what": "provider", "name": each["name"], "value": "p", **seen} for each in rows.get("providers", ())),
        *({"what": "dll", "name": each["provider"], "value": "d", **seen} for each in rows.get("modules", ())),
        {"what": "option", "name": "EKM provider enabled", "value": "1", **seen},
        *({"what": "mapping", "name": each["thumbprint"], "value": "m", **seen} for each in rows.get("keys", ())),
        *({"what": "signers", "name": each["name"], "value": "s", **seen} for each in rows.get("providers", ())),
        {"what": "start", "name": "start", "value": "", **seen, "since_utc": STARTED},
    ]


def sections_of(*databases: str, **sections: list[dict[str, Any]] | None) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of every section of a reading; `sections` replaces some, None leaves one out."""
    names = databases or ("sales",)
    rows = rows_of("N1\\SQLPRD01", databases=dict.fromkeys(names, "0x2C56"))
    rows["credentials"][0]["created_utc"] = "2026-01-02T03:04:05"
    changed = {**rows, **proof_rows(*names), "changes": changes_of(rows), **sections}
    return {name: found for name, found in changed.items() if found is not None}


def a_reading(*databases: str, address: str = "n1\\SQLPRD01", sections: Any = None, **changes: Any) -> SqlServerReading:
    """Return a reading of SQLPRD01 on n1, of `READ_AT`.

    `sections` replaces the rows of sections; None leaves a section out.
    """
    rows = sections_of(*databases, **(sections or {}))
    document = Document(address=address, sections={name: tuple(found) for name, found in rows.items()})
    known: dict[str, Any] = {
        "sql_instance": "SQLPRD01",
        "host": "n1",
        "attempted_at": READ_AT,
        "document": document,
        "read_at": dict.fromkeys(rows, READ_AT),
        "clock_behind": 0.0,
    }
    return SqlServerReading(address=address, **(known | changes))


def with_growing_logs(reading: SqlServerReading) -> SqlServerReading:
    """Return the reading with one of five minutes before, when each log was smaller by 1 MiB."""
    rows = reading.document.sections["logs"]
    sizes = ("total_kb", "used_kb", "since_backup_kb")
    earlier = tuple({**row, **{size: int(row[size]) - 1024 for size in sizes}, "vlf_sequence_number": 4710} for row in rows)
    return replace(reading, earlier_logs=(reading.attempted_at - 300.0, earlier))


def an_unread_server(address: str = "n1\\SQLPRD01", **changes: Any) -> SqlServerReading:
    """Return a SQL Server that was never read."""
    known: dict[str, Any] = {"sql_instance": "", "host": "", "attempted_at": READ_AT, "failure": "does not answer"}
    return SqlServerReading(address=address, **(known | changes))


# SQL Server's own calls, of a session that runs since the morning.
SESSION: dict[str, str | int] = {
    "started_utc": "2026-11-26T06:00:00",
    "dropped": 0,
    "is_filtered": 0,
    "is_delayed": 0,
    "file": r"C:\Log\x_0_134.xel",
    "error_log": r"C:\Log\ERRORLOG",
}


def a_call(
    first: str, *, last: str = "", function: str = "SqlCryptDecrypt", code: str = "0", calls: int = 1, provider: str = "AzureKV"
) -> dict[str, str | int]:
    """Return the row of calls of one function at a time of the day of `READ_AT`."""
    times = {"first_utc": f"2026-11-26T{first}", "last_utc": f"2026-11-26T{last or first}"}
    return {"function": function, "code": code, "provider": provider, "calls": calls, **times}


def an_event(time: str, *, function: str = "SqlCryptDecrypt", code: int | str = 0, provider: str = "AzureKV") -> str:
    """Return the XML of an event, as SQL Server writes it."""
    return (
        f'<event name="sec_ekm_provider_called" package="sqlserver" timestamp="2026-11-26T{time}.250Z">'
        f'<data name="cred_prov_result"><type name="int32" package="package0"></type><value>{code}</value><text></text></data>'
        f'<data name="cred_prov_name"><value><![CDATA[{provider}]]></value></data>'
        f'<data name="cred_prov_api"><value><![CDATA[{function}]]></value></data></event>'
    )
