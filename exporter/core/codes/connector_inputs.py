"""Codes 2049 to 2058: key names, secrets, thumbprints and the Windows registry."""

from __future__ import annotations

from exporter.core.codes.action_texts import ALTER, CRED_AND_STRING
from exporter.core.codes.model import Category, ConnectorError, Layer, Owner
from exporter.core.codes.shared import EVENT_LOG, IF_IN_USE, RESTART_LATER, SET_ONLINE, WITHOUT_THE_KEY, out_of_memory_row
from exporter.core.connector_registry import ADD_CHECKPOINT, GRANT_RIGHT, REGISTRY_KEY

_LOCAL = "Thumbprints and registry are on the SQL Server host. No request can read them."
_SHOW_REGISTRY = rf'Show the entries: `reg query "HKLM\{REGISTRY_KEY}" /s`.'

INPUTS: tuple[ConnectorError, ...] = (
    ConnectorError(
        code=2049,
        symbol="scp_err_KeyNameDoesNotFitThumbprint",
        layer=Layer.INPUT,
        category=Category.INPUT,
        owner=Owner.DBA,
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
    ConnectorError(
        code=2050,
        symbol="scp_err_PasswordTooShort",
        layer=Layer.INPUT,
        category=Category.INPUT,
        owner=Owner.DBA,
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
            f"Set the string, on every replica: {ALTER}.",
            CRED_AND_STRING,
            "Test it: `ekm-exporter probe TARGET`.",
            SET_ONLINE,
            "If the exporter reports it, correct the file that `secret_file` of the credential names.",
        ),
    ),
    out_of_memory_row(2051, "scp_err_OutOfMemory", Layer.INPUT, "requesting working memory from the engine"),
    ConnectorError(
        code=2052,
        symbol="scp_err_ConvertKeyNameToThumbprint",
        layer=Layer.INPUT,
        category=Category.HOST,
        owner=Owner.DBA,
        summary="The connector could not compute the thumbprint that identifies the key in SQL Server. No key was created.",
        causes=(
            "The key name has characters other than letters, digits and hyphens.",
            "Not documented: connector 1.0.5.0 hashes to 20 bytes. A Windows policy against SHA-1 may prevent that.",
        ),
        actions=(
            "Check `PROVIDER_KEY_NAME` letter by letter, including trailing blanks.",
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
            "The connector could not find the key that belongs to a thumbprint from SQL Server. "
            "Databases protected by that key do not open on this host."
        ),
        effect=WITHOUT_THE_KEY,
        causes=(
            "This node lacks the registry entry that maps the thumbprint to the key (new host, failover, rebuilt cluster).",
            "The key was created with connector 1.0.4.0, which computes thumbprints differently from 1.0.5.0.",
        ),
        actions=(
            _SHOW_REGISTRY,
            "Compare with `SELECT name, thumbprint FROM sys.asymmetric_keys;` in master.",
            "Copy the missing entry from a working node. On a failover cluster, add a registry checkpoint.",
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
            "The registry of this host already maps this thumbprint to a key with another URL, and the connector does not overwrite "
            "it. The new asymmetric key was not created."
        ),
        causes=(
            "The same key was restored or imported into another vault: same thumbprint, new URL.",
            "An entry remains from an earlier setup. Old entries are never removed.",
        ),
        actions=(
            _SHOW_REGISTRY,
            "Decide which `KeyUri` is correct for the databases on this host.",
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
            (
                "On the SQL Server host, run `ekm-exporter doctor TARGET`: the line `Registry rights` names the account that lacks the "
                "right."
            ),
            "Without the exporter on that host, find the service account: `SELECT servicename, service_account FROM sys.dm_server_services;`.",
            "On every node, create the key and give that account Full Control of it: the first commands below, as an administrator.",
            "On a failover cluster, add a registry checkpoint for the key: the last command below, with your resource's name.",
            "Repeat the statement.",
            SET_ONLINE,
            RESTART_LATER,
        ),
        commands=(*GRANT_RIGHT, *ADD_CHECKPOINT),
        unobservable_because="The registry is on the SQL Server host, where `ekm-exporter doctor` reads it.",
    ),
)
