"""The actions of a failure as steps for another team."""

import re

import pytest

from exporter.knowledge.code_row import for_dba, for_exporter, for_network, for_vault
from exporter.knowledge.codes import CODES
from exporter.knowledge.reasons import Reason
from exporter.knowledge.tickets import (
    AZ,
    KQL,
    MOST_STEPS,
    PORTAL,
    POWERSHELL,
    RUN,
    Place,
    Team,
    TeamStep,
    check_command,
    command_lines,
    scope_lines,
    team_steps,
)
from tests.repo.powershell import errors, parsed

CENTRAL, AT_SQL = Place("mon1", is_sql_host=False), Place("sql1", is_sql_host=True)


def steps(*actions, team=Team.VAULT, place=CENTRAL):
    return team_steps(team, actions, place, "contoso")


def test_step_has_its_command_in_three_forms():
    (step,) = steps("Recover the key: `az keyvault key recover --vault-name contoso --name K`.")
    assert step == TeamStep(
        "Recover the key.",
        (
            (AZ, "az keyvault key recover --vault-name contoso --name K"),
            (POWERSHELL, "Undo-AzKeyVaultKeyRemoval -VaultName contoso -Name K"),
            (PORTAL, "Key vaults > contoso > Objects > Keys > Manage deleted keys > K > Recover"),
        ),
    )


def test_step_keeps_a_command_within_its_sentence():
    (step,) = steps("Compare with `az keyvault key list --vault-name contoso` and `no_proxy`.")
    assert step.text == "Compare with az keyvault key list --vault-name contoso and no_proxy."
    assert [label for label, _ in step.lines] == [AZ, POWERSHELL, PORTAL]


def test_condition_refers_to_its_command():
    (step,) = steps("If it was purged: `az keyvault key restore --vault-name contoso --file BACKUP`. The key keeps its name.")
    assert step.text == "If it was purged, see below. The key keeps its name."


def test_a_dot_within_a_name_ends_no_condition():
    (step,) = steps("For a network with the service endpoint Microsoft.KeyVault: `az keyvault network-rule list --name contoso`.")
    assert step.text == "For a network with the service endpoint Microsoft.KeyVault, see below."


def test_no_action_is_cut_within_a_word():
    rows = [each.row for each in Reason]
    addresses = [each for row in rows if (by := row.by_address) for each in (by.private, by.sql_host, by.other_host)]
    every = [*(row.actions for row in rows), *(row.on_hsm for row in rows), *addresses, *(code.actions for code in CODES)]
    texts = [step.text for actions in every for action in actions for step in steps(action)]
    assert len(texts) > 100
    assert not [text for text in texts if re.search(r"see below(?!\.( |$)|, |$)", text)]


def test_command_of_no_azure_module_is_to_run():
    (step,) = steps("Show it: `curl -v https://contoso`.")
    assert step.lines == ((RUN, "curl.exe -v https://contoso"),)


def test_command_without_an_equivalent_stays_alone():
    assert list(command_lines("az keyvault purge --name contoso", "contoso")) == [(AZ, "az keyvault purge --name contoso")]


def test_actions_of_dba_and_operator_are_left_out():
    found = steps("Recover it.", for_dba("Restart it."), for_exporter("Configure it."), for_vault("Wait."))
    assert [step.text for step in found] == ["Recover it.", "Wait."]
    assert steps(for_dba("Restart it.")) == []


def test_action_of_another_team_is_forwarded_last():
    first, last = steps(for_vault("Show it: `az keyvault key list --vault-name contoso`."), "Find it.", team=Team.NETWORK)
    assert first == TeamStep("Find it.")
    assert last.text == "For the vault team (Azure Key Vault): Show it."
    assert [label for label, _ in last.lines] == [AZ, POWERSHELL, PORTAL]
    assert steps(for_network("Find it."), team=Team.MICROSOFT)[0].text == "For the network team: Find it."


def test_page_of_the_portal_and_query_are_lines():
    (step,) = steps("Approve it: `Key vaults > contoso > Networking`.")
    assert step == TeamStep("Approve it.", ((PORTAL, "Key vaults > contoso > Networking"),))
    (step,) = steps("Who calls? `ekm-exporter script callers.kql --vault contoso`. Stop that caller.")
    assert step.lines == ((KQL, "ekm-exporter script callers.kql --vault contoso"),)


