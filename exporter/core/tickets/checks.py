"""How another team sees that its steps worked: commands for a SQL Server host, and queries of Azure's logs."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.core.codes.action_texts import SHOW_CHANGES
from exporter.core.codes.names import Names, fill_command
from exporter.core.endpoints import cloud_of
from exporter.core.model import CredentialKind, Facts, Step, StepResult, Vantage
from exporter.core.quoting import plain
from exporter.core.reasons import Reason
from exporter.core.reasons.row import Refused
from exporter.core.tickets.steps import KQL, OLD_KQL, POWERSHELL, RUN, TeamStep, command_lines
from exporter.core.tickets.team import Team

SIGN_INS = (
    '{table} | where TimeGenerated > ago(1h) and AppId == "{client_id}"'
    " | project TimeGenerated, ResultType, ResultDescription, IPAddress, CorrelationId, Id"
)
REQUESTS = (
    'AZKVAuditLogs | where TimeGenerated > ago(1h) and _ResourceId endswith "/{vault}" and ({caller})'
    " | project TimeGenerated, OperationName, HttpStatusCode, ResultDescription, CallerIpAddress, ClientInfo, CorrelationId | take 100"
)
OLD_REQUESTS = (
    'AzureDiagnostics | where ResourceProvider == "MICROSOFT.KEYVAULT" and TimeGenerated > ago(1h) and Resource =~ "{vault}"'
    ' | extend ClientInfo = column_ifexists("clientInfo_s", ""), CallerIpAddress = CallerIPAddress,'
    ' CorrelationId = column_ifexists("CorrelationId", "") | where {caller}'
    ' | project TimeGenerated, OperationName, HttpStatusCode = column_ifexists("httpStatusCode_d", real(null)), ResultDescription,'
    " CallerIpAddress, ClientInfo, CorrelationId | take 100"
)
THROTTLED = (
    "az monitor metrics list --resource VAULT_ID --metrics ServiceApiResult --filter \"StatusCode eq '429'\" --aggregation Count"
)
EXPORTER_REQUESTS = 'ClientInfo startswith "ekm-exporter/"'
BY_ADDRESS = 'CallerIpAddress == "{}"'
BY_SQL_SERVER = 'ClientInfo startswith "Microsoft.SQL.EKM"'
BY_REQUEST = ' or CorrelationId == "{}"'
_PORT = "Test-NetConnection HOST -Port 443"
_NAME = "Resolve-DnsName HOST"
_STATUS = 'curl.exe -sS -o NUL -w "%{{http_code}}"{} https://HOST{}'
_ISSUER = """curl.exe -sS -o NUL -w "%{{http_code}} %{{certs}}"{} https://HOST{} | Select-String '^[0-9]|^Issuer'"""
_BY_CHECK = (("dns_", _NAME, "It shows an address."), ("tcp_", _PORT, "It shows TcpTestSucceeded: True."))
SUPPORT_REQUEST = TeamStep(
    "Open a support request with the request ids and times of the evidence.",
    (("portal", "Help + support > Create a support request"),),
)


def team_checks(team: Team, failure: StepResult, names: Names, check: str) -> Iterator[TeamStep]:
    """Yield what the team can run; `check` is the `az` command that shows its change, if there is one."""
    facts = Facts() if failure.facts is None else failure.facts
    vault = plain(names.vault.partition(".")[0], "VAULT")
    if team is Team.NETWORK:
        yield from _network(failure, names)
    if team in (Team.IDENTITY, Team.VAULT) and check:
        yield TeamStep("The setting:", tuple(line for line in command_lines(check, vault) if line[0] != "portal"))
    if team is Team.IDENTITY and names.client_id:
        yield from _sign_ins(names, facts)
    if team is Team.VAULT and failure.reason is Reason.THROTTLED:
        yield TeamStep("The requests that the vault throttled in each minute: 0.", tuple(command_lines(THROTTLED, vault)))
    elif team is Team.VAULT:
        yield from _requests(vault, failure, names, facts)
    if team is Team.MICROSOFT:
        yield TeamStep("The portal lists events and resolutions: Service Health > Service issues.")


