"""Rows of the HTTP layer: the meaning of a status, missing or truncated responses, an unresolved host name, and the retry logic.

3000 and 3001 are those of every operation. Rows have the classic number.
`codes_steps` has the rows of unreadable responses.
"""

from __future__ import annotations

from functools import partial

from exporter.core.limits import KEY_LIMITS, OWN_SHARE
from exporter.knowledge.code_row import (
    DO_NOT_RESTART,
    EVENT_LOG,
    FIND_INTERCEPTION,
    FIND_REASON,
    NOT_A_VAULT,
    NOT_IN_WAVES,
    RECOVER_VAULT,
    REWRITTEN,
    ROLES_OF_RECOVERED,
    SHOW_THE_SERVER,
    SUPPORT,
    WHILE_IT_LASTS,
    WITHOUT_THE_KEY,
    Category,
    ConnectorError,
    Layer,
    Owner,
    for_dba,
    for_exporter,
    out_of_memory_row,
)

_http = partial(ConnectorError, layer=Layer.HTTP)

HTTP_STATUS: tuple[ConnectorError, ...] = (
    _http(3000, "ErrorSuccess", Category.SUCCESS, Owner.VAULT).saying(
        summary="The exchange with Key Vault succeeded. No action is needed.",
        causes=(),
        actions=(),
        unobservable_because="It is a success. A successful step shows `ekm_step_success 1`, and no code is counted.",
    ),
    _http(3001, "ErrorUnknown", Category.UNKNOWN, Owner.NETWORK).saying(
        summary=(
            "A failure that no other code covers. From a probe, `reason` names it. Usually another server responded instead of the "
            "vault or Entra ID, and SQL Server cannot use that response either."
        ),
        effect=WHILE_IT_LASTS,
        causes=(
            "`redirect` or `no_challenge`: a portal, proxy or gateway responds instead of the vault.",
            "`authority_untrusted`: the vault names a sign-in host that is not a known Entra ID host. No secret was sent.",
            "`resource_mismatch`: the response requests a token for another service than this vault. None was requested.",
            "`unexpected_status`: the status of the response is not valid here.",
            "`secret_unreadable`, `secret_timeout`, `internal`: the exporter's own host or code failed. Its log shows details.",
        ),
        actions=(
            FIND_REASON,
            FIND_INTERCEPTION,
            for_dba("If SQL Server shows it, read the operation and its `info` number in the connector's event log."),
        ),
    ),
    _http(3010, "ErrorHttpResponseCodeUnauthorized", Category.IDENTITY, Owner.IDENTITY, counterpart=3108).saying(
        summary=(
            "Status 401. From a probe: the vault rejected a token that Entra ID issued. In the connector's event log: usually a "
            "refused sign-in, for which SQL Server shows 3303."
        ),
        effect=WITHOUT_THE_KEY,
        causes=(
            "In the event log, next to 3303: the client secret has expired or is wrong.",
            "`token_unverifiable`: the vault cannot verify tokens at the moment (AKV10046), a temporary fault in Azure.",
            "`token_expired`: the vault received the token after it expired, usually because a clock is wrong.",
            "`token_revoked`: continuous access evaluation revoked the token, for example for a disabled application.",
            "A proxy removes or changes the `Authorization` header.",
        ),
        actions=(
            FIND_REASON,
            "If SQL Server shows 3303 next to it, follow `ekm-exporter explain 3303`.",
            DO_NOT_RESTART,
            SUPPORT,
        ),
    ),
    _http(3011, "ErrorHttpResponseCodeThrottled", Category.THROTTLED, Owner.VAULT, counterpart=3109).saying(
        summary=(
            "Status 429: the service receives more requests than it allows. Meanwhile any key operation of SQL Server may be rejected."
        ),
        effect=WHILE_IT_LASTS,
        causes=(
            "Another application uses the same vault heavily, usually by reading secrets in a loop.",
            "Many SQL Servers open databases at once: patch night, failover or mass restore.",
            "Other vaults exhaust the limit of the subscription, which is five times that of one vault.",
            f"The limit in 10 seconds depends on the key: {KEY_LIMITS}.",
            "At the token step: the tenant is throttled because of too many sign-ins.",
        ),
        actions=(
            "Who calls? Query the vault's Logs: `ekm-exporter script callers.kql --vault VAULT.vault.azure.net`. Row one is the caller.",
            "Stop or slow that caller.",
            for_dba("If it is SQL Server (Microsoft.SQL.EKM), make planned restarts and restores one by one."),
            NOT_IN_WAVES,
            for_exporter(f"The exporters' own share is `ekm_request_budget_ratio`. Above {OWN_SHARE}, increase `interval`."),
            for_dba("As a permanent fix, move SQL Server's keys to a separate vault."),
        ),
    ),
    _http(3012, "ErrorHttpResponseCodeClientError", Category.INPUT, Owner.DBA, counterpart=3110).saying(
        summary="The request was rejected with a status from 400 to 499 that has no specific code. The same request fails again until it is corrected.",
        effect=WITHOUT_THE_KEY,
        causes=(
            "The key name or version is malformed: only letters, digits and hyphens are allowed.",
            "Builds of 2018 to 2020: Entra ID returned 400, usually for hyphens in the client id (newer builds: 3128).",
            "The key does not allow the operation or the algorithm (`key_ops`, key type).",
            "The proxy requires a user name and password (407).",
            "Another change to the same key is in progress (409). This is temporary.",
        ),
        actions=(
            FIND_REASON,
            for_dba("Check the credential string: the client id without hyphens, followed by the secret."),
        ),
    ),
    _http(3013, "ErrorHttpResponseCodeServerError", Category.SERVER, Owner.VAULT, counterpart=3111).saying(
        summary="The service, or a proxy in front of it, failed with a status of 500 or above. The key and the credential are not the cause.",
        effect=WHILE_IT_LASTS,
        causes=(
            "Key Vault has an incident. At the token step, Entra ID has one.",
            "A proxy or gateway cannot reach the service (502, 503, 504).",
            "The vault's region fails over: no responses for some minutes, then only reads, wrap and unwrap work.",
        ),
        actions=(
            "Check Azure's status page, https://azure.status.microsoft, for Key Vault and Entra ID in this region.",
            FIND_REASON,
            DO_NOT_RESTART,
            SUPPORT,
        ),
    ),
    _http(3076, "ErrorHttpResourceNotFound", Category.MISSING, Owner.VAULT, counterpart=3112).saying(
        summary=(
            "Status 404: this vault, or a device that responds in its place, has no such key or version. Recover a deleted key first; investigate afterwards."
        ),
        effect=WITHOUT_THE_KEY,
        causes=(
            "The key was deleted. A soft-deleted key can be recovered. A purged key needs a restore from backup.",
            "The key name or version is misspelt in SQL Server or in the exporter's configuration.",
            "IDENTITY of the SQL credential names a vault that does not hold the key.",
            REWRITTEN,
        ),
        actions=(
            "List the deleted keys: `az keyvault key list-deleted --vault-name VAULT`.",
            "Recover the key with all versions: `az keyvault key recover --vault-name VAULT --name KEY`.",
            DO_NOT_RESTART,
            "If it was purged, restore its backup: `az keyvault key restore --vault-name VAULT --file BACKUP`. The key keeps its old name.",
            "If it was never deleted, compare versions: `az keyvault key list-versions --vault-name VAULT --name KEY`.",
            for_dba(
                "Show the thumbprint that the databases use: `SELECT encryptor_thumbprint FROM sys.dm_database_encryption_keys;`."
            ),
        ),
    ),
    _http(3077, "ErrorHttpOperationForbidden", Category.PERMISSION, Owner.VAULT, counterpart=3113).saying(
        summary="Status 403: the vault, or a device that responds in its place, refuses the operation. SQL Server gets no key, unless only wrap is refused: then no key can be created or rotated.",
        effect=WITHOUT_THE_KEY,
        causes=(
            "`forbidden_rbac`, `forbidden_policy`: the role or access policy on this vault is missing or was removed.",
            "`forbidden_firewall`, `forbidden_connection`, `forbidden_nsp`: the vault blocks this network or address.",
            "`key_disabled`: the key version was disabled.",
            "`key_expired`, `key_not_yet_valid`: a key outside its dates still unwraps but does not wrap.",
            "The role was assigned only minutes ago and is not active yet.",
        ),
        actions=(
            FIND_REASON,
            DO_NOT_RESTART,
        ),
    ),
    _http(3128, "ErrorHttpBadRequest", Category.IDENTITY, Owner.IDENTITY, fallback=3012).saying(
        summary=(
            "Entra ID rejected the sign-in with 400 before it checked the secret. Usually the application or tenant is unknown, or "
            "the client id is malformed. SQL Server gets no token and opens no session."
        ),
        effect=WITHOUT_THE_KEY,
        causes=(
            "The vault's tenant has no application with this client id (AADSTS700016): wrong id or tenant, or deleted.",
            "The credential string is malformed: hyphens in the client id, or the secret comes first. Microsoft's list names this alone.",
            "The tenant does not exist or is in another cloud (AADSTS90002, 900023, 90038).",
            "The application is disabled (AADSTS7000112), or Conditional Access blocks the sign-in (AADSTS53003).",
        ),
        actions=(
            FIND_REASON,
            DO_NOT_RESTART,
        ),
    ),
)

