"""The `az` commands of the documents and runbooks, with their arguments, from the help of azure-cli 2.91.0
and of its extensions where one is named.

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
        "account list": "--all --refresh",
        "account set": "--name --subscription -n -s",
        "account show": "--name --subscription -n -s",
        "ad app credential delete": "--cert --id --key-id",
        "ad app credential list": "--cert --id",
        "ad app credential reset": "--append --cert --create-cert --display-name --end-date --id --keyvault --years",
        "ad app federated-credential list": "--id",
        "ad app list": "--all --app-id --display-name --filter --identifier-uri --show-mine",
        "ad app permission add": "--api --api-permissions --id",
        "ad app permission admin-consent": "--id",
        "ad app show": "--id",
        "ad sp create": "--id",
        "ad sp show": "--id",
        "ad sp update": "--add --force-string --id --remove --set",
        "connectedmachine show": "--machine-name --name --resource-group -g -n",  # extension connectedmachine
        "cloud show": "--name -n",
        "aks update": "--azure-monitor-workspace-resource-id --enable-azure-monitor-metrics --name --resource-group -g -n",
        "deployment group create": (
            "--confirm-with-what-if --mode --name --no-prompt --no-wait --parameters --resource-group --template-file "
            "--template-spec --template-uri --what-if -c -f -g -n -p -u -w"
        ),
        "extension add": "--allow-preview --name --source --system --upgrade --version --yes -n -s -y",
        "grafana create": (  # extension amg
            "--deterministic-outbound-ip --grafana-major-version --location --name --no-wait --principal-ids "
            "--public-network-access --resource-group --service-account --sku-tier --tags --zone-redundancy -g -i -l -n -p -v"
        ),
        "grafana dashboard import": "--api-key --definition --folder --name --overwrite --resource-group --token -g -n -t",
        "grafana folder create": "--api-key --name --resource-group --title --token -g -n -t",
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
        "keyvault network-rule list": "--hsm-name --name --resource-group -g -n",
        "keyvault recover": "--hsm-name --location --name --no-wait --resource-group -g -l -n",
        "keyvault role assignment create": (
            "--assignee --assignee-object-id --assignee-principal-type --hsm-name --id --name --role --scope -n -t"
        ),
        "keyvault role assignment list": "--assignee --assignee-object-id --hsm-name --id --role --scope",
        "keyvault set-policy": (
            "--application-id --certificate-permissions --key-permissions --name --no-wait --object-id --resource-group "
            "--secret-permissions --spn --storage-permissions --upn -g -n"
        ),
        "keyvault show": "--hsm-name --name --resource-group -g -n",
        "login": "--allow-no-subscriptions --certificate --client-id --federated-token --identity --service-principal --tenant --use-device-code -t",
        "monitor account create": (
            "--azure-monitor-workspace-name --enable-access-using-resource-permissions --enable-res-perm --location "
            "--mi-system-assigned --mi-user-assigned --name --public-network-access --resource-group --tags -g -l -n"
        ),
        "monitor account show": "--azure-monitor-workspace-name --ids --name --resource-group -g -n",
        "monitor action-group create": (
            "--action --action-group-name --actions --arm-role-receivers --automation-runbook-receivers "
            "--azure-app-push-receivers --azure-function-receivers --email-receivers --enabled --event-hub-receivers "
            "--group-short-name --incident-receivers --itsm-receivers --location --logic-app-receivers --mi-system-assigned "
            "--mi-user-assigned --name --no-wait --resource-group --short-name --sms-receivers --tags --voice-receivers "
            "--webhook-receivers -a -g -l -n"
        ),
        "monitor activity-log list": (
            "--caller --correlation-id --end-time --max-events --namespace --offset --resource-group --resource-id --select "
            "--start-time --status -g"
        ),
        "monitor alert-processing-rule create": (  # extension alertsmanagement
            "--action-groups --description --enabled --filter-alert-context --filter-alert-rule-description "
            "--filter-alert-rule-id --filter-alert-rule-name --filter-monitor-condition --filter-monitor-service "
            "--filter-resource-group --filter-resource-type --filter-severity --filter-signal-type --filter-target-resource "
            "--name --resource-group --rule-type --schedule-end-datetime --schedule-recurrence --schedule-recurrence-end-time "
            "--schedule-recurrence-start-time --schedule-recurrence-type --schedule-start-datetime --schedule-time-zone "
            "--scopes --tags -g -n"
        ),
        "monitor metrics list": (
            "--aggregation --end-time --filter --interval --metadata --metrics --namespace --offset --orderby --resource --resource-group "
            "--resource-namespace --resource-parent --resource-type --start-time --top -g"
        ),
        "network private-dns link vnet list": "--max-items --next-token --resource-group --zone-name -g -z",
        "rest": "--body --headers --method --output-file --resource --skip-authorization-header --uri --uri-parameters --url -b -m -u",
        "role assignment create": (
            "--assignee --assignee-object-id --assignee-principal-type --condition --condition-version --description --name "
            "--role --scope -n"
        ),
        "role assignment list": (
            "--all --assignee --assignee-object-id --fill-principal-name --fill-role-definition-name --include-groups "
            "--include-inherited --resource-group --role --scope -g"
        ),
        "role definition create": "--role-definition",
        "role definition list": "--custom-role-only --name --resource-group --scope -g -n",
        "sql vm enable-azure-ad-auth": "--ids --msi-client-id --name --resource-group --skip-client-validation -g -n",
        "sql vm validate-azure-ad-auth": "--ids --msi-client-id --name --resource-group -g -n",
        "vm identity assign": "--identities --ids --name --resource-group --role --scope -g -n",
        "vm identity show": "--ids --name --resource-group --subscription -g -n",
        "vm show": "--ids --include-user-data --name --resource-group --show-details -d -g -n -u",
    }.items()
}
