"""The HTTP layer after a response: the meaning of its status.

It includes 3000 and 3001, for every operation. Rows have the classic number; the first argument of `both_generations` is the
counterpart. `http_connection` has the rows of missing or truncated responses; the modules of the operations have the
unreadable ones.
"""

from __future__ import annotations

from exporter.core.codes.action_texts import ALTER, CRED_AND_STRING, SHOW_TENANT
from exporter.core.codes.model import Category, ConnectorError, Layer, Owner
from exporter.core.codes.readers import for_dba, for_exporter
from exporter.core.codes.shared import (
    DO_NOT_RESTART,
    FIND_INTERCEPTION,
    LESS_WITHOUT_WRAP,
    SUPPORT,
    WHILE_IT_LASTS,
    WITHOUT_THE_KEY,
    both_generations,
)
from exporter.core.request_limits import KEY_LIMITS, OWN_SHARE

HTTP_STATUS: tuple[ConnectorError, ...] = (
    ConnectorError(
        code=3000,
        symbol="ErrorSuccess",
        layer=Layer.HTTP,
        category=Category.SUCCESS,
        owner=Owner.VAULT,
        summary="The exchange with Key Vault succeeded. No action is needed.",
        causes=(),
        actions=(),
        unobservable_because="It is a success. A successful step shows `ekm_step_success 1`, and no code is counted.",
    ),
    ConnectorError(
        code=3001,
        symbol="ErrorUnknown",
        layer=Layer.HTTP,
        category=Category.UNKNOWN,
        owner=Owner.NETWORK,
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
            "Read `reason` and the failed step: `ekm-exporter probe TARGET`.",
            FIND_INTERCEPTION,
            for_exporter(
                "For `authority_untrusted` in a private cloud, verify who operates that host. Then set `authority_host` in the module."
            ),
            for_dba("If SQL Server shows it, read the operation and its `info` number in the connector's event log."),
        ),
    ),
    *both_generations(
        3108,
        ConnectorError(
            code=3010,
            symbol="ErrorHttpResponseCodeUnauthorized",
            layer=Layer.HTTP,
            category=Category.IDENTITY,
            owner=Owner.IDENTITY,
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
                "Show which step gets the 401: `ekm-exporter probe TARGET`. At the token step, follow `ekm-exporter explain 3303`.",
                "At any other step, retry in ten minutes and check Azure's status page.",
                DO_NOT_RESTART,
                SUPPORT,
            ),
        ),
    ),
    *both_generations(
        3109,
        ConnectorError(
            code=3011,
            symbol="ErrorHttpResponseCodeThrottled",
            layer=Layer.HTTP,
            category=Category.THROTTLED,
            owner=Owner.VAULT,
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
                DO_NOT_RESTART,
                for_exporter(f"The exporters' own share is `ekm_request_budget_ratio`. Above {OWN_SHARE}, increase `interval`."),
                for_dba("As a permanent fix, move SQL Server's keys to a separate vault."),
            ),
        ),
    ),
    *both_generations(
        3110,
        ConnectorError(
            code=3012,
            symbol="ErrorHttpResponseCodeClientError",
            layer=Layer.HTTP,
            category=Category.INPUT,
            owner=Owner.DBA,
            summary=(
                "The request was rejected with a status from 400 to 499 that has no specific code. The same request fails again until "
                "it is corrected."
            ),
            effect=WITHOUT_THE_KEY,
            causes=(
                "The key name or version is malformed: only letters, digits and hyphens are allowed.",
                "Builds of 2018 to 2020: Entra ID returned 400, usually for hyphens in the client id (newer builds: 3128).",
                "The key does not allow the operation or the algorithm (`key_ops`, key type).",
                "The proxy requires a user name and password (407).",
                "Another change to the same key is in progress (409). This is temporary.",
            ),
            actions=(
                "Read status, service code and `reason`: `ekm-exporter probe TARGET`.",
                "Compare the name letter by letter with `az keyvault key list --vault-name VAULT`.",
                "For 407, allow the vault and Entra ID on the proxy without a password. The connector sends none.",
                for_dba("Check the credential string: the client id without hyphens, followed by the secret."),
            ),
        ),
    ),
    *both_generations(
        3111,
        ConnectorError(
            code=3013,
            symbol="ErrorHttpResponseCodeServerError",
            layer=Layer.HTTP,
            category=Category.SERVER,
            owner=Owner.VAULT,
            summary=(
                "The service, or a proxy in front of it, failed with a status of 500 or above. The key and the credential are not the "
                "cause."
            ),
            effect=WHILE_IT_LASTS,
            causes=(
                "Key Vault has an incident. At the token step, Entra ID has one.",
                "A proxy or gateway cannot reach the service (502, 503, 504).",
                "The vault's region fails over: no responses for some minutes, then only reads, wrap and unwrap work.",
            ),
            actions=(
                "Check Azure's status page, https://azure.status.microsoft, for Key Vault and Entra ID in this region.",
                "Show the failed step and its reason: `ekm-exporter probe TARGET`. `proxy_status` means the proxy failed.",
                DO_NOT_RESTART,
                SUPPORT,
            ),
        ),
    ),
    *both_generations(
        3112,
        ConnectorError(
            code=3076,
            symbol="ErrorHttpResourceNotFound",
            layer=Layer.HTTP,
            category=Category.MISSING,
            owner=Owner.VAULT,
            summary=(
                "Status 404: this vault has no key or key version with that name. Recover the key first; investigate afterwards."
            ),
            effect=WITHOUT_THE_KEY,
            causes=(
                "The key was deleted. A soft-deleted key can be recovered. A purged key needs a restore from backup.",
                "The key name or version is misspelt in SQL Server or in the exporter's configuration.",
                "IDENTITY of the SQL credential names a vault that does not hold the key.",
            ),
            actions=(
                "List the deleted keys: `az keyvault key list-deleted --vault-name VAULT`.",
                "Recover the key with all versions: `az keyvault key recover --vault-name VAULT --name KEY`.",
                DO_NOT_RESTART,
                "If it was purged: `az keyvault key restore --vault-name VAULT --file BACKUP`. The key keeps its old name.",
                "If it was never deleted, compare versions: `az keyvault key list-versions --vault-name VAULT --name KEY`.",
                for_dba(
                    "Show the thumbprint that the databases use: `SELECT encryptor_thumbprint FROM sys.dm_database_encryption_keys;`."
                ),
            ),
        ),
    ),
    *both_generations(
        3113,
        ConnectorError(
            code=3077,
            symbol="ErrorHttpOperationForbidden",
            layer=Layer.HTTP,
            category=Category.PERMISSION,
            owner=Owner.VAULT,
            summary="Status 403: the caller is known, and the operation is refused. SQL Server gets no key, unless only wrap is refused.",
            effect=f"{WITHOUT_THE_KEY}{LESS_WITHOUT_WRAP}",
            causes=(
                "`forbidden_rbac`, `forbidden_policy`: the role or access policy on this vault is missing or was removed.",
                "`forbidden_firewall`, `forbidden_connection`, `forbidden_nsp`: the vault blocks this network or address.",
                "`key_disabled`: the key version was disabled.",
                "`key_expired`, `key_not_yet_valid`: a key outside its dates still unwraps but does not wrap.",
                "The role was assigned only minutes ago and is not active yet.",
            ),
            actions=(
                "Show the refused step and `reason`: `ekm-exporter probe TARGET`.",
                "RBAC: assign the role `Key Vault Crypto Service Encryption User`, as `ekm-exporter explain forbidden_rbac` shows.",
                "Policy: allow the application `get`, `wrapKey` and `unwrapKey`, as `ekm-exporter explain forbidden_policy` shows.",
                "Firewall: permit the public address of the SQL Server host, as `ekm-exporter explain forbidden_firewall` shows.",
                "Disabled, expired, perimeter or private endpoint: run `ekm-exporter explain` with the reason, such as `key_disabled`.",
                DO_NOT_RESTART,
            ),
        ),
    ),
    ConnectorError(
        code=3128,
        symbol="ErrorHttpBadRequest",
        layer=Layer.HTTP,
        category=Category.IDENTITY,
        owner=Owner.IDENTITY,
        fallback=3012,
        summary=(
            "Entra ID rejected the sign-in with 400 before it checked the secret. Usually the application or tenant is unknown, or "
            "the client id is malformed. SQL Server gets no token and opens no session."
        ),
        effect=WITHOUT_THE_KEY,
        causes=(
            "The vault's tenant has no application with this client id (AADSTS700016): wrong id or tenant, or deleted.",
            "The credential string is malformed: hyphens in the client id, or the secret comes first.",
            "The tenant does not exist or is in another cloud (AADSTS90002, 900023, 90038).",
            "The application is disabled (AADSTS7000112), or Conditional Access blocks the sign-in (AADSTS53003).",
        ),
        actions=(
            "Read the AADSTS number: `ekm-exporter probe TARGET`.",
            "Check that the application exists: `az ad sp show --id CLIENT_ID --query accountEnabled`.",
            SHOW_TENANT,
            for_dba(f"Correct the string, on every replica: {ALTER}."),
            CRED_AND_STRING,
            DO_NOT_RESTART,
        ),
    ),
)
