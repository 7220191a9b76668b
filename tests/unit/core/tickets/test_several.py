"""The steps of several vaults, keys or applications as one list."""

import pytest

from exporter.core.tickets.several import MOST_LISTED, TicketPart, merged_steps, noun, titles
from exporter.core.tickets.steps import AZ, KQL, OLD_KQL, PORTAL, POWERSHELL, RUN, Place, TeamStep, team_steps
from exporter.core.tickets.team import Team
from tests.repo.powershell import errors, parsed

RULE = "Allow it: `az keyvault network-rule add --name {} --ip-address 203.0.113.7`."
ROLE = "Assign: `az role assignment create --role Reader --assignee-object-id O --scope VAULT_ID`."
ENABLE = "Enable it: `az keyvault key set-attributes --vault-name {} --name {} --version 1 --enabled true`."


def part(vault="contoso", *actions, key="K", application="6666"):
    steps = team_steps(Team.VAULT, actions, Place("mon1", is_sql_host=False), vault)
    return TicketPart(vault=vault, key=key, application=application, steps=steps)


def of_each(text, *vaults):
    return [part(vault, text.format(vault, f"K-{vault}"), key=f"K-{vault}") for vault in vaults]


def lines(*commands, label=RUN):
    """The lines of one step that vaults have with different commands."""
    parts = [TicketPart(vault=f"v{number}", steps=[TeamStep("Do.", ((label, each),))]) for number, each in enumerate(commands)]
    (step,) = merged_steps(parts)
    return step.lines


def test_command_of_several_vaults_is_a_loop():
    (step,) = merged_steps(of_each(RULE, "contoso", "fabrikam", "tailspin"))
    assert step.text == "Allow it."
    (az, shell), (powershell, shown), (portal, path) = step.lines
    assert (az, powershell, portal) == (AZ, POWERSHELL, PORTAL)
    assert shell == (
        "for vault in contoso fabrikam tailspin; do az keyvault network-rule add --name $vault --ip-address 203.0.113.7; done"
    )
    assert shown == (
        "foreach ($vault in 'contoso', 'fabrikam', 'tailspin') "
        "{ Add-AzKeyVaultNetworkRule -VaultName $vault -IpAddressRange 203.0.113.7 }"
    )
    assert errors(parsed(shown)) == []
    assert path.endswith(", and so for each vault")


def test_single_part_keeps_its_steps():
    one = part("contoso", RULE.format("contoso"))
    assert merged_steps([one]) == list(one.steps)
    assert merged_steps([]) == []


def test_role_of_several_vaults_looks_up_each_id():
    (step,) = merged_steps(of_each(ROLE, "contoso", "fabrikam"))
    assert "for vault in contoso fabrikam; do az role assignment create" in step.lines[0][1]
    assert '--scope "$(az keyvault show --name $vault --query id --output tsv)"; done' in step.lines[0][1]
    assert "-Scope (Get-AzKeyVault -VaultName $vault).ResourceId }" in step.lines[1][1]
    assert errors(parsed(step.lines[1][1])) == []
    (step,) = merged_steps(of_each(ROLE.replace("VAULT_ID", "VAULT_ID/keys/K"), "contoso", "fabrikam"))
    assert step.lines[0][1].startswith("for vault in contoso fabrikam; do ")
    assert '--scope "$(az keyvault show --name $vault --query id --output tsv)/keys/K"; done' in step.lines[0][1]
    assert '-Scope "$((Get-AzKeyVault -VaultName ${vault}).ResourceId)/keys/K" }' in step.lines[1][1]
    assert errors(parsed(step.lines[1][1])) == []


def test_command_for_one_credential_of_several_vaults_is_one():
    (step,) = merged_steps(of_each("Create one: `az ad app credential reset --id 6666 --append`.", "contoso", "fabrikam"))
    assert step.lines[0][1] == "az ad app credential reset --id 6666 --append"
    assert step.lines[-1][1].endswith("New client secret")


def test_command_of_several_applications_is_a_loop():
    reset = "Create one: `az ad app credential reset --id {} --append`."
    (step,) = merged_steps([part("contoso", reset.format(each), application=each) for each in ("6666", "7777")])
    assert step.lines[0][1] == "for application in 6666 7777; do az ad app credential reset --id $application --append; done"
    assert step.lines[1][1].startswith("foreach ($application in '6666', '7777') { New-AzADAppCredential")
    assert step.lines[2][1].endswith(", and so for each application")


def test_command_of_several_keys_of_a_vault_is_a_loop():
    (step,) = merged_steps([part("contoso", ENABLE.format("contoso", each), key=each) for each in ("K1", "K2")])
    assert step.lines[0][1].startswith("for key in K1 K2; do az keyvault key set-attributes --vault-name contoso --name $key ")
    assert step.lines[2][1].endswith(", and so for each key")


