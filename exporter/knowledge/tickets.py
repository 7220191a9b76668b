"""The ticket of a failure for another team: who gets it, its steps, how it sees that they worked, and several as one list.

Each step has its part alone, and each command in its forms.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice
from types import MappingProxyType
from typing import Final

from exporter.core.names import cloud_of
from exporter.core.quoting import plain
from exporter.core.values import CredentialKind, Facts, Step, Vantage
from exporter.knowledge.advice import is_page_of_device, owner_of_failure
from exporter.knowledge.code_row import OWNERS, Owner, reader_of
from exporter.knowledge.names import Names, fill_command
from exporter.knowledge.reason_row import Refused
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import StepResult
from exporter.knowledge.ticket_equivalents import completed, find_equivalent, parse, portal_path


class Team(StrEnum):
    """A team with systems that a DBA does not own."""

    NETWORK = "network"
    IDENTITY = "identity"
    VAULT = "vault"
    MICROSOFT = "microsoft"


TEAMS: Mapping[Owner, Team] = MappingProxyType(
    {Owner.NETWORK: Team.NETWORK, Owner.IDENTITY: Team.IDENTITY, Owner.VAULT: Team.VAULT}
)
TEAM_TITLES: Mapping[Team, str] = MappingProxyType(
    {team: OWNERS[owner] for owner, team in TEAMS.items()} | {Team.MICROSOFT: "Microsoft's support"}
)
# Azure itself fails.
_AZURE_REASONS = (Reason.SERVER_ERROR, Reason.ENTRA_UNAVAILABLE, Reason.TOKEN_UNVERIFIABLE, Reason.BYTES_DIFFER)


def team_of(failure: StepResult, owner: Owner) -> Team | None:
    """Return the team for a failure, with the owner of its code; None if the DBA or the exporter's operator repairs it."""
    team = TEAMS.get(owner_of_failure(failure, owner))
    is_azure = failure.reason in _AZURE_REASONS and not is_page_of_device(failure)
    return Team.MICROSOFT if team is not None and is_azure else team


def who_repairs(failure: StepResult, owner: Owner) -> str:
    """Return who repairs a failure, with the owner of its code: the team that gets its ticket, else the DBA or the operator."""
    if failure.reason is Reason.DNS_NOT_FOUND and failure.step is not Step.TOKEN:  # a purged vault has no name, either
        return f"{OWNERS[Owner.VAULT]} if the vault was deleted, else {OWNERS[Owner.NETWORK]}"
    team = team_of(failure, owner)
    return OWNERS[owner_of_failure(failure, owner)] if team is None else TEAM_TITLES[team]


MOST_STEPS: Final = 6
AZ, POWERSHELL, PORTAL, RUN, LOGS, KQL, OLD_KQL = "az", "PowerShell", "portal", "run", "Logs", "KQL", "or"
_SPAN = re.compile(r"`([^`]+)`")
COMMAND_AT_END = re.compile(r": `([^`]+)`(?=\.(?: [A-Z]|$))")
_FIRST_WORDS = ("az ", "ekm-exporter script ", "curl ", "Resolve-DnsName ", "Test-NetConnection ", "openssl ", "nslookup ")

_CLOUDS: Final = {"us_government": "AzureUSGovernment", "china": "AzureChinaCloud"}  # the public one is the default
_PAGE = " > "  # between the names of a path in the portal


@dataclass(frozen=True, slots=True)
class TeamStep:
    """One step: a sentence, and lines of a label and a command or path."""

    text: str
    lines: tuple[tuple[str, str], ...] = ()


def team_steps(team: Team, actions: Sequence[str], vault: str) -> list[TeamStep]:
    """Return the steps of a team, then those that it forwards to another one. `actions` have the names of `vault` filled in."""
    owners = [(reader_of(text), text) for text in actions]
    readers = [(team if owner is None else TEAMS.get(owner), text) for owner, text in owners]  # none: the DBA or the operator
    own = [_step(text, vault) for reader, text in readers if reader is team]
    forwarded = [_step(text, vault, f"For {TEAM_TITLES[reader]}: ") for reader, text in readers if reader not in (team, None)]
    return [*own, *forwarded][:MOST_STEPS]


def _step(text: str, vault: str, before: str = "") -> TeamStep:
    commands = [each for each in _SPAN.findall(text) if each.startswith(_FIRST_WORDS) or _PAGE in each]
    sentence = COMMAND_AT_END.sub(lambda found: "" if found[1] in commands else found[0], text).replace("`", "")
    return TeamStep(before + sentence, tuple(line for command in commands for line in command_lines(command, vault)))


