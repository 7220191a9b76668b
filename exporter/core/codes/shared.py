"""Shared builders and texts: pairs of counterparts, memory rows, common advice."""

from __future__ import annotations

from dataclasses import replace

from exporter.core.codes.model import Category, ConnectorError, Family, Layer, Owner
from exporter.core.codes.readers import for_dba, for_network

# The effect of a key that SQL Server cannot get. docs/what-needs-the-vault.md has the sources.
_CLOCKS = (
    "{}: restores and DBCC CHECKDB fail; open databases still read and write. At the next log file or backup: backups fail, log "
    "backups too, the log grows, and a busy database may lose access. At a restart: databases stay in RECOVERY PENDING."
)
WITHOUT_THE_KEY = _CLOCKS.format("Now")
IF_IN_USE = f"This follows if databases here use a key in the vault. {WITHOUT_THE_KEY}"
FROM_THEN_ON = _CLOCKS.format("From then on")
WHILE_IT_LASTS = f"What needs the key meanwhile may fail. {WITHOUT_THE_KEY}"
# A database, a log file and a backup decrypt the database's key and encrypt none: an assumption, which no page of Microsoft's states.
WITHOUT_WRAP = "No key can be created or rotated. As far as is known, databases, log files and backups need unwrap alone."
NOT_FOR_TONIGHT = "This can wait for working hours."
LESS_WITHOUT_WRAP = f" If only wrap is refused, less fails. {WITHOUT_WRAP}"
_EFFECTS = {Layer.WRAP_KEY: WITHOUT_WRAP, Layer.BACKUP: ""}
WATCH_THE_LOG = "Watch the log space, do not shrink, and start no new backup chain."
DO_NOT_RESTART = for_dba(f"Do not restart or fail over SQL Server until a probe succeeds. {WATCH_THE_LOG}")
# Microsoft's setup page restarts the service after the right on the registry key, when no database is encrypted yet.
RESTART_LATER = (
    "Microsoft's setup page then restarts the SQL Server service. Do it in a planned window, a secondary first, if "
    "`ekm-exporter probe TARGET` succeeds."
)
SET_ONLINE = for_dba(
    "Then, node by node, where a database is in RECOVERY PENDING: `ALTER DATABASE [DB] SET ONLINE;`. In an availability group, "
    "restart that node's service."
)
EVENT_LOG = for_dba(
    "On the SQL Server host, read the preceding lines in the Application log, source "
    "`SQL Server Connector for Microsoft Azure Key Vault`."
)
# `sys.cryptographic_providers.version` is 1.0.5.0 for every build since 2018.
DLL_VERSION = (
    "Show the file version of the DLL: `(Get-Item 'PATH').VersionInfo.FileVersion`. Its path is in `sys.cryptographic_providers`."
)
SUPPORT = for_dba("If the failure persists, open a support request with the request id from `ekm-exporter probe TARGET`.")
SHOW_THE_SERVER = "Show which server responds: `curl -i https://VAULT.vault.azure.net/keys?api-version=7.4`."
FIND_INTERCEPTION = for_dba(
    "Check the issuer of the TLS certificate in the output of `ekm-exporter probe TARGET`: it shows TLS inspection."
)
FIND_DEVICE = for_network("Find the device on the route that rewrites the response, and exempt the vault and Entra ID there.")
REWRITTEN = "A proxy, gateway or security appliance responds instead of the service or rewrites its responses."
NOT_A_VAULT = "The name resolves to a server that is not Key Vault: a wrong private endpoint, a gateway or a test server."
SERVICE_DEFECT = "The service has a defect, usually brief and in one region."


def both_generations(current: int, row: ConnectorError) -> tuple[ConnectorError, ConnectorError]:
    """Return the classic row and the same row under its `current` number."""
    return (
        replace(row, generation=Family.CLASSIC, counterpart=current),
        replace(row, code=current, generation=Family.CURRENT, counterpart=row.code),
    )


def out_of_memory_row(code: int, symbol: str, layer: Layer, doing: str) -> ConnectorError:
    """Build a row about a lack of memory; `doing` completes "while the connector was ..."."""
    return ConnectorError(
        code=code,
        symbol=symbol,
        layer=layer,
        category=Category.RESOURCE,
        owner=Owner.DBA,
        summary=f"The SQL Server process ran out of memory while the connector was {doing}. The vault is not the cause.",
        effect=_EFFECTS.get(layer, WHILE_IT_LASTS),
        causes=(
            "`max server memory (MB)` leaves too little memory outside the buffer pool, which the connector uses.",
            "Other programs on the host use up the memory.",
            "A memory leak in the process grew over a long uptime.",
        ),
        actions=(
            "Show the memory of the process: `SELECT * FROM sys.dm_os_process_memory;`.",
            "Lower `max server memory (MB)` or free memory on the host, then repeat the statement.",
            "If a restart is needed, first make sure that `ekm-exporter probe TARGET` succeeds.",
        ),
        unobservable_because="It concerns the memory of the SQL Server process, which no request from outside can read.",
    )
