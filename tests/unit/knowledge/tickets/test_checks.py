"""How another team sees that its steps worked."""

from dataclasses import replace

import pytest

from exporter.core.values import CredentialKind, Facts, Outcome, Step, Vantage
from exporter.knowledge.names import Names
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import StepResult
from exporter.knowledge.tickets import BY_SQL_SERVER, Team, confirmation, request_queries, team_checks, undo

NAMES = Names(target="t", vault="contoso.vault.azure.net", key="K", version="1", client_id="6666")


def shown(team, names=NAMES, *, reason=None, step=Step.GET_KEY, facts=None, check=""):
    failed = StepResult(step=step, outcome=Outcome.FAILED, reason=reason, facts=facts)
    found = list(team_checks(team, failed, names, check))
    return "\n".join(f"{each.text}\n" + "\n".join(line for _, line in each.lines) for each in found)


@pytest.mark.parametrize(
    ("reason", "command"),
    [
        (Reason.DNS_NOT_FOUND, "Resolve-DnsName contoso.vault.azure.net"),
        (Reason.CONNECT_TIMEOUT, "Test-NetConnection contoso.vault.azure.net -Port 443"),
    ],
)
def test_network_team_tests_what_failed(reason, command):
    assert command in shown(Team.NETWORK, reason=reason)
    assert command not in shown(Team.NETWORK, reason=Reason.TLS_RESET)
    assert command not in shown(Team.NETWORK, replace(NAMES, proxy="proxy:3128"), reason=reason)


def test_network_team_tests_through_the_proxy():
    assert "curl.exe -sS" in shown(Team.NETWORK)
    assert " -x http://proxy:3128 https://contoso.vault.azure.net/keys" in shown(Team.NETWORK, replace(NAMES, proxy="proxy:3128"))
    assert "It prints 401" in shown(Team.NETWORK)


def test_network_team_tests_the_sign_in_host():
    at_entra = shown(Team.NETWORK, replace(NAMES, host="login.microsoftonline.com:443"), step=Step.TOKEN)
    assert "https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration" in at_entra
    assert "It prints 200" in at_entra


def test_identity_team_reads_credentials_and_sign_ins():
    found = shown(Team.IDENTITY, facts=Facts(request_id="r-1"), check="az ad app credential list --id 6666")
    assert "Get-AzADAppCredential -ApplicationId 6666" in found
    assert 'AADServicePrincipalSignInLogs | where TimeGenerated > ago(1h) and AppId == "6666"' in found
    assert "filter Request ID r-1" in found
    assert "Certificates & secrets" not in found


def test_sign_ins_of_a_managed_identity_have_a_log_of_their_own():
    found = shown(Team.IDENTITY, replace(NAMES, kind=CredentialKind.MANAGED_IDENTITY))
    assert "AADManagedIdentitySignInLogs" in found
    assert "Managed identity sign-ins" in found
    assert "filter" not in found


def test_unknown_application_has_no_sign_ins():
    assert shown(Team.IDENTITY, replace(NAMES, client_id=None)) == ""


def test_vault_team_reads_requests_by_address_or_client():
    assert 'ClientInfo startswith "ekm-exporter/"' in shown(Team.VAULT)
    found = shown(Team.VAULT, replace(NAMES, client_address="203.0.113.7"), facts=Facts(request_id="r-1"))
    assert '(CallerIpAddress == "203.0.113.7" or CorrelationId == "r-1")' in found
    assert 'Resource =~ "contoso"' in found


def test_vault_team_counts_throttled_requests_by_metric():
    found = shown(Team.VAULT, reason=Reason.THROTTLED)
    assert "--metrics ServiceApiResult --filter \"StatusCode eq '429'\"" in found
    assert "-MetricFilter 'StatusCode eq ''429''" in found
    assert "AuditLogs" not in found


def test_refused_monitor_is_not_proven_for_sql_server():
    refused = StepResult(step=Step.GET_KEY, outcome=Outcome.FAILED, reason=Reason.FORBIDDEN_FIREWALL)
    central = replace(NAMES, client_address="203.0.113.7")
    (first,) = confirmation(Team.VAULT, refused, central)
    assert "Does the vault refuse SQL Server too?" in first.text
    assert all('ClientInfo startswith "Microsoft.SQL.EKM"' in line for _, line in first.lines)
    assert list(confirmation(Team.VAULT, refused, replace(central, vantage=Vantage.SQL_HOST))) == []
    assert list(confirmation(Team.NETWORK, refused, central)) == []
    assert list(confirmation(Team.VAULT, replace(refused, reason=None), central)) == []
    found = shown(Team.VAULT, central, reason=Reason.FORBIDDEN_FIREWALL)
    assert 'CallerIpAddress == "ADDRESS"' in found
    assert "203.0.113.7" not in found


def test_change_of_a_vault_is_undone_first():
    refused = StepResult(step=Step.GET_KEY, outcome=Outcome.FAILED, reason=Reason.FORBIDDEN_RBAC)
    (step,) = undo(refused, NAMES)
    assert step.text.startswith("Undo the change that the activity log shows.")
    assert ("portal", "Key vaults > contoso > Activity log") in step.lines
    assert list(undo(refused, replace(NAMES, vault="vault.contoso.example"))) == [
        replace(step, lines=tuple((label, line.replace("contoso", "vault")) for label, line in step.lines))
    ]
    assert list(undo(refused, replace(NAMES, vault="contoso.managedhsm.azure.net"))) == []
    for reason in (None, Reason.THROTTLED, Reason.TOKEN_WRONG_ISSUER):
        assert list(undo(replace(refused, reason=reason), NAMES)) == []


def test_both_tables_have_the_same_rows():
    new, old = (line for _, line in request_queries("contoso", BY_SQL_SERVER))
    for part in (BY_SQL_SERVER, "| take 100", "ago(1h)", '"contoso"'):
        assert part in old
    assert all(part in new for part in (BY_SQL_SERVER, "| take 100", "ago(1h)", '"/contoso"'))
    assert 'column_ifexists("clientInfo_s", "")' in old


def test_inspected_certificate_shows_its_issuer():
    inspected = shown(Team.NETWORK, reason=Reason.TLS_UNTRUSTED)
    assert '-w "%{http_code} %{certs}"' in inspected
    assert "Select-String '^[0-9]|^Issuer'" in inspected
    assert "certs" not in shown(Team.NETWORK, reason=Reason.CONNECT_TIMEOUT)


def test_support_lists_its_events():
    assert "Service Health" in shown(Team.MICROSOFT)
