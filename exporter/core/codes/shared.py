"""What several rows have in common: twins, rows about memory, and advice that many rows repeat.

Not for: a text that only one row needs.
"""

from __future__ import annotations

from dataclasses import replace

from exporter.core.codes.model import Category, ConnectorError, Family, Layer, Owner

DO_NOT_RESTART = "Until a probe succeeds, do not restart or fail over SQL Server: its encrypted databases would not open."
EVENT_LOG = (
    "On the SQL Server host, read the Application log, source `SQL Server Connector for Microsoft Azure Key Vault`: "
    "the lines just before carry the detail."
)
SUPPORT = "If it stays, open a support request with the request id that `ekm-exporter probe TARGET` prints."
LOOK_AT_THE_ANSWER = "See what really answers: `curl -i https://VAULT.vault.azure.net/keys?api-version=7.4`."
FIND_INTERCEPTION = "Check who signs the TLS certificate on the way: `ekm-exporter probe TARGET` shows what the handshake met."
REWRITTEN = "A proxy, gateway or security appliance on the way answers in the service's place or rewrites its answers."
NOT_A_VAULT = "The name leads to something that is no Key Vault: a wrong private endpoint, a gateway, a test double."
SERVICE_DEFECT = "A defect of the service, usually in one region and short."


def both_generations(current: int, row: ConnectorError) -> tuple[ConnectorError, ConnectorError]:
    """The classic row as given, and the same under its `current` number: one text, two codes."""
    return (
        replace(row, generation=Family.CLASSIC, counterpart=current),
        replace(row, code=current, generation=Family.CURRENT, counterpart=row.code),
    )


def out_of_memory(code: int, symbol: str, layer: Layer, doing: str) -> ConnectorError:
    """A row about memory; `doing` completes "memory ran out while the connector was ..."."""
    return ConnectorError(
        code=code,
        symbol=symbol,
        layer=layer,
        category=Category.RESOURCE,
        owner=Owner.DBA,
        summary=f"Memory ran out in the SQL Server process while the connector was {doing}. The vault is not at fault.",
        causes=(
            "`max server memory (MB)` leaves too little for code outside the buffer pool, where the connector allocates.",
            "Other programs on the host use up the memory.",
            "A leak in the process, building up over a long uptime.",
        ),
        actions=(
            "Look at the process: `SELECT * FROM sys.dm_os_process_memory;`.",
            "Lower `max server memory (MB)` or free memory on the host, then repeat the statement.",
            "If only a restart helps, first make sure that `ekm-exporter probe TARGET` succeeds.",
        ),
        unobservable_because="The memory is that of the SQL Server process; nothing outside the host can see it run short.",
    )