@pytest.mark.parametrize(
    ("vault", "team", "shown"),
    [
        (
            "contoso.vault.azure.net",
            Team.VAULT,
            ["az account set --subscription SUBSCRIPTION", "Connect-AzAccount -Subscription SUBSCRIPTION"],
        ),
        ("contoso.vault.azure.net", Team.IDENTITY, []),
        ("contoso.vault.example", Team.IDENTITY, []),
        (
            "contoso.vault.azure.cn",
            Team.IDENTITY,
            ["az cloud set --name AzureChinaCloud; az login", "Connect-AzAccount -Environment AzureChinaCloud"],
        ),
        (
            "contoso.managedhsm.usgovcloudapi.net",
            Team.VAULT,
            [
                "az cloud set --name AzureUSGovernment; az login; az account set --subscription SUBSCRIPTION",
                "Connect-AzAccount -Environment AzureUSGovernment -Subscription SUBSCRIPTION",
            ],
        ),
    ],
)
def test_commands_select_cloud_and_subscription(vault, team, shown):
    assert [line for _, line in scope_lines(team, vault)] == shown


def test_most_steps_are_bounded():
    assert len(steps(*(f"Do {number}." for number in range(9)))) == MOST_STEPS


@pytest.mark.parametrize(
    ("place", "text", "shown"),
    [
        (CENTRAL, "Resolve it, here and on the SQL Server host.", "Resolve it, on mon1 and on the SQL Server host."),
        (AT_SQL, "Resolve it, here and on the SQL Server host.", "Resolve it, on the SQL Server host."),
        (CENTRAL, "Show it, here and from another network.", "Show it, on mon1 and from another network."),
        (CENTRAL, "Only this exporter's network.", "Only mon1's network."),
        (CENTRAL, "Read the detail of the probe.", "Read the evidence above."),
        (
            CENTRAL,
            "If the vault refuses there too, allow the address that the probe shows there.",
            "If it refuses SQL Server too, allow the public address of the SQL Server host.",
        ),
        (
            AT_SQL,
            "If the vault refuses there too, allow the address that the probe shows there.",
            "Allow the public address of each SQL Server host.",
        ),
    ],
)
def test_place_has_its_name(place, text, shown):
    assert steps(text, place=place)[0].text == shown


def test_resource_id_of_the_vault_is_looked_up():
    role = "Assign: `az role assignment create --role Reader --assignee-object-id O --scope VAULT_ID`."
    known, _ = steps(role, "VAULT_ID is the output of `az keyvault show --name contoso --query id`. The role takes minutes.")
    assert known.lines[0][1].endswith('--scope "$(az keyvault show --name contoso --query id --output tsv)"')
    assert known.lines[1][1].endswith("-Scope (Get-AzKeyVault -VaultName contoso).ResourceId")
    assert steps(role, "VAULT_ID is the output of `az keyvault show --name c`. Wait.")[1] == TeamStep("Wait.")


def test_role_on_a_key_looks_up_the_vault():
    role = "Assign: `az role assignment create --role Reader --assignee-object-id O --scope VAULT_ID/keys/K`."
    (step,) = steps(role)
    shell, shown, portal = (line for _, line in step.lines)
    assert shell.endswith('--scope "$(az keyvault show --name contoso --query id --output tsv)/keys/K"')
    assert shown.endswith('-Scope "$((Get-AzKeyVault -VaultName contoso).ResourceId)/keys/K"')
    assert errors(parsed(shown)) == []
    assert portal == "Key vaults > contoso > Objects > Keys > K > Access control (IAM) > Add > Add role assignment > Reader"


def test_check_shows_the_effect_of_the_first_change():
    show, recover = (
        "Show it: `az keyvault key list --vault-name contoso`.",
        "Then: `az keyvault key recover --vault-name contoso --name K`.",
    )
    assert check_command((show, recover), "contoso") == "az keyvault key show --vault-name contoso --name K --query attributes"
    assert check_command((show, "Run `curl -v`."), "contoso") == ""
