"""How another team sees that its steps worked: commands for a SQL Server host, and queries of Azure's logs."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.core.codes.names import Names, filled
from exporter.core.model import CredentialKind, Facts, Step, StepResult
from exporter.core.reasons import Reason
from exporter.core.tickets.steps import POWERSHELL, RUN, TeamStep, command_lines
from exporter.core.tickets.team import Team

SIGN_INS = (
    '{table} | where TimeGenerated > ago(1h) and AppId == "{client_id}"'
    " | project TimeGenerated, ResultType, ResultDescription, IPAddress, CorrelationId, Id"
)
REQUESTS = (
    'AZKVAuditLogs | where TimeGenerated > ago(1h) and _ResourceId endswith "/{vault}" and {caller}'
    " | project TimeGenerated, OperationName, HttpStatusCode, ResultDescription, CallerIpAddress, CorrelationId"
)
CALLERS = (
    'AZKVAuditLogs | where TimeGenerated > ago(1h) and _ResourceId endswith "/{vault}"'
    " | summarize Requests = count(), Throttled = countif(HttpStatusCode == 429) by CallerIpAddress, ClientInfo, OperationName"
    " | order by Requests desc"
)
EXPORTER_REQUESTS = 'ClientInfo startswith "ekm-exporter/"'
BY_ADDRESS = 'CallerIpAddress == "{}"'
BY_REQUEST = '({} or CorrelationId == "{}")'
OLD_REQUESTS = (
    'AzureDiagnostics | where ResourceProvider == "MICROSOFT.KEYVAULT" and TimeGenerated > ago(1h) and Resource =~ "{vault}"'
    " | project TimeGenerated, OperationName, httpStatusCode_d, ResultDescription, CallerIPAddress, clientInfo_s"
)
_PORT = "Test-NetConnection HOST -Port 443"
_NAME = "Resolve-DnsName HOST"
_STATUS = 'curl.exe -sS -o NUL -w "%{{http_code}}"{} https://HOST{}'
_BY_CHECK = (("dns_", _NAME, "It shows an address."), ("tcp_", _PORT, "It shows TcpTestSucceeded: True."))
SUPPORT_REQUEST = TeamStep(
    "Open a support request with the request ids and times of the evidence.",
    (("portal", "Help + support > Create a support request"),),
)


def team_checks(team: Team, failure: StepResult, names: Names, check: str) -> Iterator[TeamStep]:
    """Yield what the team can run; `check` is the `az` command that shows its change, if there is one."""
    facts = Facts() if failure.facts is None else failure.facts
    vault = names.vault.partition(".")[0]
    if team is Team.NETWORK:
        yield from _network(failure, names)
    if team in (Team.IDENTITY, Team.VAULT) and check:
        yield TeamStep("The setting:", tuple(line for line in command_lines(check, vault) if line[0] != "portal"))
    if team is Team.IDENTITY and names.client_id:
        yield from _sign_ins(names, facts)
    if team is Team.VAULT and failure.reason is Reason.THROTTLED:
        yield TeamStep("The callers of the last hour: the vault throttles none of them.", (("KQL", CALLERS.format(vault=vault)),))
    elif team is Team.VAULT:
        yield from _requests(vault, names, facts)
    if team is Team.MICROSOFT:
        yield TeamStep("The portal lists events and resolutions: Service Health > Service issues.")


def _network(failure: StepResult, names: Names) -> Iterator[TeamStep]:
    shown = "" if failure.reason is None or failure.reason.row.shown_by is None else failure.reason.row.shown_by.check
    for check, command, result in _BY_CHECK:
        if shown.startswith(check) and not names.proxy:
            yield TeamStep(f"On each SQL Server host. {result}", ((POWERSHELL, _filled(command, names)),))
    at_entra = failure.step is Step.TOKEN
    path = "/common/v2.0/.well-known/openid-configuration" if at_entra else "/keys?api-version=7.4"
    command = _STATUS.format(f" -x http://{names.proxy}" if names.proxy else "", path)
    status = "200" if at_entra else "401, or 403 if only the vault's firewall refuses"
    yield TeamStep(
        f"On each SQL Server host. It prints {status}, and no error of the connection.", ((RUN, _filled(command, names)),)
    )


def _filled(command: str, names: Names) -> str:
    return filled(f"`{command}`", names).strip("`")


def _sign_ins(names: Names, facts: Facts) -> Iterator[TeamStep]:
    managed = names.kind is CredentialKind.MANAGED_IDENTITY
    table = "AADManagedIdentitySignInLogs" if managed else "AADServicePrincipalSignInLogs"
    page = "Managed identity sign-ins" if managed else "Service principal sign-ins"
    by_id = f", filter Request ID {facts.request_id}" if facts.request_id else ""
    yield TeamStep(
        "The sign-ins of the last hour. ResultType 0 is a success. The log is a few minutes late.",
        (
            ("KQL", SIGN_INS.format(table=table, client_id=names.client_id)),
            ("portal", f"Entra admin center > Monitoring & health > Sign-in logs > {page}{by_id}"),
        ),
    )


def _requests(vault: str, names: Names, facts: Facts) -> Iterator[TeamStep]:
    caller = BY_ADDRESS.format(names.client_address) if names.client_address else EXPORTER_REQUESTS
    if facts.request_id:  # Key Vault logs it as the correlation id, unless the client sent another one
        caller = BY_REQUEST.format(caller, facts.request_id)
    yield TeamStep(
        "The requests of the last hour, if the vault has a diagnostic setting. 200 is a success; 401 is the usual first request.",
        (("KQL", REQUESTS.format(vault=vault, caller=caller)), ("or", OLD_REQUESTS.format(vault=vault))),
    )
