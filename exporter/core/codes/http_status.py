"""The HTTP layer once there is an answer: what its status means. Also 3000 and 3001, which are for every operation.

The classic number stands here; its twin is the first argument of `twins`. Not for: answers that never came or broke off
(see `http_connection`), or that cannot be read (one module per operation).
"""

from __future__ import annotations

from exporter.core.codes.model import Category, ConnectorError, Layer, Owner
from exporter.core.codes.shared import DO_NOT_RESTART, FIND_INTERCEPTION, SUPPORT, both_generations

HTTP_STATUS: tuple[ConnectorError, ...] = (
    ConnectorError(
        code=3000,
        symbol="ErrorSuccess",
        layer=Layer.HTTP,
        category=Category.SUCCESS,
        owner=Owner.VAULT,
        summary="The exchange with Key Vault went well. Nothing to repair.",
        causes=(),
        actions=(),
        unobservable_because="It is no failure: a good step shows as `ekm_step_success 1`, and no code is counted.",
    ),
    ConnectorError(
        code=3001,
        symbol="ErrorUnknown",
        layer=Layer.HTTP,
        category=Category.UNKNOWN,
        owner=Owner.NETWORK,
        summary=(
            "It failed in a way no other code covers. From a probe, `reason` says how: mostly an answer that neither a vault nor "
            "Entra ID gives. SQL Server could not use such an answer either."
        ),
        causes=(
            "`redirect` or `no_challenge`: a portal, proxy or gateway answers instead of the vault.",
            "`authority_untrusted`: the vault's answer sends the sign-in to a host unknown as Entra ID. The secret was kept back.",
            "`resource_mismatch`: the answer wants a token for a service other than this vault. None was requested.",
            "`unexpected_status`: an answer with a status that makes no sense here.",
            "`secret_unreadable`, `secret_timeout` or `internal`: the exporter's own host or code is at fault; its log has more.",
        ),
        actions=(
            "Read `reason` and the failed step: `ekm-exporter probe TARGET`.",
            FIND_INTERCEPTION,
            "For `authority_untrusted` in a private cloud, set `authority_host` in the module, once sure who runs that host.",
            "If SQL Server itself shows it, read the connector's event log for the operation and its `info` number.",
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
                "Status 401. From a probe: Entra ID gave a token and the vault would not have it. In the connector's event log: "
                "most often a refused sign-in, for which SQL Server itself shows 3303."
            ),
            causes=(
                "In the event log, beside 3303: the client secret is expired or wrong.",
                "The vault cannot verify tokens for the moment (AKV10046): a fault on Azure's side that passes.",
                "A proxy removes or changes the `Authorization` header.",
                "The application was disabled or deleted just after its token was issued.",
            ),
            actions=(
                "See which step gets the 401: `ekm-exporter probe TARGET`. At the token step, follow `ekm-exporter explain 3303`.",
                "At any other step, try again in ten minutes and look at Azure's status page.",
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
                "Status 429: more requests arrive than the service allows. While it lasts, any of SQL Server's key operations may "
                "be turned away, and a restart may leave databases closed."
            ),
            causes=(
                "Another application uses the same vault heavily; reading secrets in a loop is the usual one.",
                "Many SQL Servers open databases at once: patch night, failover, mass restore.",
                "The subscription is at its limit, five times that of one vault, because of other vaults.",
                "Slow key types: a 3072-bit HSM key is allowed 500 operations in 10 s, a 2048-bit one 2,000.",
                "At the token step: the tenant is throttled, by too many sign-ins.",
            ),
            actions=(
                "See who calls: the vault's metric `ServiceApiHit`, and its audit log by caller address.",
                "Stop or slow that caller. Spread planned restarts and restores of SQL Servers over time.",
                DO_NOT_RESTART,
                "See the exporter's own share in `ekm_request_budget_ratio`; above 0.1, lengthen `interval`.",
                "For good: give SQL Server's keys a vault of their own.",
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
                "The request was turned down with a status from 400 to 499 that has no code of its own. The same request will fail "
                "again until what it asks for is corrected."
            ),
            causes=(
                "Key name or version in SQL Server or the configuration is malformed: only letters, digits and hyphens are.",
                "Builds of 2018 to 2020: Entra ID answered 400, mostly for hyphens left in the client id (newer builds: 3128).",
                "The key does not allow the operation or the algorithm (`key_ops`, key type).",
                "The proxy wants a user name and password (407).",
                "Another change to the same key was under way (409); that passes.",
            ),
            actions=(
                "Read status, service code and `reason`: `ekm-exporter probe TARGET`.",
                "Compare the name letter by letter with `az keyvault key list --vault-name VAULT`.",
                "For 407, let the vault and Entra ID pass the proxy without a password: the connector sends none.",
                "Check the credential string: client id without hyphens, then the secret.",
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
                "The service, or a proxy before it, failed with a status of 500 or above. Nothing is wrong with key or credential; "
                "SQL Server's databases stay open as long as they need no key."
            ),
            causes=(
                "An incident of Key Vault or, at the token step, of Entra ID.",
                "A proxy or gateway cannot reach the service (502, 503, 504).",
                "A failover of the vault's region: for some minutes no answers, then none to requests that change something.",
            ),
            actions=(
                "Look at Azure's status page, https://azure.status.microsoft, for Key Vault and Entra ID in this region.",
                "See which step fails and who answers: `ekm-exporter probe TARGET` (`proxy_status` means the proxy).",
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
                "Status 404: this vault has no key, or no key version, of that name. SQL Server cannot open what is protected by it "
                "after the next restart; recover the key first, ask why later."
            ),
            causes=(
                "The key was deleted. With soft-delete it can be recovered; a purged one only comes back from a backup.",
                "A name or version with a typing error, in SQL Server or in the exporter's configuration.",
                "IDENTITY of the SQL credential names another vault than the one with the key.",
            ),
            actions=(
                "Look among the deleted keys: `az keyvault key list-deleted --vault-name VAULT`.",
                "Recover it, with all versions: `az keyvault key recover --vault-name VAULT --name KEY`.",
                DO_NOT_RESTART,
                "If purged: `az keyvault key restore --vault-name VAULT --file BACKUP`; it returns under its old name.",
                "If never deleted, compare: `az keyvault key list-versions --vault-name VAULT --name KEY`.",
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
            summary=(
                "Status 403: the vault knows the caller and refuses the operation. If reading or unwrapping is refused, databases "
                "will not open after a restart; if only wrapping is, they open but no key can be rotated."
            ),
            causes=(
                "`forbidden_rbac`, `forbidden_policy`: role or access policy was removed, or never given on this vault.",
                "`forbidden_firewall`, `forbidden_connection`: the vault lets in only listed addresses or a private endpoint.",
                "`key_disabled`: the key version was disabled.",
                "`key_expired`, `key_not_yet_valid`: outside its dates a key still unwraps, but no longer wraps.",
                "A role given a moment ago: it takes minutes to work.",
            ),
            actions=(
                "See which step is refused and `reason`: `ekm-exporter probe TARGET`.",
                "RBAC: give the application `Key Vault Crypto Service Encryption User` on the vault.",
                "Policy: `az keyvault set-policy -n VAULT --spn APP --key-permissions P`, where P is `get wrapKey unwrapKey`.",
                "Firewall: add the caller, `az keyvault network-rule add --name VAULT --ip-address IP`, or use the private endpoint.",
                "Disabled: `az keyvault key set-attributes --id KEY_ID --enabled true`; expired: move `--expires`, then rotate.",
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
        alias=3012,
        summary=(
            "Entra ID answered the sign-in with 400: it did not get as far as checking the secret. Usually application or tenant "
            "is unknown, or the client id is garbled. SQL Server gets no token and opens no session."
        ),
        causes=(
            "The client id is not known in the vault's tenant (AADSTS700016): wrong id, wrong tenant, or application deleted.",
            "The credential string is garbled: hyphens left in the client id, or the secret put first.",
            "The tenant does not exist or is in another cloud (AADSTS90002, 900023, 90038).",
            "The application is disabled (AADSTS7000112), or Conditional Access forbids the sign-in (AADSTS53003).",
        ),
        actions=(
            "Read the AADSTS number: `ekm-exporter probe TARGET`.",
            "Does the application exist here? `az ad sp show --id CLIENT_ID --query accountEnabled`.",
            "Which tenant does the vault trust? `az keyvault show --name VAULT --query properties.tenantId`.",
            "Correct the string: `ALTER CREDENTIAL CRED WITH IDENTITY = 'VAULT', SECRET = 'STRING';`.",
            DO_NOT_RESTART,
        ),
    ),
)