def test_vaults_with_other_values_have_loops_of_their_own():
    rules = [part(f"v{number}", RULE.format(f"v{number}").replace(".7`", f".{number % 2}`")) for number in range(40)]
    (step,) = merged_steps(rules)
    loops = [line for label, line in step.lines if label == AZ]
    assert [loop.count(" v") for loop in loops] == [20 + 1, 20 + 1]
    assert all(f"v{number} " in "".join(loops).replace(";", " ") for number in range(40))


def test_commands_above_the_limit_are_named():
    (step,) = merged_steps(of_each(ENABLE.replace("K-", ""), *(f"v{number}" for number in range(9))))
    assert [label for label, _ in step.lines] == [AZ, POWERSHELL, PORTAL]
    changed = [part(f"v{number}", ENABLE.format(f"v{number}", f"{number}x"), key=f"{number}x") for number in range(9)]
    (step,) = merged_steps(changed)
    assert [label for label, _ in step.lines] == [AZ] * MOST_LISTED + ["more"] + [POWERSHELL] * MOST_LISTED + ["more", PORTAL]
    assert step.lines[MOST_LISTED] == ("more", "the same for v6/6x, v7/7x, v8/8x")


def test_step_of_some_vaults_names_them():
    parts = [part("contoso", "Wait.", RULE.format("contoso")), part("fabrikam", RULE.format("fabrikam"), "Read it.")]
    wait, rule, read = merged_steps(parts)
    assert wait.text == "Wait. Only for contoso."
    assert rule.text == "Allow it."
    assert read.text == "Read it. Only for fabrikam."


def test_second_command_of_a_step_is_compared_with_the_second():
    two = "List: `az keyvault list-deleted`. Recover it: `az keyvault recover --name {}`."
    (step,) = merged_steps(of_each(two, "contoso", "fabrikam"))
    assert step.lines[0][1] == "az keyvault list-deleted"
    assert step.lines[3][1] == "for vault in contoso fabrikam; do az keyvault recover --name $vault; done"


@pytest.mark.parametrize(
    ("command", "body"),
    [
        ("Resolve-DnsName NAME.vault.azure.net", 'Resolve-DnsName "${vault}.vault.azure.net"'),
        ('curl.exe -w "%{http}" https://NAME:444/keys', 'curl.exe -w "%{http}" "https://${vault}:444/keys"'),
        ("Get-It -Name 'NAME x'", 'Get-It -Name "${vault} x"'),
        ("Get-It -Name NAME", "Get-It -Name $vault"),
    ],
)
def test_variable_within_a_word_is_quoted(command, body):
    ((label, line),) = lines(*(command.replace("NAME", each) for each in ("v0", "v1")))
    assert (label, line) == (POWERSHELL, f"foreach ($vault in 'v0', 'v1') {{ {body} }}")
    assert errors(parsed(line)) == []


def test_variable_in_a_word_of_the_shell_has_braces():
    ((_, line),) = lines("az x --name v0_a", "az x --name v1_a", label=AZ)
    assert line == "for vault in v0 v1; do az x --name ${vault}_a; done"


def test_query_compares_with_all_vaults():
    query = 'T | where _ResourceId endswith "/{0}" and Caller == "1.2.3.4" | project TimeGenerated, Status | take 100'
    ((label, shown),) = lines(*(query.format(each) for each in ("v0", "v1")), label=KQL)
    assert label == KQL
    assert shown == (
        'T | where _ResourceId has_any ("v0", "v1") and Caller == "1.2.3.4" | project TimeGenerated, _ResourceId, Status | take 1000'
    )
    ((label, shown),) = lines('T | where Resource =~ "v0"', 'T | where Resource =~ "v1"', label=OLD_KQL)
    assert (label, shown) == (OLD_KQL, 'T | where Resource in~ ("v0", "v1")')
    ((_, shown),) = lines('T | where AppId == "a"', 'T | where AppId == "b"', label=KQL)
    assert shown == 'T | where AppId in ("a", "b")'


def test_queries_of_other_forms_stay_apart():
    assert lines('T | where A == "a"', 'T | where B == "b"', label=KQL) == (
        (KQL, 'T | where A == "a"'),
        (KQL, 'T | where B == "b"'),
    )


def test_titles_have_what_differs():
    one, other = TicketPart(vault="v", key="k1", application="a"), TicketPart(vault="v", key="k2", application="a")
    assert titles([one, other]) == ["k1", "k2"]
    assert titles([one], [other]) == ["k1"]
    assert titles([one]) == ["v"]
    assert (noun([one]), noun([one, other])) == ("vault", "key")
