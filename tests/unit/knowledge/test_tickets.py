"""The ticket of a failure for another team: who gets it, its steps, its checks, and several as one."""

import pytest

from exporter.core.values import CredentialKind, Facts, Outcome, Step, Vantage
from exporter.knowledge.code_row import OWNERS, Owner, for_dba, for_exporter, for_network, for_vault
from exporter.knowledge.names import Names, fill_names
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import StepResult
from exporter.knowledge.tickets import (
    AZ,
    EXPORTER_REQUESTS,
    KQL,
    LOGS,
    MOST_LISTED,
    MOST_STEPS,
    OLD_KQL,
    PORTAL,
    RUN,
    TEAM_TITLES,
    Team,
    TeamStep,
    TicketPart,
    check_command,
    command_lines,
    is_unconfirmed,
    merged_steps,
    noun,
    request_queries,
    scope_lines,
    team_checks,
    team_of,
    team_steps,
    titles,
    who_repairs,
)
from tests.support.values import replace

# Which team gets the ticket of a failure.


@pytest.mark.parametrize(
    ("reason", "step", "status", "owner", "team"),
    [
        (Reason.CONNECT_TIMEOUT, Step.CHALLENGE, None, Owner.NETWORK, Team.NETWORK),
        (Reason.SECRET_EXPIRED, Step.TOKEN, 401, Owner.IDENTITY, Team.IDENTITY),
        (Reason.FORBIDDEN_FIREWALL, Step.GET_KEY, 403, Owner.VAULT, Team.VAULT),
        (Reason.SERVER_ERROR, Step.GET_KEY, 500, Owner.VAULT, Team.MICROSOFT),
        (Reason.ENTRA_UNAVAILABLE, Step.TOKEN, 503, Owner.VAULT, Team.MICROSOFT),
        (Reason.KEY_UNSUPPORTED, Step.GET_KEY, 200, Owner.DBA, None),
        (Reason.CLOCK_SKEW, Step.TOKEN, 401, Owner.IDENTITY, None),
        (Reason.INTERNAL, Step.GET_KEY, None, Owner.NETWORK, None),
    ],
)
def test_team_follows_from_reason_and_owner(reason, step, status, owner, team):
    failed = StepResult(step=step, outcome=Outcome.FAILED, reason=reason, facts=Facts(status=status))
    assert team_of(failed, owner) is team


@pytest.mark.parametrize(
    ("reason", "owner", "who"),
    [
        (Reason.SERVER_ERROR, Owner.VAULT, "Microsoft's support"),
        (Reason.FORBIDDEN_FIREWALL, Owner.VAULT, TEAM_TITLES[Team.VAULT]),
        (Reason.KEY_UNSUPPORTED, Owner.DBA, OWNERS[Owner.DBA]),
        (Reason.INTERNAL, Owner.NETWORK, OWNERS[Owner.EXPORTER]),
    ],
)
def test_card_and_ticket_name_the_same_team(reason, owner, who):
    assert who_repairs(StepResult(step=Step.GET_KEY, outcome=Outcome.FAILED, reason=reason), owner) == who


def test_every_owner_and_team_has_words():
    assert (set(OWNERS), set(TEAM_TITLES)) == (set(Owner), set(Team))


# The actions of a failure as steps for another team.


def steps(*actions, team=Team.VAULT):
    return team_steps(team, actions, "contoso")


def test_step_has_its_command_and_its_page():
    (step,) = steps("Recover the key: `az keyvault key recover --vault-name contoso --name K`.")
    assert step == TeamStep(
        "Recover the key.",
        (
            (AZ, "az keyvault key recover --vault-name contoso --name K"),
            (PORTAL, "Key vaults > contoso > Objects > Keys > Manage deleted keys > K > Recover"),
        ),
    )


def test_step_keeps_a_command_within_its_sentence():
    (step,) = steps("Compare with `az keyvault key list --vault-name contoso` and `no_proxy`.")
    assert step.text == "Compare with az keyvault key list --vault-name contoso and no_proxy."
    assert [label for label, _ in step.lines] == [AZ, PORTAL]


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
    assert [label for label, _ in last.lines] == [AZ, PORTAL]
    assert steps(for_network("Find it."), team=Team.MICROSOFT)[0].text == "For the network team: Find it."


def test_page_of_the_portal_and_query_are_lines():
    (step,) = steps("Approve it: `Key vaults > contoso > Networking`.")
    assert step == TeamStep("Approve it.", ((PORTAL, "Key vaults > contoso > Networking"),))
    (step,) = steps("Who calls? `ekm-exporter script callers.kql --vault contoso`. Stop that caller.")
    assert step.lines == ((LOGS, "ekm-exporter script callers.kql --vault contoso"),)


