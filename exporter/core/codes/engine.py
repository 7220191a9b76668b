"""Codes 0 to 7, which SQL Server's engine itself understands, and the two HTTP statuses that the event log shows as codes."""

from __future__ import annotations

from exporter.core.codes.model import Category, ConnectorError, Layer, Owner
from exporter.core.codes.shared import EVENT_LOG

ENGINE: tuple[ConnectorError, ...] = (
    ConnectorError(
        code=0,
        symbol="scp_err_Success",
        layer=Layer.ENGINE,
        category=Category.SUCCESS,
        owner=Owner.DBA,
        summary="The provider did what SQL Server asked. Nothing to repair.",
        causes=(),
        actions=(),
        unobservable_because="It is no failure: a good probe shows as `ekm_probe_success 1` and `ekm_last_error_code 0`.",
    ),
    ConnectorError(
        code=1,
        symbol="scp_err_Failure",
        layer=Layer.ENGINE,
        category=Category.UNKNOWN,
        owner=Owner.VAULT,
        summary=(
            "A failure without a number of its own. From a probe it means that unwrap gave back other bytes than were wrapped: "
            "a key SQL Server stores through this vault might never open again."
        ),
        causes=(
            "From a probe: the answer was altered on the way, or something other than the vault did the unwrapping.",
            "From a probe: the vault used different key versions for wrap and unwrap.",
            "In SQL Server: a provider fault that has no finer code; the connector's event log tells more.",
        ),
        actions=(
            "Repeat the round trip: `ekm-exporter probe TARGET`. If bytes differ again, create no keys and rotate nothing.",
            "Check who signs the TLS certificate on the way: `ekm-exporter probe TARGET`.",
            "Open a support request with both request ids of the probe (wrap and unwrap).",
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
            "Ordinary dialogue: the provider's answer is larger than the space offered, and SQL Server should offer more. "
            "Only where it ends a statement is it a fault."
        ),
        causes=(
            "Routine, if no statement failed.",
            "If one did: most likely builds of SQL Server and of the connector that do not fit each other.",
        ),
        actions=(
            "If no statement failed, do nothing.",
            "Else compare versions: `SELECT name, version, dll_path FROM sys.cryptographic_providers;`.",
            "Bring the connector to the newest build and repeat the statement.",
        ),
        unobservable_because="It passes between SQL Server and the connector's DLL inside one process and never reaches the network.",
    ),
    ConnectorError(
        code=3,
        symbol="scp_err_NotSupported",
        layer=Layer.ENGINE,
        category=Category.INPUT,
        owner=Owner.DBA,
        summary=(
            "The connector cannot work with this key or algorithm. It takes RSA and RSA-HSM keys of 2048 or 3072 bits; "
            "SQL Server can create no asymmetric key from any other."
        ),
        causes=(
            "The key has another size (4096 bits, say) or another type (EC, oct).",
            "The key is RSA-HSM or has 3072 bits, and the connector is older than build 15.0.2000.440.",
            "The statement asks for an algorithm the provider does not offer.",
        ),
        actions=(
            "See what the key is: `az keyvault key show --vault-name VAULT --name KEY`.",
            "If the key is RSA of 2048 or 3072 bits, upgrade a connector older than 15.0.2000.440.",
            "Else make a fitting key and move SQL Server to it: `az keyvault key create --vault-name VAULT --name NEW --kty RSA`.",
            "Do not trust the size in `sys.asymmetric_keys`: it says 2048 for 3072 bits too.",
        ),
    ),
    ConnectorError(
        code=4,
        symbol="scp_err_NotFound",
        layer=Layer.ENGINE,
        category=Category.MISSING,
        owner=Owner.DBA,
        summary="The provider has no key, or no algorithm, of the name SQL Server used; the statement cannot go on.",
        causes=(
            "`PROVIDER_KEY_NAME` in CREATE ASYMMETRIC KEY is misspelt.",
            "The credential's IDENTITY names another vault than the one that holds the key.",
            "The key, or the version SQL Server was set up with, is gone from the vault.",
        ),
        actions=(
            "List what the vault has: `az keyvault key list --vault-name VAULT`.",
            "See which vault SQL Server asks: `SELECT name, credential_identity FROM sys.credentials;`.",
            "If the key was deleted: `az keyvault key recover --vault-name VAULT --name KEY`.",
        ),
        unobservable_because=(
            "SQL Server forms it from a finer answer; a probe reports that one: 3076 (3112 on connector 1.0.5.0) for a missing key."
        ),
    ),
    ConnectorError(
        code=5,
        symbol="scp_err_AuthFailure",
        layer=Layer.ENGINE,
        category=Category.IDENTITY,
        owner=Owner.DBA,
        summary=(
            "SQL Server could not open a session with the provider, because signing in failed. No key of this vault can be used "
            "until that is repaired."
        ),
        causes=(
            "The login that runs the statement has no credential for this provider.",
            "The client secret inside the credential is expired or wrong.",
            "SQL Server before 2012 SP1 CU9 or 2014 CU1 on an unstable network under load (KB2927779).",
        ),
        actions=(
            "Find the finer number (3303, say) in the connector's event log and run `ekm-exporter explain` on it.",
            "See which logins have a credential: `SELECT * FROM sys.server_principal_credentials;`.",
            "Add the missing one: `ALTER LOGIN [LOGIN] ADD CREDENTIAL [CRED];`.",
        ),
        unobservable_because="SQL Server forms it from a finer answer; a probe reports a refused sign-in as 3303.",
    ),
    ConnectorError(
        code=6,
        symbol="scp_err_InvalidArgument",
        layer=Layer.ENGINE,
        category=Category.INPUT,
        owner=Owner.DBA,
        summary="The provider was called with a parameter it rejects. The statement failed before the vault was asked.",
        causes=(
            "CREATE ASYMMETRIC KEY with options the connector does not take; it only opens keys that exist.",
            "A key name that is empty or has characters other than letters, digits and hyphens.",
        ),
        actions=(
            "Use the plain form: `PROVIDER_KEY_NAME = 'KEY', CREATION_DISPOSITION = OPEN_EXISTING`.",
            EVENT_LOG,
        ),
        unobservable_because="The argument comes from a T-SQL statement; the exporter makes no call into the provider.",
    ),
    ConnectorError(
        code=7,
        symbol="scp_err_ProviderError",
        layer=Layer.ENGINE,
        category=Category.UNKNOWN,
        owner=Owner.DBA,
        summary="SQL Server caught an exception inside the connector's DLL and has no more to say about it.",
        causes=(
            "The Visual C++ runtime the connector needs is missing or of the wrong version.",
            "A mixed or half-finished upgrade: DLL and registered version differ.",
            "A defect of the connector build, set off by an answer it did not expect.",
        ),
        actions=(
            EVENT_LOG,
            "Search the error log: `EXEC sys.sp_readerrorlog 0, 1, N'provider';`; a dump may lie in the same folder.",
            "Compare versions: `SELECT * FROM sys.dm_cryptographic_provider_properties;`.",
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
            "No connector code, but the HTTP status of an event line, with the operation `acquireToken` where a symbol would "
            "stand. Entra ID refused to sign the connector in; SQL Server shows 3303 for it."
        ),
        causes=(
            "As for 3303: most often the client secret has expired.",
            "As for 3303: the credential string in SQL Server is not (or no longer) what Entra ID has.",
        ),
        actions=(
            "Follow `ekm-exporter explain 3303`.",
            "Try the credential now: `ekm-exporter probe TARGET`.",
        ),
        unobservable_because="It is an HTTP status, not a code: a probe reports this failure as 3303.",
    ),
    ConnectorError(
        code=404,
        symbol="getKeyByName",
        layer=Layer.EVENT_LINE,
        category=Category.MISSING,
        owner=Owner.VAULT,
        summary=(
            "No connector code, but the HTTP status of an event line, with the operation `getKeyByName` where a symbol would "
            "stand. The vault has no such key; SQL Server cannot open what it protects."
        ),
        causes=(
            "As for 3076: the key was deleted and is soft-deleted: it can be recovered.",
            "As for 3076: SQL Server asks for a misspelt name, or asks another vault.",
        ),
        actions=(
            "Follow `ekm-exporter explain 3076`.",
            "Look among the deleted keys: `az keyvault key list-deleted --vault-name VAULT`.",
        ),
        unobservable_because="It is an HTTP status, not a code: a probe reports this failure as 3076 (3112 on connector 1.0.5.0).",
    ),
)
