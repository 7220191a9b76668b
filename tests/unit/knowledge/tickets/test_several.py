"""The steps of several vaults, keys or applications as one list."""

from exporter.knowledge.tickets import (
    AZ,
    KQL,
    MOST_LISTED,
    OLD_KQL,
    PORTAL,
    POWERSHELL,
    RUN,
    Place,
    Team,
    TeamStep,
    TicketPart,
    merged_steps,
    noun,
    team_steps,
    titles,
)

RULE = "Allow it: `az keyvault network-rule add --name {} --ip-address 203.0.113.7`."
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


def test_command_of_several_vaults_stands_once_with_the_names_of_the_others():
    (step,) = merged_steps(of_each(RULE, "contoso", "fabrikam", "tailspin"))
    assert step.text == "Allow it."
    assert [label for label, _ in step.lines] == [AZ, POWERSHELL, PORTAL, "also for"]
    assert step.lines[0][1] == "az keyvault network-rule add --name contoso --ip-address 203.0.113.7"
    assert step.lines[1][1] == "Add-AzKeyVaultNetworkRule -VaultName contoso -IpAddressRange 203.0.113.7"
    assert step.lines[3][1] == "fabrikam, tailspin"


def test_single_part_keeps_its_steps():
    one = part("contoso", RULE.format("contoso"))
    assert merged_steps([one]) == list(one.steps)
    assert merged_steps([]) == []


def test_command_for_one_credential_of_several_vaults_is_one():
    (step,) = merged_steps(of_each("Create one: `az ad app credential reset --id 6666 --append`.", "contoso", "fabrikam"))
    assert step.lines[0][1] == "az ad app credential reset --id 6666 --append"
    assert step.lines[-1][1].endswith("New client secret")


def test_others_have_the_names_that_stand_in_the_command():
    reset = "Create one: `az ad app credential reset --id {} --append`."
    (step,) = merged_steps([part(f"v-{each}", reset.format(each), application=each) for each in ("6666", "7777")])
    assert step.lines[0][1] == "az ad app credential reset --id 6666 --append"
    assert step.lines[-1] == ("also for", "7777")
    (step,) = merged_steps([part("contoso", ENABLE.format("contoso", each), key=each) for each in ("K1", "K2")])
    assert step.lines[-1] == ("also for", "K2")
    (step,) = merged_steps(of_each(ENABLE, "contoso", "fabrikam"))
    assert step.lines[-1] == ("also for", "fabrikam/K-fabrikam")


def test_vaults_with_other_values_have_commands_of_their_own():
    rules = [part(f"v{number}x", RULE.format(f"v{number}x").replace(".7`", f".{number % 2}`")) for number in range(40)]
    (step,) = merged_steps(rules)
    assert [label for label, _ in step.lines] == [AZ, POWERSHELL, PORTAL, "also for"] * 2
    even, odd = (line for label, line in step.lines if label == "also for")
    assert even == ", ".join(f"v{number}x" for number in range(2, 40, 2))
    assert odd == ", ".join(f"v{number}x" for number in range(3, 40, 2))


def test_forms_above_the_limit_are_named():
    changed = [part(f"v{number}x", RULE.format(f"v{number}x").replace(".7`", f".{number}`")) for number in range(9)]
    (step,) = merged_steps(changed)
    assert [label for label, _ in step.lines] == [AZ, POWERSHELL, PORTAL] * MOST_LISTED + ["more"]
    assert step.lines[-1] == ("more", "the same for v6x, v7x, v8x")


def test_step_of_some_vaults_names_them():
    parts = [part("contoso", "Wait.", RULE.format("contoso")), part("fabrikam", RULE.format("fabrikam"), "Read it.")]
    wait, rule, read = merged_steps(parts)
    assert wait.text == "Wait. Only for contoso."
    assert rule.text == "Allow it."
    assert read.text == "Read it. Only for fabrikam."


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


def test_query_is_one_for_commands_of_several_forms():
    steps = [[(RUN, f"ask v{number} .{number}"), (KQL, f'T | where A == "v{number}"')] for number in range(2)]
    parts = [TicketPart(vault=f"v{number}", steps=[TeamStep("Do.", tuple(each))]) for number, each in enumerate(steps)]
    (step,) = merged_steps(parts)
    assert step.lines == ((RUN, "ask v0 .0"), (KQL, 'T | where A in ("v0", "v1")'), (RUN, "ask v1 .1"))


def test_paths_that_differ_in_no_name_are_one():
    steps = [TeamStep("Read.", ((PORTAL, f"Logs, filter r-{number}"),)) for number in range(2)]
    (step,) = merged_steps([TicketPart(vault=f"v{number}", steps=[each]) for number, each in enumerate(steps)])
    assert step.lines == ((PORTAL, "Logs, filter r-0"),)


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