def _network(failure: StepResult, names: Names) -> Iterator[TeamStep]:
    shown = "" if failure.reason is None or failure.reason.row.shown_by is None else failure.reason.row.shown_by.check
    for check, command, result in _BY_CHECK:
        if shown.startswith(check) and not names.proxy:
            yield TeamStep(f"On each SQL Server host. {result}", ((POWERSHELL, fill_command(command, names)),))
    at_entra, with_issuer = failure.step is Step.TOKEN, shown.startswith("tls_")
    path = "/common/v2.0/.well-known/openid-configuration" if at_entra else "/keys?api-version=7.4"
    through = f" -x http://{plain(names.proxy, 'PROXY')}" if names.proxy else ""
    status = "200" if at_entra else "401, or 403 if only the vault's firewall refuses"
    issuer = ", and an issuer of the certificate that is not the network's" if with_issuer else ""
    command = fill_command((_ISSUER if with_issuer else _STATUS).format(through, path), names)
    yield TeamStep(
        f"On each SQL Server host. It prints {status}{issuer}, and no error of the connection.",
        ((POWERSHELL if with_issuer else RUN, command),),
    )


def _sign_ins(names: Names, facts: Facts) -> Iterator[TeamStep]:
    managed = names.kind is CredentialKind.MANAGED_IDENTITY
    table = "AADManagedIdentitySignInLogs" if managed else "AADServicePrincipalSignInLogs"
    page = "Managed identity sign-ins" if managed else "Service principal sign-ins"
    by_id = f", filter Request ID {facts.request_id}" if facts.request_id else ""
    yield TeamStep(
        "The sign-ins of the last hour. ResultType 0 is a success. The log is a few minutes late.",
        (
            (KQL, SIGN_INS.format(table=table, client_id=plain(names.client_id or "", "CLIENT_ID"))),
            ("portal", f"Entra admin center > Monitoring & health > Sign-in logs > {page}{by_id}"),
        ),
    )


def _requests(vault: str, failure: StepResult, names: Names, facts: Facts) -> Iterator[TeamStep]:
    yield TeamStep(
        "The requests of the last hour, if the vault has a diagnostic setting. 200 is a success; 401 is the usual first request.",
        request_queries(vault, _caller(failure, names, facts)),
    )


def request_queries(vault: str, caller: str) -> tuple[tuple[str, str], ...]:
    """Return the queries of a vault's requests, by the table of its diagnostic setting."""
    vault = plain(vault, "VAULT")
    return ((KQL, REQUESTS.format(vault=vault, caller=caller)), (OLD_KQL, OLD_REQUESTS.format(vault=vault, caller=caller)))


def _caller(failure: StepResult, names: Names, facts: Facts) -> str:
    """Return the condition of the requests that show the repair."""
    if is_unconfirmed(failure, names):
        return BY_ADDRESS.format("ADDRESS")
    caller = BY_ADDRESS.format(plain(names.client_address, "ADDRESS")) if names.client_address else EXPORTER_REQUESTS
    # Key Vault logs the request id as the correlation id, unless the client sent another one.
    return caller + (BY_REQUEST.format(plain(facts.request_id, "REQUEST_ID")) if facts.request_id else "")


def is_unconfirmed(failure: StepResult, names: Names) -> bool:
    """Whether a vault refuses an address that no SQL Server may have: that of a central exporter."""
    refuses = None if failure.reason is None else failure.reason.row.refuses
    return refuses is Refused.ADDRESS and names.vantage is not Vantage.SQL_HOST


def is_one_change(reason: Reason | None) -> bool:
    """Whether a vault refuses for a reason that one change can bring to several vaults."""
    return reason is not None and reason.row.refuses in (Refused.ADDRESS, Refused.PERMISSION) and bool(reason.row.one_change)


def undo(failure: StepResult, names: Names) -> Iterator[TeamStep]:
    """Yield the first step of a refusal that one change explains. The local roles of a Managed HSM are in no activity log."""
    cloud = cloud_of(names.vault)
    if is_one_change(failure.reason) and not (cloud is not None and cloud.managed_hsm):
        yield TeamStep(
            "Undo the change that the activity log shows. If it was intended, or if there is none, continue with the next step.",
            tuple(command_lines(SHOW_CHANGES.strip("`"), names.vault.partition(".")[0])),
        )


def confirmation(team: Team, failure: StepResult, names: Names) -> Iterator[TeamStep]:
    """Yield the first step of a vault that refuses only the exporter for certain: does it refuse SQL Server too?"""
    if team is Team.VAULT and is_unconfirmed(failure, names):
        yield TeamStep(
            "Does the vault refuse SQL Server too? Its log has a request of SQL Server with 403 then. "
            "Without a log, the DBA runs a probe on the SQL Server host. If it does not, change nothing for SQL Server.",
            request_queries(names.vault.partition(".")[0], BY_SQL_SERVER),
        )
