"""Codes 2049 to 2058: names and secrets that do not fit, thumbprints, and the Windows registry."""

from __future__ import annotations

from exporter.core.codes.model import Category, ConnectorError, Layer, Owner
from exporter.core.codes.shared import EVENT_LOG, out_of_memory

_LOCAL = "Thumbprints and registry live on the SQL Server host; no request shows them."
_SHOW_REGISTRY = r'Show the entries: `reg query "HKLM\SOFTWARE\Microsoft\SQL Server Cryptographic Provider" /s`.'

INPUTS: tuple[ConnectorError, ...] = (
    ConnectorError(
        code=2049,
        symbol="scp_err_KeyNameDoesNotFitThumbprint",
        layer=Layer.INPUT,
        category=Category.INPUT,
        owner=Owner.DBA,
        summary=(
            "The key is called by more than the 26 characters that a thumbprint in SQL Server has room for. "
            "Under this name SQL Server cannot use it; the vault was not even asked."
        ),
        causes=("The naming scheme (environment, region, purpose in one name) grew past 26 characters.",),
        actions=(
            "Make a key with a name of at most 26 letters, digits and hyphens, and use that one.",
            "Do not plan on renaming: neither the vault nor a restore from backup can change a key's name.",
            "If the exporter reports it, correct `key` of the target in the configuration.",
        ),
    ),
    ConnectorError(
        code=2050,
        symbol="scp_err_PasswordTooShort",
        layer=Layer.INPUT,
        category=Category.INPUT,
        owner=Owner.DBA,
        summary=(
            "SECRET of the SQL credential has fewer than 32 characters, too few for the client id alone. "
            "No sign-in was tried; SQL Server cannot open a session with the provider."
        ),
        causes=(
            "Only the client secret was entered, without the client id in front.",
            "A script ran with an empty variable, or the string was cut when it was copied.",
        ),
        actions=(
            "Write client id (32 hex digits, hyphens removed) and client secret as one string, at most 120 characters in all.",
            "Set it: `ALTER CREDENTIAL CRED WITH IDENTITY = 'VAULT', SECRET = 'STRING';`.",
            "Try it: `ekm-exporter probe TARGET`; then restart the SQL Server service, on every node.",
            "If the exporter reports it, look at the file that `secret_file` of the credential names.",
        ),
    ),
    out_of_memory(2051, "scp_err_OutOfMemory", Layer.INPUT, "being given its working memory by the engine"),
    ConnectorError(
        code=2052,
        symbol="scp_err_ConvertKeyNameToThumbprint",
        layer=Layer.INPUT,
        category=Category.HOST,
        owner=Owner.DBA,
        summary="The connector could not compute the thumbprint by which SQL Server remembers the key. No key was created.",
        causes=(
            "The key name has characters other than letters, digits and hyphens.",
            "A Windows policy on the host forbids the SHA-1 hash that connector 1.0.5.0 uses for thumbprints.",
        ),
        actions=(
            "Check the name given as `PROVIDER_KEY_NAME` letter by letter, blanks at the end included.",
            EVENT_LOG,
        ),
        unobservable_because=_LOCAL,
    ),
    ConnectorError(
        code=2053,
        symbol="scp_err_ConvertThumbprintToKeyName",
        layer=Layer.INPUT,
        category=Category.HOST,
        owner=Owner.DBA,
        summary=(
            "SQL Server named a key by its thumbprint, and the connector could not find out which key that is. "
            "Databases behind that key do not open on this host."
        ),
        causes=(
            "The registry entry that maps thumbprint to key is missing on this node (new host, failover, rebuilt cluster).",
            "The key was set up with connector 1.0.4.0, whose thumbprints are built otherwise than those of 1.0.5.0.",
        ),
        actions=(
            _SHOW_REGISTRY,
            "Compare with `SELECT name, thumbprint FROM sys.asymmetric_keys;` in master.",
            "Copy the missing entry from a node that works; on a failover cluster add a registry checkpoint.",
        ),
        unobservable_because=_LOCAL,
    ),
    ConnectorError(
        code=2057,
        symbol="scp_err_ThumbprintExistedInRegistry",
        layer=Layer.INPUT,
        category=Category.HOST,
        owner=Owner.DBA,
        summary=(
            "On this host the thumbprint is already recorded for a key at another address, and the connector does not overwrite it. "
            "The new asymmetric key was not created."
        ),
        causes=(
            "The same key was restored or imported into another vault: same thumbprint, new address.",
            "An entry left from an earlier set-up; nothing ever removes old ones.",
        ),
        actions=(
            _SHOW_REGISTRY,
            "Decide which `KeyUri` is the right one for the databases on this host.",
            "Save the stale entry with `reg export`, delete it, and repeat CREATE ASYMMETRIC KEY.",
        ),
        unobservable_because=_LOCAL,
    ),
    ConnectorError(
        code=2058,
        symbol="scp_err_FailureInRegistry",
        layer=Layer.INPUT,
        category=Category.HOST,
        owner=Owner.DBA,
        summary=(
            "The connector could not read or write its part of the Windows registry. CREATE ASYMMETRIC KEY then ends in "
            "message 33049, which wrongly hints at the vault."
        ),
        causes=(
            "The registry key does not exist, or the service account lacks Full Control of it (needed since build 15.0.300.96).",
            "The service runs under a new account that was never given the right.",
            "After a failover the other node has no copy: the cluster lacks a registry checkpoint.",
        ),
        actions=(
            "Find the account: `SELECT servicename, service_account FROM sys.dm_server_services;`.",
            r"Create `HKLM\SOFTWARE\Microsoft\SQL Server Cryptographic Provider` if missing; give that account Full Control.",
            "On a failover cluster add a checkpoint for it: `Add-ClusterCheckpoint -RegistryCheckpoint`.",
            "Repeat the statement; no restart is needed.",
        ),
        unobservable_because=_LOCAL,
    ),
)