# Up to a complete response: start, connect, send and read. Each row is a WinINet call.


def _local(code: int, current: int, symbol: str, call: str, summary: str, *more_causes: str) -> ConnectorError:
    """Build the row of a local Windows call that sends and receives nothing."""
    return _http(code, symbol, Category.HOST, Owner.DBA, counterpart=current).saying(
        summary=summary,
        effect=WHILE_IT_LASTS,
        causes=(
            *more_causes,
            "The SQL Server process has too few handles or too little memory.",
            "WinINet fails in the profile of the service account, or other software intercepts it.",
        ),
        actions=(
            EVENT_LOG,
            f"Look up the `info` number of the event line: it is the Windows error of `{call}`.",
            "Retry the statement. If a restart is needed, first make sure that `ekm-exporter probe TARGET` succeeds.",
        ),
        unobservable_because=f"`{call}` runs inside Windows on the SQL Server host. No request from outside can observe it.",
    )


HTTP_CONNECTION: tuple[ConnectorError, ...] = (
    out_of_memory_row(3002, "ErrorHttpCreateHttpClientOutOfMemory", Layer.HTTP, "setting up its HTTP client", counterpart=3100),
    _local(
        3003,
        3101,
        "ErrorHttpOpenSession",
        "InternetOpen",
        "Windows could not start an Internet session for the connector. Nothing was sent; the vault and the network are not the cause.",
    ),
    _local(
        3004,
        3102,
        "ErrorHttpConnectSession",
        "InternetConnect",
        "Windows could not prepare a session for the vault's host name. Nothing was sent; this step is local.",
        "IDENTITY of the SQL credential is not a plain vault or host name: it has `https://`, a path or a blank.",
    ),
    _http(3005, "ErrorHttpAttemptConnect", Category.NETWORK, Owner.NETWORK, counterpart=3103).saying(
        summary="The host has no usable network: its interface is down or it has no route. SQL Server cannot reach Entra ID or the vault.",
        effect=WITHOUT_THE_KEY,
        causes=(
            "The network interface is down, or lost its address or default route.",
            "After boot: the service started before the network was available.",
            "If only the exporter reports it: its own host or container has no route. SQL Server may be unaffected.",
        ),
        actions=(
            "On the affected host, check addresses and routes: `Get-NetIPConfiguration` or `ip route`.",
            "From the SQL Server host: `Test-NetConnection VAULT.vault.azure.net -Port 443`.",
            DO_NOT_RESTART,
            for_dba("If it only occurs at boot, set the SQL Server service to delayed start."),
        ),
    ),
    _local(
        3006,
        3104,
        "ErrorHttpOpenRequest",
        "HttpOpenRequest",
        "Windows could not prepare the request. Nothing was sent, so the vault received no request.",
    ),
    _local(
        3007,
        3105,
        "ErrorHttpAddRequestHeader",
        "HttpAddRequestHeaders",
        "Windows could not add a header to the request, usually the one with the token. Nothing was sent.",
    ),
    _http(3008, "ErrorHttpSendRequest", Category.NETWORK, Owner.NETWORK, counterpart=3106).saying(
        summary=(
            "No response from the vault or Entra ID: the connection failed (TCP, TLS, proxy) or timed out. SQL Server gets no key."
        ),
        effect=WITHOUT_THE_KEY,
        causes=(
            "A firewall, security group or proxy blocks port 443. An Azure network made since 31 March 2026 has no way out by default.",
            "The proxy is wrong or has changed. SQL Server reads it from its service account and keeps it until a restart.",
            "TLS fails: a proxy that inspects TLS with an untrusted CA, an expired certificate, or TLS 1.2 disabled.",
            "A private endpoint was removed or replaced, and DNS still returns the old address.",
            "The service or network is slow: the connection succeeded, but no response arrived in time.",
        ),
        actions=(
            FIND_REASON,
            "From the SQL Server host: `Test-NetConnection VAULT.vault.azure.net -Port 443`. Repeat for Entra ID's host.",
            DO_NOT_RESTART,
            "Read `info` in the event line: 12029 is connect, 12002 timeout, 12045 or 12175 TLS.",
        ),
    ),
    _local(
        3009,
        3107,
        "ErrorHttpGetResponseCode",
        "HttpQueryInfo",
        "A response arrived, but Windows could not pass its status to the connector. The result is unknown.",
    ),
    _local(
        3014,
        3114,
        "ErrorHttpQueryHeader",
        "HttpQueryInfo",
        "A response arrived, but Windows could not pass one of its headers to the connector.",
    ),
    out_of_memory_row(
        3015, "ErrorHttpQueryHeaderOutOfMemoryCopyHeader", Layer.HTTP, "copying a response header", counterpart=3115
    ),
    out_of_memory_row(
        3016, "ErrorHttpQueryHeaderOutOfMemoryReallocBuffer", Layer.HTTP, "allocating space for a long header", counterpart=3116
    ),
    _http(3017, "ErrorHttpQueryHeaderNotFound", Category.PROTOCOL, Owner.NETWORK, counterpart=3117).saying(
        summary=(
            "The vault's 401 lacks the `WWW-Authenticate` header, which names the sign-in host. The connector cannot request a "
            "token, so SQL Server gets no key."
        ),
        effect=WITHOUT_THE_KEY,
        causes=("A proxy or gateway removes the header or sends its own 401.", NOT_A_VAULT),
        actions=(
            SHOW_THE_SERVER,
            "Compare with a working vault from the same host. A different response points to the network path.",
            DO_NOT_RESTART,
        ),
    ),
    _local(
        3018,
        3118,
        "ErrorHttpQueryHeaderUpdateBufferLength",
        "HttpQueryInfo",
        "A response arrived, but Windows and the connector disagree on the length of one of its headers.",
    ),
    _http(3019, "ErrorHttpReadData", Category.NETWORK, Owner.NETWORK, counterpart=3119).saying(
        summary=(
            "A response started but did not finish: truncated, too slow, or far too large. SQL Server treats it as no response."
        ),
        effect=WHILE_IT_LASTS,
        causes=(
            "A firewall, proxy or scanner drops the connection during the response.",
            "The network is slow or loses packets, so the rest did not arrive in time.",
            "Another server responds with a web page instead of a few hundred bytes.",
        ),
        actions=(
            "Repeat `ekm-exporter probe TARGET` a few times, and note how long each one takes to fail.",
            "Exempt the vault's host from inspection on firewall and proxy. Check the network path for loss and MTU.",
            DO_NOT_RESTART,
        ),
    ),
    out_of_memory_row(3120, "ErrorHttpGetResponseOutOfMemoryCreateTempBuffer", Layer.HTTP, "reserving a buffer for a response"),
    out_of_memory_row(3121, "ErrorHttpGetResponseOutOfMemoryGetResultString", Layer.HTTP, "converting a response to text"),
    out_of_memory_row(3122, "ErrorHttpGetResponseOutOfMemoryAppendResponse", Layer.HTTP, "joining the parts of a response"),
)

