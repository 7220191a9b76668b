"""The 146 codes of the SQL Server Connector: one table by layer, and its lookups.

For: `CODES`, in code order, and finding rows. Codes and symbols are the connector's; the texts are this product's.
Not for: choosing the code of a failure (see `classify`), or printing rows (see `explain.explanation`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from exporter.knowledge.code_row import (
    ADD_CHECKPOINT,
    DLL_VERSION,
    EVENT_LOG,
    GRANT_RIGHT,
    IF_IN_USE,
    REGISTRY_KEY,
    RESTART_LATER,
    SERVICE_DEFECT,
    SET_ONLINE,
    WHILE_IT_LASTS,
    WITHOUT_THE_KEY,
    WRITE_SECRET,
    Category,
    ConnectorError,
    Family,
    Layer,
    Owner,
    for_dba,
    generations,
    out_of_memory_row,
)
from exporter.knowledge.codes_http import HTTP_CONNECTION, HTTP_STATUS, NAME_AND_RETRY
from exporter.knowledge.codes_steps import CHALLENGE, CREDENTIAL, GET_KEY, TOKEN_STEP, WRAP_UNWRAP

if TYPE_CHECKING:  # `explain` is quicker without it
    from exporter.core.values import Generation

# Codes 0 to 7 of SQL Server's engine, and two HTTP statuses.

_engine = partial(ConnectorError, layer=Layer.ENGINE)
ENGINE: tuple[ConnectorError, ...] = (
    _engine(0, "scp_err_Success", Category.SUCCESS, Owner.DBA).saying(
        summary="The provider completed the call. If a statement failed with it, explain the number of its message, such as 33029.",
        causes=(),
        actions=(),
        unobservable_because="It is a success. A successful probe shows `ekm_probe_success 1` and `ekm_last_error_code 0`.",
    ),
    _engine(1, "scp_err_Failure", Category.UNKNOWN, Owner.VAULT).saying(
        summary=(
            "A failure without a more specific code. From a probe: unwrap returned bytes that differ from the wrapped ones. A key "
            "that SQL Server encrypts with this vault may become unreadable."
        ),
        effect=WITHOUT_THE_KEY,
        causes=(
            "From a probe: the response was altered in transit, or another service performed the unwrap.",
            "From a probe: the vault used different key versions for wrap and unwrap.",
            "In SQL Server: a provider failure without a more specific code. The connector's event log shows details.",
        ),
        actions=(
            "Repeat the round trip: `ekm-exporter probe TARGET`. If the bytes differ again, create and rotate no keys.",
            "Check the issuer of the TLS certificate in the output of `ekm-exporter probe TARGET`.",
            "Open a support request with both request ids from the probe (wrap and unwrap).",
            EVENT_LOG,
        ),
    ),
    _engine(2, "scp_err_InsufficientBuffer", Category.PROTOCOL, Owner.DBA).saying(
        summary=(
            "The provider's result is larger than the buffer, and SQL Server should retry with a larger one. This is routine "
            "unless a statement fails with it."
        ),
        causes=(
            "No statement failed: this is normal operation.",
            "A statement failed: the builds of SQL Server and of the connector are probably incompatible.",
        ),
        actions=(
            "If no statement failed, do nothing.",
            DLL_VERSION,
            "Upgrade a build older than 15.0.2000.440, and repeat the statement.",
        ),
        unobservable_because="It is exchanged between SQL Server and the connector's DLL inside one process and never reaches the network.",
    ),
    _engine(3, "scp_err_NotSupported", Category.INPUT, Owner.DBA).saying(
        summary=(
            "The connector does not support this key or algorithm. It supports RSA and RSA-HSM keys of 2048 or 3072 bits. "
            "SQL Server cannot use any other key."
        ),
        causes=(
            "The key has another size (such as 4096 bits) or another type (EC, oct).",
            "The key is RSA-HSM or 3072 bits, and the connector is older than build 15.0.2000.440.",
            "The statement requests an algorithm that the provider does not offer.",
        ),
        actions=(
            "Show the type and size of the key: `az keyvault key show --vault-name VAULT --name KEY`.",
            "If the key is RSA of 2048 or 3072 bits, upgrade a connector whose DLL has a file version before 15.0.2000.440.",
            "Otherwise create a supported key and move SQL Server to it: `az keyvault key create --vault-name VAULT --name NEW_KEY --kty RSA`.",
            "Do not rely on the size in `sys.asymmetric_keys`: it shows 2048 for 3072 bits too.",
        ),
    ),
    _engine(4, "scp_err_NotFound", Category.MISSING, Owner.DBA).saying(
        summary="The provider has no key or algorithm with the name that SQL Server used. The statement fails.",
        causes=(
            "`PROVIDER_KEY_NAME` in CREATE ASYMMETRIC KEY is misspelt.",
            "IDENTITY of the SQL credential names a vault that does not hold the key.",
            "The key, or the version that SQL Server uses, no longer exists in the vault.",
        ),
        actions=(
            "List the keys of the vault: `az keyvault key list --vault-name VAULT`.",
            "Show which vault SQL Server uses: `SELECT name, credential_identity FROM sys.credentials;`.",
            "If the key was deleted, recover it: `az keyvault key recover --vault-name VAULT --name KEY`.",
        ),
        unobservable_because=(
            "SQL Server derives it from a more specific code. A probe reports that one: 3076 (3112 on connector 1.0.5.0)."
        ),
    ),
    _engine(5, "scp_err_AuthFailure", Category.IDENTITY, Owner.DBA).saying(
        summary="SQL Server could not open a session with the provider because the sign-in failed. No key of this vault can be used until it succeeds.",
        effect=WITHOUT_THE_KEY,
        causes=(
            "The login that runs the statement has no credential for this provider.",
            "The client secret in the SQL credential has expired or is wrong.",
            "SQL Server before 2012 SP1 CU9 or 2014 CU1 on an unstable network under load (KB2927779).",
        ),
        actions=(
            "Find the specific code (such as 3303) in the connector's event log, and run `ekm-exporter explain` with it.",
            "List the logins that have a credential: `SELECT * FROM sys.server_principal_credentials;`.",
            "Add the missing one: `ALTER LOGIN [LOGIN] ADD CREDENTIAL [CRED];`. CRED is its name in `sys.credentials`.",
        ),
        unobservable_because="SQL Server derives it from a more specific code. A probe reports a refused sign-in as 3303.",
    ),
    _engine(6, "scp_err_InvalidArgument", Category.INPUT, Owner.DBA).saying(
        summary="The provider rejected a parameter. The statement failed before any request to the vault.",
        causes=(
            "CREATE ASYMMETRIC KEY uses options that the connector does not support. It only opens existing keys.",
            "The key name is empty or has characters other than letters, digits and hyphens.",
        ),
        actions=("Use the basic form: `PROVIDER_KEY_NAME = 'KEY', CREATION_DISPOSITION = OPEN_EXISTING`.", EVENT_LOG),
        unobservable_because="The argument comes from a T-SQL statement. The exporter makes no calls to the provider.",
    ),
    _engine(7, "scp_err_ProviderError", Category.UNKNOWN, Owner.DBA).saying(
        summary="SQL Server caught an exception inside the connector's DLL. It reports no further details.",
        effect=WHILE_IT_LASTS,
        causes=(
            "The Visual C++ runtime that the connector needs is missing or has the wrong version.",
            "A connector upgrade is incomplete: the DLL and the registered version differ.",
            "A defect in the connector build, triggered by an unexpected response.",
        ),
        actions=(
            EVENT_LOG,
            "Search the error log: `EXEC sys.sp_readerrorlog 0, 1, N'provider';`. The same folder may hold a dump.",
            DLL_VERSION,
            "Reinstall the connector with its Visual C++ runtime.",
        ),
        unobservable_because="The exception is thrown and caught inside the SQL Server process.",
    ),
    ConnectorError(401, "acquireToken", Category.IDENTITY, Owner.IDENTITY, layer=Layer.EVENT_LINE).saying(
        summary=(
            "This is the HTTP status of an event line, not a connector code. The line names the operation `acquireToken`. Entra ID "
            "refused the sign-in. SQL Server shows 3303 for it."
        ),
        effect=WITHOUT_THE_KEY,
        causes=(
            "As for 3303: the client secret has expired. This is the usual cause.",
            "As for 3303: the credential string in SQL Server does not match the secret in Entra ID.",
        ),
        actions=(
            "Test the exporter's credential now: `ekm-exporter probe TARGET`. If it fails too, follow `ekm-exporter explain 3303`.",
            for_dba(
                "If it succeeds, only SQL Server's own secret is wrong, in the key's credential: a DBA acts, not the identity team. Create no new secret."
            ),
            for_dba(
                "Is that credential older than the last new secret? `SELECT name, credential_identity, modify_date FROM sys.credentials;`."
            ),
            *WRITE_SECRET,
            for_dba(
                "If the log backup succeeds, the fault is over: do not wait for `prove.sql`. Until then, do not restart or fail over SQL Server."
            ),
        ),
        unobservable_because="It is an HTTP status, not a code. A probe reports this failure as 3303.",
    ),
    ConnectorError(404, "getKeyByName", Category.MISSING, Owner.VAULT, layer=Layer.EVENT_LINE).saying(
        summary=(
            "This is the HTTP status of an event line, not a connector code. The line names the operation `getKeyByName`. The "
            "vault has no such key, so SQL Server cannot open the databases it protects."
        ),
        effect=WITHOUT_THE_KEY,
        causes=(
            "As for 3076: the key was deleted. A soft-deleted key can be recovered.",
            "As for 3076: SQL Server uses a misspelt name or another vault.",
        ),
        actions=(
            "Follow `ekm-exporter explain 3076`.",
            "List the deleted keys: `az keyvault key list-deleted --vault-name VAULT`.",
        ),
        unobservable_because="It is an HTTP status, not a code. A probe reports this failure as 3076 (3112 on connector 1.0.5.0).",
    ),
)

# Codes 2049 to 2058: key names, secrets, thumbprints and the Windows registry.

_input = partial(ConnectorError, layer=Layer.INPUT)
_LOCAL = "Thumbprints and registry are on the SQL Server host. No request can read them."
SHOW_REGISTRY = rf'Show the entries: `reg query "HKLM\{REGISTRY_KEY}" /s`.'

INPUTS: tuple[ConnectorError, ...] = (
    _input(2049, "scp_err_KeyNameDoesNotFitThumbprint", Category.INPUT, Owner.DBA).saying(
        summary=(
            "The key name is longer than 26 characters, the limit of a thumbprint in SQL Server. "
            "SQL Server cannot use this key. No request was sent to the vault."
        ),
        causes=("The naming scheme (environment, region, purpose) produces names of more than 26 characters.",),
        actions=(
            "Create a key with a name of at most 26 letters, digits and hyphens, and use it.",
            "Do not try to rename the key: the vault and a restore both keep its name.",
            "If the exporter reports it, correct `key` of the target in the configuration.",
        ),
    ),
    _input(2050, "scp_err_PasswordTooShort", Category.INPUT, Owner.DBA).saying(
        summary=(
            "SECRET of the SQL credential has fewer than 32 characters, the length of the client id alone. "
            "No sign-in was attempted. SQL Server cannot open a session with the provider."
        ),
        effect=WITHOUT_THE_KEY,
        causes=(
            "SECRET contains only the client secret, without the client id in front.",
            "A script used an empty variable, or the string was truncated when copied.",
        ),
        actions=(
            *WRITE_SECRET,
            for_dba("Test it with a log backup on that server: a probe tests the exporter's own secret."),
            SET_ONLINE,
            "If the exporter reports it, correct the file that `secret_file` of the credential names.",
        ),
    ),
    out_of_memory_row(2051, "scp_err_OutOfMemory", Layer.INPUT, "requesting working memory from the engine"),
    _input(2052, "scp_err_ConvertKeyNameToThumbprint", Category.HOST, Owner.DBA).saying(
        summary="The connector could not compute the thumbprint that identifies the key in SQL Server. No key was created.",
        causes=(
            "The key name has characters other than letters, digits and hyphens.",
            "Not documented: connector 1.0.5.0 hashes to 20 bytes. A Windows policy against SHA-1 may prevent that.",
        ),
        actions=("Check `PROVIDER_KEY_NAME` letter by letter, including trailing blanks.", EVENT_LOG),
        unobservable_because=_LOCAL,
    ),
    _input(2053, "scp_err_ConvertThumbprintToKeyName", Category.HOST, Owner.DBA).saying(
        summary="The connector could not find the key that belongs to a thumbprint from SQL Server. Databases protected by that key do not open on this host.",
        effect=WITHOUT_THE_KEY,
        causes=(
            "This node lacks the registry entry that maps the thumbprint to the key (new host, failover, rebuilt cluster).",
            "The key was created with connector 1.0.4.0, which computes thumbprints differently from 1.0.5.0.",
        ),
        actions=(
            SHOW_REGISTRY,
            "Compare with `SELECT name, thumbprint FROM sys.asymmetric_keys;` in master.",
            "Copy the missing entry from a working node. On a failover cluster, add a registry checkpoint.",
        ),
        unobservable_because=_LOCAL,
    ),
    _input(2057, "scp_err_ThumbprintExistedInRegistry", Category.HOST, Owner.DBA).saying(
        summary=(
            "The registry of this host already maps this thumbprint to a key with another URL, and the connector does not overwrite "
            "it. The new asymmetric key was not created."
        ),
        causes=(
            "The same key was restored or imported into another vault: same thumbprint, new URL.",
            "An entry remains from an earlier setup. Old entries are never removed.",
        ),
        actions=(
            SHOW_REGISTRY,
            "Decide which `KeyUri` is correct for the databases on this host.",
            "Save the stale entry with `reg export`, delete it, and repeat CREATE ASYMMETRIC KEY.",
        ),
        unobservable_because=_LOCAL,
    ),
    _input(2058, "scp_err_FailureInRegistry", Category.HOST, Owner.DBA).saying(
        summary=(
            "The connector could not read or write its Windows registry key. CREATE ASYMMETRIC KEY then fails with message 33049, "
            "which wrongly points to the vault."
        ),
        effect=IF_IN_USE,
        causes=(
            "The registry key is missing, or the service account lacks Full Control of it (needed since build 15.0.300.96).",
            "The service runs under a new account without that permission.",
            "After a failover the other node has no copy, because the cluster lacks a registry checkpoint.",
        ),
        actions=(
            "An administrator of the host is needed. On the host, run `ekm-exporter doctor TARGET`: `Registry rights` names the account without the right.",
            "Without the exporter on that host, find the service account: `SELECT servicename, service_account FROM sys.dm_server_services;`.",
            "On every node, as an administrator, run the commands below, with that account as `$account`: they give it Full Control.",
            "The last two are for a failover cluster only, with your SQL Server resource as `$resource`: they add a registry checkpoint.",
            "Repeat the statement that failed. If it succeeds and `doctor` shows no failed line, the fault is over.",
            SET_ONLINE,
            RESTART_LATER,
        ),
        commands=(*GRANT_RIGHT, *ADD_CHECKPOINT[1:]),  # which begins with the same key
        unobservable_because="The registry is on the SQL Server host, where `ekm-exporter doctor` reads it.",
    ),
)

# Codes 3500 to 3506: key backup, which no part of SQL Server is known to use.


def _failed(code: int, symbol: str, summary: str) -> ConnectorError:
    return ConnectorError(code, symbol, Category.PROTOCOL, Owner.VAULT, layer=Layer.BACKUP).saying(
        summary=f"{summary} The backup failed. Databases and their keys are not affected.",
        causes=("A proxy, gateway or security appliance emptied, cut or replaced the response.", SERVICE_DEFECT),
        actions=("Back up the key directly: `az keyvault key backup --vault-name VAULT --name KEY --file F`.", EVENT_LOG),
        unobservable_because="No connector build is known to back up keys. The request needs the `backup` permission, which a least-privilege identity lacks.",
    )


BACKUP: tuple[ConnectorError, ...] = (
    out_of_memory_row(3500, "ErrorBackupKeyOutOfMemoryConvertResponseString", Layer.BACKUP, "converting a key backup to text"),
    out_of_memory_row(3501, "ErrorBackupKeyOutOfMemoryConcatPath", Layer.BACKUP, "building the URL of a backup request"),
    out_of_memory_row(3502, "ErrorBackupKeyOutOfMemoryConcatHeader", Layer.BACKUP, "building the header of a backup request"),
    _failed(3503, "ErrorBackupKeyNoResponse", "The vault returned an empty response to a key backup."),
    _failed(3504, "ErrorBackupKeyJsonParser", "The response to a key backup is not JSON."),
    _failed(3505, "ErrorBackupKeyExtractValue", "The response to a key backup has no `value`."),
    _failed(3506, "ErrorBackupKeyBase64DecodeValue", "The `value` in the response to a key backup is not valid Base64."),
)

_TABLES = (
    *(ENGINE, INPUTS, HTTP_CONNECTION, HTTP_STATUS, CHALLENGE, TOKEN_STEP),
    *(GET_KEY, BACKUP, WRAP_UNWRAP, CREDENTIAL, NAME_AND_RETRY),
)
CODES: tuple[ConnectorError, ...] = tuple(
    sorted((each for table in _TABLES for row in table for each in generations(row)), key=lambda row: row.code)
)
BY_CODE: Mapping[int, ConnectorError] = MappingProxyType({row.code: row for row in CODES})


def generation_code(code: int, generation: Generation) -> int:
    """Return the number that a target of `generation` reports for `code`.

    Only the 20 codes with a counterpart change; `code` may be either number of a pair. Raises KeyError for an unknown code.
    """
    row = BY_CODE[code]
    if row.counterpart is None or row.generation.value == generation.value:
        return code
    return row.counterpart


def both_numbers(code: int) -> str:
    """Return the number with its counterpart, if it has one.

    3077 gives "3077 (3113 on connector 1.0.5.0)", and 3900 gives "3900". The given number comes first: 3113 gives "3113 (3077
    before connector 1.0.5.0)". Raises KeyError for an unknown code.
    """
    row = BY_CODE[code]
    if row.counterpart is None:
        return str(code)
    when = "on" if row.generation is Family.CLASSIC else "before"
    return f"{code} ({row.counterpart} {when} connector 1.0.5.0)"


def find(text: str) -> tuple[ConnectorError, ...]:
    """Return the rows with this number or symbol, ignoring case and blanks.

    A number finds one row. A symbol of two counterparts finds both, the classic one first.
    """
    wanted = text.strip().casefold()
    return tuple(row for row in CODES if wanted in (str(row.code), row.symbol.casefold()))
