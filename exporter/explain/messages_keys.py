"""Messages of SQL Server about keys in the provider and about database encryption."""

from __future__ import annotations

from exporter.core.codes.shared import EVENT_LOG
from exporter.explain.known_text import KnownText
from exporter.explain.messages_provider import READ_CODE

_TEST_KEY = "Test the key: `ekm-exporter probe TARGET`."
_KEYS = "Show the keys: `SELECT name, thumbprint FROM master.sys.asymmetric_keys;`."
_NOT_THE_VAULT = "The vault is not the cause."
_STATES = "Show the states: `SELECT DB_NAME(database_id), encryption_state FROM sys.dm_database_encryption_keys;`."


def _coded_message(number: int, title: str, pattern: str, summary: str) -> KnownText:
    """Build a message whose provider code names the cause."""
    return KnownText(
        number=number,
        title=title,
        pattern=pattern,
        summary=f"{summary} The provider code names the cause.",
        causes=("The provider code in the message names the cause.",),
        actions=(READ_CODE, _TEST_KEY, EVENT_LOG),
        has_code=True,
    )


def _encryption_message(number: int, title: str, pattern: str, summary: str, cause: str, *actions: str) -> KnownText:
    return KnownText(
        number=number, title=title, pattern=pattern, summary=f"{summary} {_NOT_THE_VAULT}", causes=(cause,), actions=actions
    )


