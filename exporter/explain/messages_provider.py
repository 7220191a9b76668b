"""Messages of SQL Server about the key provider: its DLL, its session and its credential."""

from __future__ import annotations

from exporter.core.checks.host import SHOW_RUNTIME
from exporter.core.codes.shared import DLL_VERSION, EVENT_LOG, IF_IN_USE
from exporter.explain.known_text import KnownText

READ_CODE = "Read the number after `Provider error code:` in the message, and run `ekm-exporter explain` with it."
REGISTER = "Register the DLL: `ALTER CRYPTOGRAPHIC PROVIDER [PROVIDER] FROM FILE = 'PATH';`. That disables the provider."
ENABLE = "Enable the provider: `ALTER CRYPTOGRAPHIC PROVIDER [PROVIDER] ENABLE;`."
_OPTION = "EXEC sp_configure 'EKM provider enabled', 1; RECONFIGURE;"
_TEST_SIGN_IN = "Test the sign-in: `ekm-exporter probe TARGET`."
_LIST = "Show the providers: `SELECT name, is_enabled, dll_path FROM sys.cryptographic_providers;`."
_SHOW_LOGINS = "Show which login has which credential: `SELECT * FROM sys.server_principal_credentials;`."
_REWRITE = (
    "Write the credential again: `ALTER CREDENTIAL [CRED] WITH IDENTITY = 'VAULT', SECRET = 'STRING';`. "
    "STRING is the client id without hyphens, then the secret's value."
)
_HALF_UPGRADE = "A connector upgrade is incomplete."
_UNKNOWN_CODE = "The provider code in the message names the cause."


def _coded_message(number: int, title: str, pattern: str, summary: str) -> KnownText:
    """Build a message whose provider code names the cause."""
    return KnownText(
        number=number,
        title=title,
        pattern=pattern,
        summary=f"{summary} The provider code names the cause.",
        causes=(_UNKNOWN_CODE,),
        actions=(READ_CODE, "Test the vault side: `ekm-exporter probe TARGET`.", EVENT_LOG),
        has_code=True,
    )


