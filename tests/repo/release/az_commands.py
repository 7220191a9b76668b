"""The `az` commands that the documents use, with their arguments, from the help of azure-cli 2.91.0.

The package is too large to install for one test. Add a command that is missing here from the help of a current release.
"""

from typing import Final

# Arguments of every command.
EVERYWHERE: Final = frozenset(
    ["--debug", "--help", "--only-show-errors", "--output", "-o", "--query", "--subscription", "--verbose"]
)

AZ: Final = {
    command: frozenset(arguments.split())
    for command, arguments in {
        "ad app credential delete": "--cert --id --key-id",
        "ad app credential list": "--cert --id",
        "ad app credential reset": "--append --cert --create-cert --display-name --end-date --id --keyvault --years",
        "ad app permission add": "--api --api-permissions --id",
        "ad app permission admin-consent": "--id",
        "ad sp show": "--id",
        "keyvault create": (
            "--administrators --bypass --default-action --enable-purge-protection --enable-rbac-authorization "
            "--enabled-for-deployment --enabled-for-disk-encryption --enabled-for-template-deployment --hsm-name --location "
            "--mi-user-assigned --name --network-acls --network-acls-ips --network-acls-vnets --no-self-perms --no-wait "
            "--public-network-access --resource-group --retention-days --sku --tags -g -l -n"
        ),
        "keyvault key backup": "--file --hsm-name --id --name --vault-name -f -n",
        "keyvault key create": (
            "--curve --default-cvm-policy --default-data-disk-policy --default-dd-policy --disabled --expires --exportable "
            "--external-key-id --hsm-name --id --immutable --kty --name --not-before --ops --policy --protection --size "
            "--tags --vault-name -n -p"
        ),
        "keyvault key list": "--hsm-name --id --include-managed --maxresults --vault-name",
        "keyvault key list-deleted": "--hsm-name --id --maxresults --vault-name",
        "keyvault key list-versions": "--hsm-name --id --maxresults --name --vault-name -n",
        "keyvault key recover": "--hsm-name --id --name --vault-name -n",
        "keyvault key restore": (
            "--backup-folder --blob-container-name --file --hsm-name --id --name --no-wait --storage-account-name "
            "--storage-container-SAS-token --storage-resource-uri --vault-name -f -n -t -u"
        ),
        "keyvault key rotation-policy show": "--hsm-name --id --name --vault-name -n",
        "keyvault key set-attributes": (
            "--enabled --expires --hsm-name --id --immutable --name --not-before --ops --policy --tags --vault-name "
            "--version -n -v"
        ),
        "keyvault key show": "--hsm-name --id --name --vault-name --version -n -v",
        "keyvault list-deleted": "--resource-type",
        "keyvault network-rule add": "--hsm-name --ip-address --name --no-wait --resource-group --subnet --vnet-name -g -n",
        "keyvault recover": "--hsm-name --location --name --no-wait --resource-group -g -l -n",
        "keyvault role assignment create": (
            "--assignee --assignee-object-id --assignee-principal-type --hsm-name --id --name --role --scope -n -t"
        ),
        "keyvault set-policy": (
            "--application-id --certificate-permissions --key-permissions --name --no-wait --object-id --resource-group "
            "--secret-permissions --spn --storage-permissions --upn -g -n"
        ),
        "keyvault show": "--hsm-name --name --resource-group -g -n",
        "monitor activity-log list": (
            "--caller --correlation-id --end-time --max-events --namespace --offset --resource-group --resource-id --select "
            "--start-time --status -g"
        ),
        "role assignment create": (
            "--assignee --assignee-object-id --assignee-principal-type --condition --condition-version --description --name "
            "--role --scope -n"
        ),
        "role definition create": "--role-definition",
        "role definition list": "--custom-role-only --name --resource-group --scope -g -n",
        "vm identity show": "--ids --name --resource-group --subscription -g -n",
    }.items()
}
