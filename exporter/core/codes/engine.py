"""Codes 0 to 7 of SQL Server's engine, and two HTTP statuses."""

from __future__ import annotations

from exporter.core.codes.model import Category, ConnectorError, Layer, Owner
from exporter.core.codes.shared import DLL_VERSION, EVENT_LOG, WHILE_IT_LASTS, WITHOUT_THE_KEY

ENGINE: tuple[ConnectorError, ...] = (
    ConnectorError(
        code=0,
        symbol="scp_err_Success",
        layer=Layer.ENGINE,
        category=Category.SUCCESS,
        owner=Owner.DBA,
        summary="The provider completed the operation. No action is needed.",
        causes=(),
        actions=(),
        unobservable_because="It is a success. A successful probe shows `ekm_probe_success 1` and `ekm_last_error_code 0`.",
    ),
    ConnectorError(
        code=1,
        symbol="scp_err_Failure",
        layer=Layer.ENGINE,
        category=Category.UNKNOWN,
        owner=Owner.VAULT,
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
    ConnectorError(
        code=2,
        symbol="scp_err_InsufficientBuffer",
        layer=Layer.ENGINE,
        category=Category.PROTOCOL,
        owner=Owner.DBA,
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
    ConnectorError(
        code=3,
        symbol="scp_err_NotSupported",
        layer=Layer.ENGINE,
        category=Category.INPUT,
        owner=Owner.DBA,
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
    ConnectorError(
        code=4,
        symbol="scp_err_NotFound",
        layer=Layer.ENGINE,
        category=Category.MISSING,
        owner=Owner.DBA,
        summary="The provider has no key or algorithm with the name that SQL Server used. The statement fails.",
        causes=(
            "`PROVIDER_KEY_NAME` in CREATE ASYMMETRIC KEY is misspelt.",
            "IDENTITY of the SQL credential names a vault that does not hold the key.",
            "The key, or the version that SQL Server uses, no longer exists in the vault.",
        ),
        actions=(
            "List the keys of the vault: `az keyvault key list --vault-name VAULT`.",
            "Show which vault SQL Server uses: `SELECT name, credential_identity FROM sys.credentials;`.",
            "If the key was deleted: `az keyvault key recover --vault-name VAULT --name KEY`.",
        ),
        unobservable_because=(
            "SQL Server derives it from a more specific code. A probe reports that one: 3076 (3112 on connector 1.0.5.0)."
        ),
    ),
    ConnectorError(
        code=5,
        symbol="scp_err_AuthFailure",
        layer=Layer.ENGINE,
        category=Category.IDENTITY,
        owner=Owner.DBA,
        summary=(
            "SQL Server could not open a session with the provider because the sign-in failed. No key of this vault can be used "
            "until it succeeds."
        ),
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
    ConnectorError(
        code=6,
        symbol="scp_err_InvalidArgument",
        layer=Layer.ENGINE,
        category=Category.INPUT,
        owner=Owner.DBA,
        summary="The provider rejected a parameter. The statement failed before any request to the vault.",
        causes=(
            "CREATE ASYMMETRIC KEY uses options that the connector does not support. It only opens existing keys.",
            "The key name is empty or has characters other than letters, digits and hyphens.",
        ),
        actions=(
            "Use the basic form: `PROVIDER_KEY_NAME = 'KEY', CREATION_DISPOSITION = OPEN_EXISTING`.",
            EVENT_LOG,
        ),
        unobservable_because="The argument comes from a T-SQL statement. The exporter makes no calls to the provider.",
    ),
    ConnectorError(
        code=7,
        symbol="scp_err_ProviderError",
        layer=Layer.ENGINE,
        category=Category.UNKNOWN,
        owner=Owner.DBA,
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
    ConnectorError(
        code=401,
        symbol="acquireToken",
        layer=Layer.EVENT_LINE,
        category=Category.IDENTITY,
        owner=Owner.IDENTITY,
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
            "Follow `ekm-exporter explain 3303`.",
            "Test the credential now: `ekm-exporter probe TARGET`.",
        ),
        unobservable_because="It is an HTTP status, not a code. A probe reports this failure as 3303.",
    ),
    ConnectorError(
        code=404,
        symbol="getKeyByName",
        layer=Layer.EVENT_LINE,
        category=Category.MISSING,
        owner=Owner.VAULT,
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