PROVIDER_MESSAGES: tuple[KnownText, ...] = (
    KnownText(
        number=33027,
        title="Cannot load library",
        pattern="cannot load library",
        summary="SQL Server could not load the connector's DLL. No request was sent to Entra ID or the vault.",
        effect=IF_IN_USE,
        causes=(
            "The Visual C++ runtime is missing: 2015 for connector 1.0.5.0 on SQL Server 2016 and later, 2013 for older ones.",
            "After an upgrade of the connector, `sys.cryptographic_providers` still has the old path.",
            "The DLL is not at the path in `sys.cryptographic_providers`, or the service account cannot read it.",
        ),
        actions=(
            _LIST,
            f"Show the runtimes: `{SHOW_RUNTIME}`.",
            (
                "Download Visual C++ 2015 (https://www.microsoft.com/download/details.aspx?id=48145), or 2013 with id=40784 there. "
                "Install it, then repeat the statement. Start the service again only if its encrypted databases are closed."
            ),
            f"If the path is wrong: {REGISTER[0].lower()}{REGISTER[1:]}",
            ENABLE,
            "Read the error log: `EXEC sys.sp_readerrorlog 0, 1, N'library';`.",
        ),
    ),
    KnownText(
        number=33028,
        title="Cannot open session for cryptographic provider",
        pattern="cannot open session for",
        summary="SQL Server could not open a session with the provider: sign-in and token. The provider code names the cause.",
        causes=("The provider code in the message names the cause. 3303, a refused secret, is the usual one.",),
        actions=(READ_CODE, _TEST_SIGN_IN),
        has_code=True,
    ),
    _coded_message(
        33022,
        "Cannot obtain the provider's properties",
        "cannot obtain cryptographic provider properties",
        "SQL Server loaded the provider and could not read its properties.",
    ),
    _coded_message(
        33029,
        "Cannot initialize cryptographic provider",
        "cannot initialize cryptographic provider",
        "SQL Server loaded the provider's DLL, and its start failed.",
    ),
    KnownText(
        number=33030,
        title="Cryptographic provider is not available",
        pattern="cryptographic provider is not available",
        summary="SQL Server does not have the provider at hand: it is not registered, not loaded or disabled.",
        effect=IF_IN_USE,
        causes=("The provider is disabled, or its DLL was not loaded since the start of the service.", _HALF_UPGRADE),
        actions=(_LIST, ENABLE, "Read the error log: `EXEC sys.sp_readerrorlog 0, 1, N'provider';`."),
    ),
    KnownText(
        number=33031,
        title="Cryptographic provider is disabled",
        pattern="cryptographic provider [^\n]{0,140} is in disabled",
        summary="The provider is registered and disabled, so SQL Server cannot use the keys in the vault.",
        effect=IF_IN_USE,
        causes=("`ALTER CRYPTOGRAPHIC PROVIDER` with `FROM FILE` or DISABLE ran, and ENABLE did not.",),
        actions=(ENABLE, _LIST),
    ),
    KnownText(
        number=33057,
        title="Cryptographic provider is now disabled",
        pattern="cryptographic provider is now disabled",
        summary="The provider was disabled. Open sessions still use it; every later request for a key fails.",
        effect=IF_IN_USE,
        causes=("`ALTER CRYPTOGRAPHIC PROVIDER` with `FROM FILE` or DISABLE ran.",),
        actions=(ENABLE, _LIST),
    ),
    KnownText(
        number=33032,
        title="SQL Crypto API version not supported by the provider",
        pattern="sql crypto api version",
        summary="The connector's DLL implements another version of SQL Server's crypto interface. SQL Server does not use it.",
        causes=("The connector build does not fit this version of SQL Server.", _HALF_UPGRADE),
        actions=(DLL_VERSION, "Install the connector build for this SQL Server.", REGISTER, ENABLE),
    ),
    KnownText(
        number=33081,
        title="The signature of the DLL could not be verified",
        pattern="authenticode signature",
        summary="SQL Server could not verify the signature of the connector's DLL, or did not find the DLL, so it does not load it.",
        effect=IF_IN_USE,
        causes=(
            "The file is damaged, or it is not Microsoft's connector.",
            "The path in `sys.cryptographic_providers` is wrong.",
            "Windows on this host lacks the authority that signed the DLL, or cannot check its revocation.",
        ),
        actions=(
            "Show the signature: `Get-AuthenticodeSignature 'PATH' | Format-List`.",
            _LIST,
            "Reinstall the connector (https://www.microsoft.com/download/details.aspx?id=45344).",
        ),
    ),
    KnownText(
        number=33082,
        title="Cannot find cryptographic provider library with that guid",
        pattern="cryptographic provider library with guid",
        summary="The statement or a key names a provider by its guid, and this instance has no such provider loaded.",
        causes=(
            "The provider was never created on this instance: a new server, another node, or a restore elsewhere.",
            "The provider was dropped, or another vendor's DLL is registered.",
            "The option `EKM provider enabled` is 0, or the DLL could not be loaded.",
        ),
        actions=(
            "Show the guids of this instance: `SELECT name, guid, is_enabled, dll_path FROM sys.cryptographic_providers;`.",
            f"Turn the option on: `{_OPTION}`.",
            "If the provider is missing: `CREATE CRYPTOGRAPHIC PROVIDER [PROVIDER] FROM FILE = 'PATH';`.",
            "Then create credential, asymmetric key and login as on the other nodes.",
        ),
    ),
    KnownText(
        number=33085,
        title="Methods not found in the provider library",
        pattern="methods cannot be found in cryptographic provider library",
        summary="The DLL lacks methods that SQL Server requires, so SQL Server does not use it as a provider.",
        causes=("The file is not the connector, or it is damaged.", _HALF_UPGRADE),
        actions=(DLL_VERSION, "Reinstall the connector.", REGISTER, ENABLE),
    ),
    KnownText(
        number=33053,
        title="EKM is disabled or not supported",
        pattern="extensible key management is disabled or not supported",
        summary="SQL Server does not use any key provider, so it cannot use the keys in the vault.",
        causes=("The option `EKM provider enabled` is 0.", "The edition of SQL Server has no EKM."),
        actions=(
            "Show the option: `SELECT value, value_in_use FROM sys.configurations WHERE name = 'EKM provider enabled';`.",
            f"Turn it on: `EXEC sp_configure 'show advanced options', 1; RECONFIGURE; {_OPTION}`.",
            "Show the edition: `SELECT SERVERPROPERTY('Edition');`.",
        ),
    ),
    KnownText(
        number=33054,
        title="Extensible key management is not supported in this edition",
        pattern="extensible key management is not supported in this edition",
        summary="This edition of SQL Server has no EKM, so databases with a key in the vault cannot open here.",
        causes=("A database or its backup came from an edition with EKM, or the edition was changed.",),
        actions=("Show the edition: `SELECT SERVERPROPERTY('Edition');`.", "Restore the database on an edition with EKM."),
    ),
    KnownText(
        number=33055,
        title="Exception in the cryptographic provider",
        pattern="exception happened when calling cryptographic provider",
        summary="The connector's DLL failed inside SQL Server, and the process that called it ended. The vault is not the direct cause.",
        causes=("The Visual C++ runtime has the wrong version.", _HALF_UPGRADE, "A defect in the connector build."),
        actions=(EVENT_LOG, DLL_VERSION, "Reinstall the connector with its Visual C++ runtime."),
        codes=(7,),
    ),
    KnownText(
        number=33046,
        title="The login has no credential for the provider",
        pattern="has no credential associated with",
        summary="SQL Server signs in with the credential of the key's login, and this login has none.",
        causes=("`ALTER LOGIN ... ADD CREDENTIAL` did not run for this login.", "The credential is assigned to another login."),
        actions=(_SHOW_LOGINS, "Assign it: `ALTER LOGIN [EKM_LOGIN] ADD CREDENTIAL [CRED];`."),
    ),
    KnownText(
        number=33047,
        title="Fail to obtain or decrypt the secret of a credential",
        pattern="obtain or decrypt secret for",
        summary=(
            "SQL Server could not decrypt the secret that it stores with the credential. It sent no request to Entra ID or the vault."
        ),
        causes=(
            "The service master key changed: master was restored elsewhere, or the key was regenerated with FORCE.",
            "The service account was changed without SQL Server Configuration Manager.",
            "The credential has IDENTITY = 'Managed Identity', and this SQL Server does not support that for EKM.",
        ),
        actions=(
            "With IDENTITY = 'Managed Identity', change no secret. Compare the builds: 2022 CU17 and the connector of November 2024.",
            "Test the string of a secret first, in the exporter's secret file: `ekm-exporter probe TARGET`.",
            _REWRITE,
            "Do the same for every other credential and linked server: their secrets are lost too.",
        ),
    ),
    KnownText(
        number=33095,
        title="Service Master Key could not be decrypted using one of its encryptions",
        pattern="service master key could not be decrypted",
        summary=(
            "SQL Server stores its service master key twice: for the service account and for the computer. One of the two could not be "
            "decrypted at the start. The other one usually serves. If both fail, SQL Server cannot read the secret of any credential."
        ),
        causes=(
            "The service account was changed without SQL Server Configuration Manager.",
            "The instance runs on another node or computer, or master was restored from another one.",
            "On Linux, the account `mssql` cannot read `/var/opt/mssql/secrets`.",
        ),
        actions=(
            "Search for message 33047: `EXEC sys.sp_readerrorlog 0, 1, N'decrypt secret';`. Without it, no secret is lost.",
            "With it, restore the backup of the service master key: `RESTORE SERVICE MASTER KEY`.",
            f"Without a backup: {_REWRITE[0].lower()}{_REWRITE[1:]}",
        ),
    ),
    KnownText(
        number=33067,
        title="Secret must not contain more than 120 characters",
        pattern="can not contain more than 120 characters",
        summary="SECRET of CREATE or ALTER CREDENTIAL is longer than 120 characters. SQL Server rejected the statement.",
        causes=("The string has extra characters, or the client id contains hyphens.",),
        actions=("Join the client id (32 hex digits, no hyphens) and the client secret without blanks or line breaks.",),
    ),
    KnownText(
        number=37563,
        title="No primary managed identity",
        pattern="primary managed identity is not se",
        summary="SQL Server has no primary managed identity, so it cannot sign in with IDENTITY = 'Managed Identity'.",
        causes=("No identity is assigned to the machine, or none is set as the primary one of SQL Server.",),
        actions=(
            "Check that one is assigned: `az vm identity show --resource-group GROUP --name VM`.",
            "Give the identity User.Read.All, GroupMember.Read.All and Application.Read.All of Microsoft Graph first.",
            "On an Azure VM, run the commands below. On Arc, select the primary identity in the portal, at the SQL Server's settings.",
            "Then restart the SQL Server service, if the databases that are open do not depend on this vault.",
        ),
        commands=(
            "az vm identity assign --resource-group GROUP --name VM",
            "az sql vm validate-azure-ad-auth --resource-group GROUP --name VM",
            "az sql vm enable-azure-ad-auth --resource-group GROUP --name VM",
        ),
    ),
    KnownText(
        number=37576,
        title="The connector does not support managed identities",
        pattern="connector version [^\n]{0,60} does not support the managed identity",
        summary="The installed connector is too old for managed identities. SQL Server cannot open a session.",
        causes=("The DLL is older than the build of November 2024, file version 15.0.2000.440.",),
        actions=(
            DLL_VERSION,
            "Do not compare `version` in the catalog: it is 1.0.5.0 for every build since 2018.",
            "Upgrade the connector (https://www.microsoft.com/download/details.aspx?id=45344), then repeat the statement.",
            EVENT_LOG,
        ),
    ),
)