KEY_MESSAGES: tuple[KnownText, ...] = (
    KnownText(
        number=33049,
        title="Key does not exist in the provider or access is denied",
        pattern="does not exist in the provider or access is denied",
        summary="SQL Server opened the session, but the provider did not return the key. The provider code names the cause.",
        causes=(
            "The provider code in the message names the cause.",
            "2058: the registry key of the connector is missing or not writable. The vault is not the cause.",
        ),
        actions=(READ_CODE, _TEST_KEY),
        has_code=True,
    ),
    _coded_message(
        33035,
        "Cannot create key in the provider",
        r"cannot create key .{0,140} in the provider\. provider error",
        "SQL Server could not create or open the key in the provider.",
    ),
    _coded_message(
        33037,
        "Cannot export the key from the provider",
        "from the provider. provider error",
        "SQL Server could not read the key.",
    ),
    _coded_message(33039, "Invalid algorithm", "invalid algorithm '", "The provider does not know the algorithm of the key."),
    _coded_message(33051, "Invalid algorithm id", "invalid algorithm id", "The provider does not know the algorithm of the key."),
    _coded_message(
        33089, "Key validation failed", "key validation failed since", "SQL Server could not read the algorithm of the key."
    ),
    KnownText(
        number=33087,
        title="A property of the key differs from the expected value",
        pattern="property of the key returned by ekm provider",
        summary="The provider returned a key that differs from the one in SQL Server, so SQL Server does not use it.",
        causes=(
            "The key was created again under the same name, or restored from another key.",
            "The nodes have different connector builds.",
        ),
        actions=(
            _KEYS,
            "Compare the key and its version with the vault: `az keyvault key list-versions --vault-name VAULT --name KEY`.",
        ),
    ),
    KnownText(
        number=33111,
        title="Cannot find server asymmetric key with thumbprint",
        pattern="cannot find server [^\n]{0,40} with thumbprint",
        summary=(
            "This instance has no asymmetric key with that thumbprint. The database or backup that needs it does not open here; others "
            "are not affected. The message carries no provider code."
        ),
        causes=(
            "The key was never created on this replica or node.",
            "A backup is restored on a server without the key that encrypted it.",
            "The key was created with connector 1.0.4.0, which computes thumbprints differently from 1.0.5.0.",
        ),
        actions=(
            "Run the query below on all nodes. The node with a row shows which key it is, and its registry shows the version (`KeyUri`).",
            "If only this node has no row, create the key, its login and its credential there with the same version.",
            "For a backup made with 1.0.4.0, see Microsoft's KB4470999: register the older DLL for the restore, then the new one again.",
        ),
        commands=(
            "SELECT name FROM master.sys.asymmetric_keys WHERE thumbprint = THUMBPRINT;",
            "CREATE ASYMMETRIC KEY [EKM_KEY] FROM PROVIDER [PROVIDER]",
            "  WITH PROVIDER_KEY_NAME = 'KEY/VERSION', CREATION_DISPOSITION = OPEN_EXISTING;",
            "CREATE LOGIN [EKM_LOGIN] FROM ASYMMETRIC KEY [EKM_KEY];",
            "ALTER LOGIN [EKM_LOGIN] ADD CREDENTIAL [CRED];",
        ),
    ),
    KnownText(
        number=33120,
        title="The key is not in an EKM provider",
        pattern="that resides on an extensible key management provider",
        summary="A database encryption key needs an asymmetric key from the provider. The named key is one of SQL Server's own.",
        causes=("CREATE ASYMMETRIC KEY ran without `FROM PROVIDER`.", "The statement names another key."),
        actions=(_KEYS, "Name the key from the provider in `ENCRYPTION BY SERVER ASYMMETRIC KEY`."),
    ),
    KnownText(
        number=33121,
        title="The key has no login",
        pattern="does not have a login associated with it",
        summary="SQL Server opens the key with a login that was made from it, and this key has none.",
        causes=("`CREATE LOGIN ... FROM ASYMMETRIC KEY` did not run for this key.",),
        actions=(
            "Create it: `CREATE LOGIN [EKM_LOGIN] FROM ASYMMETRIC KEY [EKM_KEY];`.",
            "Give it the credential: `ALTER LOGIN [EKM_LOGIN] ADD CREDENTIAL [CRED];`.",
        ),
    ),
    KnownText(
        number=15151,
        title="Cannot find the object, or no permission",
        pattern="cannot (?:find|alter|drop) the [^\n]{0,200}because it does not exist or you do not have permission",
        summary=(
            "The object that the message names does not exist here, or the login may not see it. "
            "SQL Server sent no request to the vault."
        ),
        causes=(
            "The statement ran in another database. Asymmetric keys of TDE are in master.",
            "The key, credential, login or provider was never created on this replica or node.",
            "The login lacks the permission, for example `VIEW ANY DEFINITION` or CONTROL on the key.",
        ),
        actions=(
            _KEYS,
            "Show the credentials: `SELECT name, credential_identity FROM sys.credentials;`.",
            "Show the providers: `SELECT name, is_enabled FROM sys.cryptographic_providers;`.",
            "Repeat the statement in master, or create the missing object as on the other nodes.",
        ),
    ),
    KnownText(
        number=15581,
        title="Please create a master key in the database or open the master key",
        pattern="create a master key in the database or open the master key",
        summary=(
            "The statement or database needs a database master key: it uses a certificate, or a credential of a database. "
            "A key in the vault needs none, so the vault is not the cause."
        ),
        causes=(
            "The database is encrypted by a certificate, and the master key of master does not open with the service master key.",
            "A database credential or certificate is created where no master key exists.",
        ),
        actions=(
            "Show what protects each database: `SELECT DB_NAME(database_id), encryptor_type FROM sys.dm_database_encryption_keys;`.",
            "For a certificate, in master: `OPEN MASTER KEY DECRYPTION BY PASSWORD = 'PASSWORD';`.",
            "Then, in the same session: `ALTER MASTER KEY ADD ENCRYPTION BY SERVICE MASTER KEY;`.",
            "If there is none and a certificate is intended: `CREATE MASTER KEY ENCRYPTION BY PASSWORD = 'PASSWORD';`.",
        ),
    ),
    KnownText(
        number=33106,
        title="Cannot change database encryption state because no database encryption key is set",
        pattern="no database encryption key is set",
        summary="The database has no encryption key of its own, so SET ENCRYPTION cannot start. The vault is not the cause.",
        causes=(
            "CREATE DATABASE ENCRYPTION KEY ran in another database, often in master: the statement works on the current one.",
            "The statement failed, and the script went on.",
        ),
        actions=("Run the commands below in the user database.", _STATES),
        commands=(
            "USE [DB];",
            "CREATE DATABASE ENCRYPTION KEY WITH ALGORITHM = AES_256",
            "  ENCRYPTION BY SERVER ASYMMETRIC KEY [EKM_KEY];",
            "ALTER DATABASE [DB] SET ENCRYPTION ON;",
        ),
    ),
    _encryption_message(
        33104,
        "A database encryption key does not exist for this database",
        "database encryption key does not exist for this database",
        "The current database is not encrypted.",
        "The statement ran in another database than intended.",
        "Change to the right database: `USE [DB];`. Then repeat the statement.",
        _STATES,
    ),
    _encryption_message(
        33109,
        "An encryption scan is in progress",
        "database encryption while an encryption, decryption, or key change scan is in progress",
        "A scan of the database runs, so its encryption cannot change yet.",
        "Encryption, decryption or a key change started earlier.",
        "Wait until `percent_complete` is 0: `SELECT percent_complete FROM sys.dm_database_encryption_keys;`.",
    ),
    _encryption_message(
        33122,
        "A log backup is pending",
        "pending log backup",
        "Changes of earlier encryption scans wait for a log backup.",
        "The key was changed twice without a log backup in between.",
        "Take a log backup, then repeat the statement: `BACKUP LOG [DB] TO DISK = 'FILE';`.",
    ),
    _encryption_message(
        33123,
        "The key is in use on a mirror or secondary replica",
        "in use on a mirror or secondary availability replica",
        "A secondary replica still needs the earlier encryption key.",
        "The scan has not reached every replica, or a replica is disconnected.",
        "Wait until every replica is synchronized: `SELECT * FROM sys.dm_hadr_database_replica_states;`.",
    ),
)