# Codes 3900, an unresolved host name, and 4000, the retry logic.

NAME_AND_RETRY: tuple[ConnectorError, ...] = (
    ConnectorError(3900, "ErrorAKVDoesNotExist", Category.NETWORK, Owner.NETWORK, layer=Layer.NAME, fallback=3008).saying(
        summary=(
            "The host name of the vault (or of Entra ID, at the token step) does not resolve. The symbol and Microsoft's list "
            "suggest a deleted vault, but most causes are DNS. SQL Server reaches no key until the name resolves."
        ),
        effect=WITHOUT_THE_KEY,
        causes=(
            "`dns_not_found`: a linked private zone `privatelink.vaultcore.azure.net` lacks the vault's record.",
            "`dns_not_found`: IDENTITY of the SQL credential, or `vault` in the configuration, is misspelt.",
            "`dns_not_found`: the vault was purged. Microsoft documents that a deleted one keeps its record until then: do not rely on it.",
            "`dns_temporary`, `dns_timeout`: the DNS server is down, overloaded or unreachable. Other names fail too.",
        ),
        actions=(
            "List deleted vaults per subscription: `az keyvault list-deleted`. If it is there, forward this to the vault team; else to the network team.",
            "On the SQL Server host, run `Resolve-DnsName HOST`. If other vaults resolve there, only this record is missing.",
            RECOVER_VAULT,
            ROLES_OF_RECOVERED,
            "With a private endpoint, the zone `DNS_ZONE` needs the vault's record and a link to the network of the SQL Server host.",
            DO_NOT_RESTART,
        ),
    ),
    out_of_memory_row(4000, "ErrorCreateKeyVaultRetryManagerOutOfMemory", Layer.RETRY, "setting up its retry logic"),
)
