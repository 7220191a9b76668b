"""The actions of a failure as steps for another team."""

import pytest

from exporter.core.reasons import Reason
from exporter.core.tickets.steps import (
    AZ,
    MOST_STEPS,
    PORTAL,
    POWERSHELL,
    RUN,
    Place,
    TeamStep,
    check_command,
    command_lines,
    team_steps,
)

CENTRAL, AT_SQL = Place("mon1", is_sql_host=False), Place("sql1", is_sql_host=True)


def steps(*actions, place=CENTRAL):
    return team_steps(actions, place, "contoso")


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


def test_command_of_no_azure_module_is_to_run():
    (step,) = steps("Show it: `curl -v https://contoso`.")
    assert step.lines == ((RUN, "curl.exe -v https://contoso"),)


def test_command_without_an_equivalent_stays_alone():
    assert list(command_lines("az keyvault purge --name contoso", "contoso")) == [(AZ, "az keyvault purge --name contoso")]


@pytest.mark.parametrize("reason", [Reason.SECRET_EXPIRED, Reason.CREDENTIALS_REFUSED, Reason.FORBIDDEN_RBAC])
def test_actions_of_the_dba_are_left_out(reason):
    found = steps(*reason.row.actions)
    assert found
    assert not [each for each in found if any(word in each.text for word in ("ekm-exporter", "ALTER", "restart", "exporter's"))]


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


def test_check_shows_the_effect_of_the_first_change():
    show, recover = (
        "Show it: `az keyvault key list --vault-name contoso`.",
        "Then: `az keyvault key recover --vault-name contoso --name K`.",
    )
    assert check_command((show, recover), "contoso") == "az keyvault key show --vault-name contoso --name K --query attributes"
    assert check_command((show, "Run `curl -v`."), "contoso") == ""
