"""Sentences and commands that several rows of the advice tables share."""

from __future__ import annotations

from exporter.core.codes.readers import for_dba, for_vault
from exporter.core.codes.shared import DO_NOT_RESTART

PROBE = "`ekm-exporter probe TARGET`"
COMPARE_HOSTS = for_dba(f"Run {PROBE} on the SQL Server host: the firewall may allow that host although it blocks this one.")
REPEAT = for_dba(f"Then repeat the probe: {PROBE}.")
AGAIN = (REPEAT, DO_NOT_RESTART)
CAUSE_IS_ELSEWHERE = "Do not renew the credential: it is not the cause."
SYNCHRONISE = for_dba("Synchronise the clock of this host: `w32tm /resync` on Windows, `chronyc makestep` on Linux.")
SIGN_IN_LOG = "Entra admin center > Monitoring & health > Sign-in logs > Service principal sign-ins"
STATUS_PAGE = "Check Azure's status page: https://azure.status.microsoft."
SHOW_TENANT = "Show the vault's tenant: `az keyvault show --name VAULT --query properties.tenantId`."
MOVED_TENANT = (
    for_vault(
        "After a subscription move, change the vault's tenant: https://learn.microsoft.com/azure/key-vault/general/move-subscription."
    ),
    for_vault("That change invalidates every access policy of the vault, for all users."),
)
USE_ITS_TENANT = (
    SHOW_TENANT,
    for_dba("Compare it with `tenant_id` of the credential, and correct that one if it differs."),
    "Use an application in the vault's tenant. Show whether this one is there: `az ad sp show --id CLIENT_ID --query appId`.",
    *MOVED_TENANT,
    DO_NOT_RESTART,
)
SHOW_CONNECTION = "Show the connection and its response, here and from another network: `curl -v https://HOST`."
SHOW_CHANGES = "`az monitor activity-log list --resource-id VAULT_ID --offset 6h`"
UNDO_CHANGE = f"Undo the change, which this shows: {SHOW_CHANGES}. If it was intended:"
SHOW_ZONE_LINKS = "`az network private-dns link vnet list --resource-group DNS_GROUP --zone-name DNS_ZONE`"
SHOW_HANDSHAKE = (
    "Show the certificate, its dates and its issuer, here and from another network: "
    "`openssl s_client -connect HOST:443 -servername HOST`."
)
COMPARE_PROXY = for_dba("Compare with the proxy of SQL Server's service account, which may be another one.")
# Of the principal, which a managed identity has too. The object id of the application is another one.
FIND_OBJECT_ID = (
    "OBJECT_ID is the principal's: `az ad sp show --id CLIENT_ID --query id --output tsv`. "
    "That of a managed identity is in the portal under Identity of the VM or Arc machine."
)
SHOW_POLICIES = "`az keyvault show --name VAULT --query properties.accessPolicies`"
SHOW_ROLES = "`az role assignment list --assignee OBJECT_ID --scope VAULT_ID/keys/KEY --include-inherited --include-groups`"
ASSIGNEE = "--assignee-object-id OBJECT_ID --assignee-principal-type ServicePrincipal"
LOOK_UP_NUMBER = "Read Entra ID's sentence in the detail of the probe, and look up its number: `https://login.microsoftonline.com/error?code=NUMBER`."
KEEP_CREDENTIAL = "Change no credential in Entra ID and none in SQL Server until the sentence names it as the cause."
SHOW_FEDERATION = (
    "Compare issuer, subject and audience with the pod's service account: `az ad app federated-credential list --id CLIENT_ID`."
)
REGISTER = "`az ad app credential reset --id CLIENT_ID --append --cert @CERTIFICATE.pem`"
RESET = "`az ad app credential reset --id CLIENT_ID --append`"
ALTER = "`ALTER CREDENTIAL [CRED] WITH IDENTITY = 'VAULT', SECRET = 'STRING';`"
# For a credential of several vaults: each SQL Server's own IDENTITY is in its credentials.
EACH_IDENTITY = for_dba(
    "IDENTITY differs by vault: on each SQL Server, `sqlcmd -E -h -1 -W -w 65535 -i alter-credential.sql` writes each statement "
    "with the IDENTITY of its credential. `ekm-exporter script alter-credential.sql` prints the script."
)
# The words of ALTER that only the reader knows.
CRED_AND_STRING = for_dba(
    "CRED is its name in `sys.credentials`. STRING is the client id without hyphens, then the secret's value: at most 120 characters."
)