def command_lines(command: str, vault: str) -> list[tuple[str, str]]:
    """Return a command in its forms."""
    if _PAGE in command:
        return [(PORTAL, command)]
    if command.startswith("ekm-exporter script "):
        return [(LOGS, command)]
    if not command.startswith("az "):
        return [(RUN, command.replace("curl ", "curl.exe "))]
    parsed = parse(command)
    equivalent = find_equivalent(parsed)
    if equivalent is None:
        return [(AZ, command)]
    return [(AZ, command), (PORTAL, portal_path(equivalent, parsed, vault))]


def scope_lines(commands: Iterable[str], vault: str) -> Iterator[tuple[str, str]]:
    """Yield what selects cloud and subscription before `az` commands; Entra ID has no subscriptions."""
    cloud = cloud_of(vault)
    name = None if cloud is None else _CLOUDS.get(cloud.name)
    az = [f"az cloud set --name {name}", "az login"] if name else []
    if not all(each.startswith(("az ad ", "az rest ")) for each in commands):
        az.append("az account set --subscription SUBSCRIPTION")
    if az:
        yield f"first, {AZ}", "; ".join(az)


def check_command(actions: Iterable[str], vault: str) -> str:
    """Return the `az` command that shows the effect of the first change among the actions; empty if there is none."""
    commands = (parse(each) for text in actions for each in _SPAN.findall(text) if each.startswith("az "))
    found = ((find_equivalent(command), command) for command in commands)
    return next(
        (
            completed(equivalent.check, command, vault)
            for equivalent, command in found
            if equivalent is not None and equivalent.check
        ),
        "",
    )


# How another team sees that its steps worked: commands for a SQL Server host, and queries of Azure's logs.

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
# Without the token itself.
_ASK_IDENTITY = (
    'curl.exe -sS -o NUL -w "%{{http_code}}" -H Metadata:true'
    ' "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource={}"'
)
EXPORTER_REQUESTS = 'ClientInfo startswith "ekm-exporter/"'
BY_ADDRESS = 'CallerIpAddress == "{}"'
BY_REQUEST = ' or CorrelationId == "{}"'

_BY_CHECK = (
    ("dns_", "Resolve-DnsName HOST", "It shows an address."),
    ("tcp_", "Test-NetConnection HOST -Port 443", "It shows TcpTestSucceeded: True."),
)
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
        yield TeamStep("The setting:", tuple(line for line in command_lines(check, vault) if line[0] != PORTAL))
    is_managed = names.kind is CredentialKind.MANAGED_IDENTITY
    if team is Team.IDENTITY and is_managed:
        cloud = cloud_of(names.vault)
        asked = _ASK_IDENTITY.format("https://vault.azure.net" if cloud is None else cloud.resource)
        yield TeamStep(
            "On each SQL Server host: on an Azure VM, the first line prints 200; on Azure Arc, the second one prints Connected.",
            ((RUN, asked), (RUN, "azcmagent show")),
        )
    if team is Team.IDENTITY and (names.client_id or not is_managed):
        yield _sign_ins(names.client_id or "", facts.request_id, is_managed=is_managed)
    if team is Team.VAULT and failure.reason is Reason.THROTTLED:
        queries = tuple(command_lines(fill_command(THROTTLED, names), vault))
        yield TeamStep("The requests that the vault throttled in each minute: 0.", queries)
    elif team is Team.VAULT:
        yield TeamStep(
            "The requests of the last hour, if the vault has a diagnostic setting. 200 is a success; 401 is the usual first request.",
            request_queries(vault, _caller(failure, names, facts.request_id)),
        )
    if team is Team.MICROSOFT:
        yield TeamStep("The portal lists events and resolutions: Service Health > Service issues.")


def _network(failure: StepResult, names: Names) -> Iterator[TeamStep]:
    shown_by = None if failure.reason is None else failure.reason.row.shown_by
    shown, at_entra = "" if shown_by is None else shown_by.check, failure.step is Step.TOKEN
    for check, command, result in _BY_CHECK:
        if shown.startswith(check) and not names.proxy:
            yield TeamStep(f"On each SQL Server host. {result}", ((POWERSHELL, fill_command(command, names)),))
    through = f" -x http://{plain(names.proxy, 'PROXY')}" if names.proxy else ""
    path = "/common/v2.0/.well-known/openid-configuration" if at_entra else "/keys?api-version=7.4"
    status = "200" if at_entra else "401, or 403 if only the vault's firewall refuses"
    label, written, after = RUN, "%{http_code}", ""
    if shown.startswith("tls_"):
        label, written, after = POWERSHELL, "%{http_code} %{certs}", " | Select-String '^[0-9]|^Issuer'"
        status += ", and an issuer of the certificate that is not the network's"
    command = fill_command(f'curl.exe -sS -o NUL -w "{written}"{through} https://HOST{path}{after}', names)
    yield TeamStep(f"On each SQL Server host. It prints {status}, and no error of the connection.", ((label, command),))


