"""The messages of SQL Server around a provider's failure.

One table holds meaning, causes and actions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from exporter.core.codes.shared import EVENT_LOG

_CODE_IN_TEXT = "Read the number after `Provider error code:` in the message, and run `ekm-exporter explain` with it."
_VERSIONS = "Compare versions: `SELECT name, version, dll_path FROM sys.cryptographic_providers;`."


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerMessage:
    """One message of SQL Server.

    `number` is not a connector code. Texts follow the rules of `ConnectorError`.
    """

    number: int
    title: str
    summary: str
    causes: tuple[str, ...]
    actions: tuple[str, ...]
    page: str = ""  # of the documentation


_TABLE = (
    ServerMessage(
        number=33027,
        title="Cannot load library",
        summary="SQL Server could not load the connector's DLL. No request was sent to Entra ID or the vault.",
        causes=(
            "The Visual C++ runtime is missing: 2015 for connector 1.0.5.0 on SQL Server 2016 and later, 2013 for older ones.",
            "After an upgrade of the connector, `sys.cryptographic_providers` still has the old path.",
            "The DLL is not at the path in `sys.cryptographic_providers`, or the service account cannot read it.",
        ),
        actions=(
            "Show the path: `SELECT name, dll_path FROM sys.cryptographic_providers;`.",
            "Show the runtimes: `Get-ItemProperty HKLM:\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Uninstall\\*`.",
            "Install the missing runtime, then repeat the statement or start the service again.",
            "If the path is wrong, correct it: `ALTER CRYPTOGRAPHIC PROVIDER [PROVIDER] FROM FILE = 'PATH';`. Then enable it again.",
            "Read the error log: `EXEC sys.sp_readerrorlog 0, 1, N'library';`.",
        ),
        page="docs/connector-upgrade.md",
    ),
    ServerMessage(
        number=33028,
        title="Cannot open session for cryptographic provider",
        summary="SQL Server could not open a session with the provider: sign-in and token. The provider code names the cause.",
        causes=("The provider code in the message names the cause. 3303, a refused secret, is the usual one.",),
        actions=(_CODE_IN_TEXT, "Test the sign-in: `ekm-exporter probe TARGET`."),
    ),
    ServerMessage(
        number=33032,
        title="SQL Crypto API version not supported by the provider",
        summary="The connector's DLL implements another version of SQL Server's crypto interface. SQL Server does not use it.",
        causes=("The connector build does not fit this version of SQL Server.", "A connector upgrade is incomplete."),
        actions=(
            _VERSIONS,
            "Install the connector build for this SQL Server. Then run `ALTER CRYPTOGRAPHIC PROVIDER [PROVIDER] FROM FILE = 'PATH';`.",
            "That disables the provider, so enable it again: `ALTER CRYPTOGRAPHIC PROVIDER [PROVIDER] ENABLE;`.",
        ),
        page="docs/connector-upgrade.md",
    ),
    ServerMessage(
        number=33049,
        title="Key does not exist in the provider or access is denied",
        summary="SQL Server opened the session, but the provider did not return the key. The provider code names the cause.",
        causes=(
            "The provider code in the message names the cause.",
            "2058: the registry key of the connector is missing or not writable. The vault is not the cause.",
        ),
        actions=(_CODE_IN_TEXT, "Test the key: `ekm-exporter probe TARGET`."),
    ),
    ServerMessage(
        number=33067,
        title="Secret must not contain more than 120 characters",
        summary="SECRET of CREATE or ALTER CREDENTIAL is longer than 120 characters. SQL Server rejected the statement.",
        causes=("The string has extra characters, or the client id contains hyphens.",),
        actions=("Join the client id (32 hex digits, no hyphens) and the client secret without blanks or line breaks.",),
    ),
    ServerMessage(
        number=33085,
        title="Methods not found in the provider library",
        summary="The DLL lacks methods that SQL Server requires, so SQL Server does not use it as a provider.",
        causes=("The file is not the connector, or it is damaged.", "A connector upgrade is incomplete."),
        actions=(
            _VERSIONS,
            "Reinstall the connector. Then run `ALTER CRYPTOGRAPHIC PROVIDER [PROVIDER] FROM FILE = 'PATH';`.",
            "`FROM FILE` disables the provider. Enable it again: `ALTER CRYPTOGRAPHIC PROVIDER [PROVIDER] ENABLE;`.",
        ),
        page="docs/connector-upgrade.md",
    ),
    ServerMessage(
        number=33111,
        title="Cannot find server asymmetric key with thumbprint",
        summary="This instance has no asymmetric key with that thumbprint. The message carries no provider code.",
        causes=(
            "The key was never created on this replica or node.",
            "A backup is restored on a server without the key that encrypted it.",
            "The key was created with connector 1.0.4.0, which computes thumbprints differently from 1.0.5.0.",
        ),
        actions=(
            "Compare on all nodes: `SELECT name, thumbprint FROM sys.asymmetric_keys;` in master.",
            "Create the key from the provider with the key version that the database or backup used.",
        ),
        page="docs/connector-upgrade.md",
    ),
    ServerMessage(
        number=37563,
        title="No primary managed identity",
        summary="SQL Server has no primary managed identity, so it cannot sign in with IDENTITY = 'Managed Identity'.",
        causes=("No identity is assigned to the machine, or none is set as the primary one of SQL Server.",),
        actions=(
            "Check that one is assigned: `az vm identity show --resource-group GROUP --name VM`.",
            "Set the primary identity for SQL Server, then restart its service. The page below has the commands.",
        ),
        page="docs/rollover.md",
    ),
    ServerMessage(
        number=37576,
        title="The connector does not support managed identities",
        summary="The installed connector is too old for managed identities. SQL Server cannot open a session.",
        causes=("The connector is older than the build of November 2024 (15.0.2000.440).",),
        actions=(_VERSIONS, "Upgrade the connector, then repeat the statement.", EVENT_LOG),
        page="docs/connector-upgrade.md",
    ),
)
MESSAGES: Mapping[int, ServerMessage] = MappingProxyType({message.number: message for message in _TABLE})
