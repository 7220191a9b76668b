"""Texts that the connector writes to the event log without a code of the table."""

from __future__ import annotations

from exporter.core.codes.shared import DO_NOT_RESTART, EVENT_LOG, RESTART_LATER
from exporter.core.connector_registry import GRANT_RIGHT, REGISTRY_KEY, SHOW_RIGHTS
from exporter.explain.known_text import KnownText

_ENTRIES = rf'Show the entries: `reg query "HKLM\{REGISTRY_KEY}" /s`.'
REGISTRY_ACTIONS = (
    "Find the service account: `SELECT servicename, service_account FROM sys.dm_server_services;`.",
    f"For the connector's registry key, show who has rights: `{SHOW_RIGHTS}`.",
    "Without Full Control for that account, run the commands of `ekm-exporter explain 2058` on every node, as an administrator.",
    RESTART_LATER,
)


def _registry(number: str, cause: str) -> KnownText:
    """Build the text for one error of Windows, or for any other if `number` is empty."""
    return KnownText(
        title="The connector cannot access its registry key" + (f": Windows error {number}" if number else ""),
        pattern="error (?:when )?accessing (?:the )?registry" + (rf"\W{{1,3}}(?:{number}|0x8007000{number})\b" if number else ""),
        summary=(
            "The connector could not read or write its Windows registry key. The number is an error of Windows, not a provider code. "
            "SQL Server shows 2058 for it."
        ),
        causes=(cause,),
        actions=REGISTRY_ACTIONS,
        codes=(2058,),
        commands=GRANT_RIGHT,
    )


CONNECTOR_TEXTS: tuple[KnownText, ...] = (
    _registry(
        "5", "Access is denied: the service account lacks Full Control of the key, for example after a change of the account."
    ),
    _registry("2", "The key is missing on this host or node."),
    _registry("", "The number is another error of Windows. Print its text: `certutil -error` with the number."),
    KnownText(
        title="The registry has no entry for the thumbprint",
        pattern="cannot find key with thumbprint in registry",
        summary=(
            "This host has no registry entry that maps the key's thumbprint to its URL, so the connector does not know which key to use. "
            "SQL Server shows 2053 for it."
        ),
        causes=(
            "Another node created the key: after a failover without a registry checkpoint, or on a rebuilt host.",
            "The key was created with connector 1.0.4.0, which writes no entries.",
        ),
        actions=(
            _ENTRIES,
            "Copy the missing entry from a working node: `reg export` there, `reg import` here. On a cluster, add a checkpoint.",
            "Or drop the asymmetric key on this node and create it again from the same key version.",
            DO_NOT_RESTART,
        ),
        codes=(2053,),
    ),
    KnownText(
        title="No KeyUri for this key: the connector decodes the key name from the thumbprint",
        pattern="cannot find key uri in registry",
        summary=(
            "The registry of this host has no `KeyUri` for the key, so the connector reads the key's name from the thumbprint, as 1.0.4.0 "
            "did. If the databases open, no action is needed."
        ),
        causes=(
            "The key was created with connector 1.0.4.0 or older: expected.",
            "The entry is missing on this host, and the key was created with 1.0.5.0. Then 2053 follows.",
        ),
        actions=(
            "Check whether encrypted databases are open: `SELECT name, state_desc FROM sys.databases;`.",
            _ENTRIES,
            "If the entry exists on another node only: `reg export` there, `reg import` here.",
        ),
        codes=(2053,),
    ),
    KnownText(
        title="The connector could not read the key before it encrypted",
        pattern="failed to get key info from azure key vault for thumbprint verification",
        summary="Before it wraps, the connector reads the key again to compare the thumbprint. That request failed.",
        causes=(
            "The identity may not read the key (`get`).",
            "The key or its version was deleted.",
            "The vault could not be reached.",
        ),
        actions=("Test the steps one by one: `ekm-exporter probe TARGET`.", EVENT_LOG),
    ),
    KnownText(
        title="The connector has no session with the vault",
        pattern="akv client hasn.?t been initialized",
        summary="The connector was called before a sign-in succeeded. An earlier line shows the cause.",
        causes=("The session could not be opened (message 33028): secret, tenant, network or Entra ID.",),
        actions=(EVENT_LOG, "Test the sign-in: `ekm-exporter probe TARGET`."),
    ),
    KnownText(
        title="The connector has no text for its error",
        pattern="error code is missing a error message",
        summary="The connector failed with a number for which it has no text. The numbers of the same event have the cause.",
        causes=("A failure that its authors did not foresee, or a build that is newer than its texts.",),
        actions=("Explain the number after `Error:` in the same event: `ekm-exporter explain`.", EVENT_LOG),
    ),
    KnownText(
        title="Windows has no texts for the connector's events",
        pattern=r"description for event id \d+ from source .{0,10}sql server connector",
        summary="The message file of the connector is not registered, so Windows shows the bare strings of the event. This is no failure.",
        causes=("The connector was copied instead of installed, or the log is read on another computer.",),
        actions=(
            "Read the strings below this text: explain the number after `Error:`.",
            "Reinstall the connector to register the file.",
        ),
    ),
)