def _sign_ins(client_id: str, request_id: str | None, *, is_managed: bool) -> TeamStep:
    table = "AADManagedIdentitySignInLogs" if is_managed else "AADServicePrincipalSignInLogs"
    page = "Managed identity sign-ins" if is_managed else "Service principal sign-ins"
    by_id = f", filter Request ID {request_id}" if request_id else ""
    return TeamStep(
        "The sign-ins of the last hour. ResultType 0 is a success. The log is a few minutes late.",
        (
            (KQL, SIGN_INS.format(table=table, client_id=plain(client_id, "CLIENT_ID"))),
            (PORTAL, f"Entra admin center > Monitoring & health > Sign-in logs > {page}{by_id}"),
        ),
    )


def request_queries(vault: str, caller: str) -> tuple[tuple[str, str], ...]:
    """Return the queries of a vault's requests, by the table of its diagnostic setting."""
    vault = plain(vault, "VAULT")
    return ((KQL, REQUESTS.format(vault=vault, caller=caller)), (OLD_KQL, OLD_REQUESTS.format(vault=vault, caller=caller)))


def _caller(failure: StepResult, names: Names, request_id: str | None) -> str:
    """Return the condition of the requests that show the repair."""
    if is_unconfirmed(failure, names):
        return BY_ADDRESS.format("ADDRESS")
    caller = BY_ADDRESS.format(plain(names.client_address, "ADDRESS")) if names.client_address else EXPORTER_REQUESTS
    # Key Vault logs the request id as the correlation id, unless the client sent another one.
    return caller + (BY_REQUEST.format(plain(request_id, "REQUEST_ID")) if request_id else "")


def is_unconfirmed(failure: StepResult, names: Names) -> bool:
    """Whether a vault refuses an address that no SQL Server may have: that of a central exporter."""
    is_refused = failure.reason is not None and failure.reason.row.refuses is Refused.ADDRESS
    return is_refused and names.vantage is not Vantage.SQL_HOST


# The steps of several vaults, keys or applications as one list: each command once, with the names of the others, and queries with all names.