@pytest.mark.parametrize(
    ("vault", "command", "shown"),
    [
        (
            "contoso.vault.azure.net",
            "az keyvault show --name contoso",
            ["az account set --subscription SUBSCRIPTION"],
        ),
        ("contoso.vault.azure.net", "az ad sp show --id 6666", []),
        ("contoso.vault.example", "az ad sp show --id 6666", []),
        (
            "contoso.vault.azure.cn",
            "az ad sp show --id 6666",
            ["az cloud set --name AzureChinaCloud; az login"],
        ),
        (
            "contoso.managedhsm.usgovcloudapi.net",
            "az keyvault show --name contoso",
            ["az cloud set --name AzureUSGovernment; az login; az account set --subscription SUBSCRIPTION"],
        ),
    ],
)
def test_commands_select_cloud_and_subscription(vault, command, shown):
    assert [line for _, line in scope_lines(["az rest --method get", command], vault)] == shown


def test_most_steps_are_bounded():
    assert len(steps(*(f"Do {number}." for number in range(9)))) == MOST_STEPS


def test_resource_id_of_the_vault_is_looked_up():
    role = "Assign: `az role assignment create --role Reader --assignee-object-id O --scope VAULT_ID`."
    (known,) = steps(fill_names(role, NAMES))
    assert known.lines[0][1].endswith('--scope "$(az keyvault show --name contoso --query id --output tsv)"')


def test_role_on_a_key_looks_up_the_vault():
    role = "Assign: `az role assignment create --role Reader --assignee-object-id O --scope VAULT_ID/keys/KEY`."
    (step,) = steps(fill_names(role, NAMES))
    shell, portal = (line for _, line in step.lines)
    assert shell.endswith('--scope "$(az keyvault show --name contoso --query id --output tsv)/keys/K"')
    assert portal == "Key vaults > contoso > Objects > Keys > K > Access control (IAM) > Add > Add role assignment > Reader"


def test_check_shows_the_effect_of_the_first_change():
    show, recover = (
        "Show it: `az keyvault key list --vault-name contoso`.",
        "Then: `az keyvault key recover --vault-name contoso --name K`.",
    )
    assert check_command((show, recover), "contoso") == "az keyvault key show --vault-name contoso --name K --query attributes"
    assert check_command((show, "Run `curl -v`."), "contoso") == ""


# How the team sees that its steps worked.

NAMES = Names(target="t", vault="contoso.vault.azure.net", key="K", version="1", client_id="6666")


def shown(team, names=NAMES, *, reason=None, step=Step.GET_KEY, facts=None, check=""):
    failed = StepResult(step=step, outcome=Outcome.FAILED, reason=reason, facts=facts)
    found = list(team_checks(team, failed, names, check))
    return "\n".join(f"{each.text}\n" + "\n".join(line for _, line in each.lines) for each in found)


HERE, BEHIND_PROXY = {}, {"proxy": "proxy:3128"}
RESOLVE, CONNECT = "Resolve-DnsName contoso.vault.azure.net", "Test-NetConnection contoso.vault.azure.net -Port 443"


@pytest.mark.parametrize(
    ("team", "names", "failure", "words", "never"),
    [
        (Team.NETWORK, HERE, {"reason": Reason.DNS_NOT_FOUND}, (RESOLVE,), (CONNECT, "certs")),
        (Team.NETWORK, HERE, {"reason": Reason.CONNECT_TIMEOUT}, (CONNECT,), (RESOLVE, "certs")),
        (Team.NETWORK, HERE, {"reason": Reason.TLS_RESET}, (), (RESOLVE, CONNECT)),
        (Team.NETWORK, BEHIND_PROXY, {"reason": Reason.DNS_NOT_FOUND}, (), (RESOLVE,)),
        (Team.NETWORK, BEHIND_PROXY, {"reason": Reason.CONNECT_TIMEOUT}, (), (CONNECT,)),
        (Team.NETWORK, BEHIND_PROXY, {}, (" -x http://proxy:3128 https://contoso.vault.azure.net/keys",), ()),
        (Team.NETWORK, HERE, {}, ("curl.exe -sS", "It prints 401"), ()),
        (Team.NETWORK, {"host": "login.microsoftonline.com:443"}, {"step": Step.TOKEN}, ("https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration", "It prints 200"), ()),
        (Team.NETWORK, HERE, {"reason": Reason.TLS_UNTRUSTED}, ('-w "%{http_code} %{certs}"', "Select-String '^[0-9]|^Issuer'"), ()),
        (Team.IDENTITY, HERE, {"facts": Facts(request_id="r-1"), "check": "az ad app credential list --id 6666"}, ("az ad app credential list --id 6666", 'AADServicePrincipalSignInLogs | where TimeGenerated > ago(1h) and AppId == "6666"', "filter Request ID r-1"), ("Certificates & secrets",)),
        (Team.IDENTITY, {"kind": CredentialKind.MANAGED_IDENTITY}, {}, ("AADManagedIdentitySignInLogs", "Managed identity sign-ins"), ("filter",)),
        (Team.VAULT, HERE, {}, ('ClientInfo startswith "ekm-exporter/"',), ()),
        (Team.VAULT, {"client_address": "203.0.113.7"}, {"facts": Facts(request_id="r-1")}, ('(CallerIpAddress == "203.0.113.7" or CorrelationId == "r-1")', 'Resource =~ "contoso"'), ()),
        (Team.VAULT, {"client_address": "203.0.113.7"}, {"reason": Reason.FORBIDDEN_FIREWALL}, ('CallerIpAddress == "ADDRESS"',), ("203.0.113.7",)),
        (Team.VAULT, HERE, {"reason": Reason.THROTTLED}, ("--metrics ServiceApiResult --filter \"StatusCode eq '429'\"",), ("AuditLogs",)),
        (Team.MICROSOFT, HERE, {}, ("Service Health",), ()),
    ],
)  # fmt: skip
def test_team_sees_that_its_steps_worked(team, names, failure, words, never):
    text = shown(team, replace(NAMES, **names), **failure)
    assert [each for each in words if each not in text] == []
    assert [each for each in never if each in text] == []


