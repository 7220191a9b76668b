"""Sentences and commands that several rows of the advice tables share."""

from __future__ import annotations

from exporter.core.codes.shared import DO_NOT_RESTART

PROBE = "`ekm-exporter probe TARGET`"
REPEAT = f"Then repeat the probe: {PROBE}."
AGAIN = (REPEAT, DO_NOT_RESTART)
CAUSE_IS_ELSEWHERE = "Do not renew the credential: it is not the cause."
SYNCHRONISE = "Synchronise the clock of this host: `w32tm /resync` on Windows, `chronyc makestep` on Linux."
STATUS_PAGE = "Check Azure's status page: https://azure.status.microsoft."
SHOW_TENANT = "Show the vault's tenant: `az keyvault show --name VAULT --query properties.tenantId`."
USE_ITS_TENANT = (
    SHOW_TENANT,
    "Compare it with `tenant_id` of the credential, and correct that one if it differs.",
    "Use an application in the vault's tenant. Show whether this one is there: `az ad sp show --id CLIENT_ID --query appId`.",
    "After a subscription move, update the vault's tenant and assign the permissions again.",
    DO_NOT_RESTART,
)
SHOW_CONNECTION = "Show the connection and its response, here and from another network: `curl -v https://HOST`."
SHOW_HANDSHAKE = (
    "Show the certificate, its dates and its issuer, here and from another network: "
    "`openssl s_client -connect HOST:443 -servername HOST`."
)
COMPARE_PROXY = "Compare with the proxy of SQL Server's service account, which may be another one."
# Of the principal, which a managed identity has too. The object id of the application is another one.
FIND_OBJECT_ID = (
    "OBJECT_ID is the principal's: `az ad sp show --id CLIENT_ID --query id --output tsv`. "
    "That of a managed identity is in the portal under Identity of the VM or Arc machine."
)
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
EACH_IDENTITY = (
    "IDENTITY differs by vault: on each SQL Server, `sqlcmd -E -h -1 -W -w 65535 -i alter-credential.sql` writes each statement "
    "with the IDENTITY of its credential. `ekm-exporter script alter-credential.sql` prints the script."
)
# The words of ALTER that only the reader knows.
CRED_AND_STRING = "CRED is its name in `sys.credentials`. STRING is the client id without hyphens, then the secret's value: at most 120 characters."