MOST_LISTED: Final = 6  # forms of the commands of one step
_MARK: Final = "\0"  # the place of a name in a text or a command
_VARIABLES: Final = ("vault", "key", "application")
_NAMED_ONCE: Final = {"vault": "key vaults", "key": "keys"}
_PLACES: Final = ("_ResourceId", "Resource")  # columns that name the vault
_QUERIES: Final = (KQL, OLD_KQL)
_COMPARED = re.compile(r'(?P<column>\w+) (?P<operator>==|=~|endswith) "/?(?P<value>[^"]*)"')
_SEVERAL: Final = {"==": "in", "=~": "in~", "endswith": "has_any"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketPart:
    """One vault, key or application of a ticket, with its own steps."""

    vault: str
    key: str = ""
    application: str = ""  # its client id; empty if unknown
    steps: Sequence[TeamStep] = ()


def merged_steps(parts: Sequence[TicketPart]) -> list[TeamStep]:
    """Return the steps of all parts, equal ones once: first those of the first part, then those that only others have."""
    known, alike = dict[str, str](), defaultdict[tuple[str, ...], list[tuple[TicketPart, TeamStep]]](list)
    for part, step in [(each, step) for each in parts for step in each.steps]:
        text = known.setdefault(step.text, _marked_all(step.text, part))
        alike[text, *(label for label, _ in step.lines)].append((part, step))
    return [_merged(each, parts) for each in alike.values()]


def titles(parts: Sequence[TicketPart], among: Sequence[TicketPart] = ()) -> list[str]:
    """Return the names in which parts differ from each other, such as `vault1/key1`; `among` are more of them."""
    return _names(parts, _differing((*parts, *among)))


def noun(parts: Sequence[TicketPart]) -> str:
    """Return what the parts are: vaults, else keys of one vault, else applications."""
    return _differing(parts)[0]


def _differing(parts: Sequence[TicketPart]) -> Sequence[str]:
    """Return what differs between the parts; without a difference, the vault."""
    return [each for each in _VARIABLES if len({getattr(part, each) for part in parts}) > 1] or _VARIABLES[:1]


def _merged(each: Sequence[tuple[TicketPart, TeamStep]], parts: Sequence[TicketPart]) -> TeamStep:
    _, first = each[0]
    having = list({id(part): part for part, _ in each}.values())
    only = f" Only for {', '.join(titles(having, parts))}." if len(having) < len(parts) else ""
    return replace(first, text=first.text + only, lines=tuple(_lines(each, parts)))


def _lines(each: Sequence[tuple[TicketPart, TeamStep]], parts: Sequence[TicketPart]) -> Iterator[tuple[str, str]]:
    """Yield each form of the commands once, with the names of the others, and the queries; forms above the limit are named."""
    forms = defaultdict[tuple[str, ...], dict[tuple[tuple[str, str], ...], TicketPart]](dict)
    for part, step in each:
        form = tuple(_marked_all(line, part) for label, line in step.lines if label not in (*_QUERIES, PORTAL))
        forms[form].setdefault(step.lines, part)
    for form_number, alike in enumerate(islice(forms.values(), MOST_LISTED)):
        first = next(iter(alike))
        for number, (label, line) in enumerate(first):
            if label not in _QUERIES:
                yield label, line
            elif form_number == 0:
                yield from ((label, query) for query in _queries(dict.fromkeys(step.lines[number][1] for _, step in each)))
        if others := _others(first, list(alike.values()), parts):
            yield "also for", ", ".join(others)
    if rest := [part for alike in islice(forms.values(), MOST_LISTED, None) for part in alike.values()]:
        yield "more", f"the same for {', '.join(titles(rest, [part for part, _ in each]))}"


def _others(lines: Iterable[tuple[str, str]], having: Sequence[TicketPart], parts: Sequence[TicketPart]) -> list[str]:
    """Return what stands in the commands of the other parts in place of the names of the first; of many, their number."""
    text = "\n".join(line for label, line in lines if label not in _QUERIES)
    variables = [each for each in _differing(having) if getattr(having[0], each) in text]
    others = _names(having, variables)[1:]
    if len(others) > MOST_LISTED and variables == [noun(parts)] and len(others) + 1 == len(_names(parts, variables)):
        named = _NAMED_ONCE.get(variables[0])
        return others if named is None else [f"the other {len(others):,} {named}, which What fails names"]
    return others


def _names(parts: Iterable[TicketPart], variables: Iterable[str]) -> list[str]:
    return list(dict.fromkeys("/".join(getattr(part, each) for each in variables) for part in parts))


def _marked_all(text: str, part: TicketPart) -> str:
    for each in _VARIABLES:
        if name := getattr(part, each):
            text = text.replace(name, _MARK)
    return text


def _queries(queries: Iterable[str]) -> Iterator[str]:
    """Yield one query for all that compare the same columns."""
    forms = defaultdict[str, list[str]](list)
    for query in queries:
        forms[_COMPARED.sub(r"\g<column>", query)].append(query)
    return (alike[0] if len(alike) == 1 else _query(alike) for alike in forms.values())


def _query(queries: Sequence[str]) -> str:
    """Return one query for all values that queries of the same form compare with."""
    found = zip(*([each["value"] for each in _COMPARED.finditer(query)] for query in queries), strict=True)
    values, columns = (list(dict.fromkeys(each)) for each in found), list[str]()

    def compared(match: re.Match[str]) -> str:
        """Return a comparison with all values, and add its column if there are several."""
        quoted = [f'"{value}"' for value in next(values)]
        if len(quoted) == 1:
            return match[0]
        columns.append(match["column"])
        if len(quoted) > MOST_LISTED and match["column"] in _PLACES:
            return f"isnotempty({match['column']})"
        # Of many requests, the first ones: what their callers have in common finds the others.
        quoted = quoted[:MOST_LISTED] if match["column"] == "CorrelationId" else quoted
        return f"{match['column']} {_SEVERAL[match['operator']]} ({', '.join(quoted)})"

    query = _COMPARED.sub(compared, queries[0])
    place = next((each for each in columns if each in _PLACES), "")
    shown = "project TimeGenerated, "
    return query.replace(shown, f"{shown}{place}, ").replace("| take 100", "| take 1000") if place else query