def test_unknown_application_has_a_word_in_the_query_of_its_sign_ins():
    assert 'AppId == "CLIENT_ID"' in shown(Team.IDENTITY, replace(NAMES, client_id=None))


@pytest.mark.parametrize("vault", ["contoso.vault.azure.net", "contoso.vault.usgovcloudapi.net", "contoso.example"])
def test_managed_identity_is_tested_on_its_host(vault):
    """Its client id is often unknown, and no token is printed."""
    text = shown(Team.IDENTITY, replace(NAMES, client_id=None, kind=CredentialKind.MANAGED_IDENTITY, vault=vault))
    audience = "vault.usgovcloudapi.net" if "usgov" in vault else "vault.azure.net"
    assert (
        f'-o NUL -w "%{{http_code}}" -H Metadata:true "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://{audience}"\nazcmagent show'
        in text
    )
    assert "AppId" not in text


def test_refused_monitor_is_not_proven_for_sql_server():
    refused = StepResult(step=Step.GET_KEY, outcome=Outcome.FAILED, reason=Reason.FORBIDDEN_FIREWALL)
    central = replace(NAMES, client_address="203.0.113.7")
    assert is_unconfirmed(refused, central)
    assert not is_unconfirmed(refused, replace(central, vantage=Vantage.SQL_HOST))
    assert not is_unconfirmed(replace(refused, reason=None), central)


def test_both_tables_have_the_same_rows():
    new, old = (line for _, line in request_queries("contoso", EXPORTER_REQUESTS))
    for part in (EXPORTER_REQUESTS, "| take 100", "ago(1h)", '"contoso"'):
        assert part in old
    assert all(part in new for part in (EXPORTER_REQUESTS, "| take 100", "ago(1h)", '"/contoso"'))
    assert 'column_ifexists("clientInfo_s", "")' in old


# The steps of several vaults, keys or applications as one list.

RULE = "Allow it: `az keyvault network-rule add --name {} --ip-address 203.0.113.7`."
ENABLE = "Enable it: `az keyvault key set-attributes --vault-name {} --name {} --version 1 --enabled true`."


def part(vault="contoso", *actions, key="K", application="6666"):
    steps = team_steps(Team.VAULT, actions, vault)
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
    assert [label for label, _ in step.lines] == [AZ, PORTAL, "also for"]
    assert step.lines[0][1] == "az keyvault network-rule add --name contoso --ip-address 203.0.113.7"
    assert step.lines[2][1] == "fabrikam, tailspin"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vault", "the other 7 key vaults, which What fails names"),
        ("key", "the other 7 keys, which What fails names"),
        ("application", None),
    ],
)
def test_many_names_stand_once(name, expected):
    """What fails names no applications, if it is not the sign-in that fails."""
    names = [f"x{number}x" for number in range(8)]
    text = "Do it: `az keyvault key set-attributes --vault-name {vault} --name {key} --id {application}`."
    every = [{"vault": "contoso", "key": "K", "application": "6666"} | {name: each} for each in names]
    (step,) = merged_steps([TicketPart(**each, steps=[TeamStep("Do it.", ((RUN, text.format(**each)),))]) for each in every])
    assert step.lines[-1] == ("also for", expected or ", ".join(names[1:]))


def test_query_of_many_vaults_names_none():
    query = 'T | where Resource =~ "v{0}" and (Caller == "1.2.3.4" or CorrelationId == "r-{0}") | project TimeGenerated, Status | take 100'
    ((_, shown),) = lines(*map(query.format, range(8)), label=OLD_KQL)
    first = ", ".join(f'"r-{number}"' for number in range(MOST_LISTED))
    assert f'isnotempty(Resource) and (Caller == "1.2.3.4" or CorrelationId in ({first}))' in shown
    assert "project TimeGenerated, Resource, Status | take 1000" in shown


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
    assert [label for label, _ in step.lines] == [AZ, PORTAL, "also for"] * 2
    even, odd = (line for label, line in step.lines if label == "also for")
    assert even == ", ".join(f"v{number}x" for number in range(2, 40, 2))
    assert odd == ", ".join(f"v{number}x" for number in range(3, 40, 2))


def test_forms_above_the_limit_are_named():
    changed = [part(f"v{number}x", RULE.format(f"v{number}x").replace(".7`", f".{number}`")) for number in range(9)]
    (step,) = merged_steps(changed)
    assert [label for label, _ in step.lines] == [AZ, PORTAL] * MOST_LISTED + ["more"]
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
