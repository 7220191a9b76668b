"""The `az` commands of documents, runbooks and tickets, with the arguments in use, each compared with the help of azure-cli 2.91.0
and of its extensions where one is named.

The package is too large to install for one test. Add what is missing here only if it is in the help of a current release.
"""

from typing import Final

# Arguments of every command.
EVERYWHERE: Final = frozenset(
    ["--debug", "--help", "--only-show-errors", "--output", "-o", "--query", "--subscription", "--verbose"]
)

AZ: Final = {
    command: frozenset(arguments.split())
    for command, arguments in {
        "account list": "",
        "account set": "",
        "account show": "",
        "ad app credential delete": "--id --key-id",
        "ad app credential list": "--cert --id",
        "ad app credential reset": "--append --cert --display-name --id --years",
        "ad app permission add": "--api --api-permissions --id",
        "ad app permission admin-consent": "--id",
        "ad sp create": "--id",
        "ad sp show": "--id",
        "connectedmachine show": "--name --resource-group",  # extension connectedmachine
        "aks update": "--azure-monitor-workspace-resource-id --enable-azure-monitor-metrics --name --resource-group",
        "deployment group create": "--parameters --resource-group --template-file",
        "extension add": "--name",
        "grafana create": "--name --resource-group",  # extension amg
        "grafana dashboard import": "--definition --folder --name --overwrite --resource-group",
        "grafana folder create": "--name --resource-group --title",
        "keyvault create": "--enable-purge-protection --enable-rbac-authorization --location --name --resource-group",
        "keyvault key backup": "--file --name --vault-name",
        "keyvault key create": "--kty --name --vault-name",
        "keyvault key list": "--hsm-name --vault-name",
        "keyvault key list-deleted": "--vault-name",
        "keyvault key list-versions": "--name --vault-name",
        "keyvault key recover": "--name --vault-name",
        "keyvault key restore": "--file --vault-name",
        "keyvault key rotation-policy show": "--name --vault-name",
        "keyvault key set-attributes": "--enabled --expires --name --not-before --ops --vault-name --version",
        "keyvault key show": "--hsm-name --name --vault-name --version",
        "keyvault list-deleted": "",
        "keyvault network-rule add": "--ip-address --name",
        "keyvault network-rule list": "--hsm-name --name",
        "keyvault recover": "--name",
        "keyvault role assignment create": "--assignee-object-id --assignee-principal-type --hsm-name --role --scope",
        "keyvault role assignment list": "--assignee-object-id --hsm-name --scope",
        "keyvault set-policy": "--key-permissions --name --object-id --secret-permissions --spn -n",
        "keyvault show": "--hsm-name --name",
        "login": "--tenant",
        "monitor account create": "--location --name --resource-group",
        "monitor account show": "--name --resource-group",
        "monitor action-group create": "--action --name --resource-group --short-name",
        "monitor activity-log list": "--max-events --namespace --offset --resource-id",
        "monitor alert-processing-rule create": (  # extension alertsmanagement
            "--name --resource-group --rule-type --schedule-end-datetime --schedule-start-datetime --schedule-time-zone --scopes"
        ),
        "rest": "--url",
        "role assignment create": "--assignee --assignee-object-id --assignee-principal-type --role --scope",
        "role assignment list": "--assignee --include-groups --include-inherited --scope",
        "role definition create": "--role-definition",
        "role definition list": "--custom-role-only --name",
        "sql vm enable-azure-ad-auth": "--name --resource-group",
        "sql vm validate-azure-ad-auth": "--name --resource-group",
        "vm identity assign": "--name --resource-group",
        "vm identity show": "--name --resource-group",
        "vm show": "--name --resource-group",
    }.items()
}
