"""The ticket of a failure for another team: who gets it, its steps, how it sees that they worked, and several as one list.

Each step has its part alone, and each command in three forms.
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
from exporter.knowledge.ticket_equivalents import completed, find_equivalent, parse, portal_path, powershell


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
    team = team_of(failure, owner)
    return OWNERS[owner_of_failure(failure, owner)] if team is None else TEAM_TITLES[team]


MOST_STEPS: Final = 6
AZ, POWERSHELL, PORTAL, RUN, LOGS, KQL, OLD_KQL = "az", "PowerShell", "portal", "run", "Logs", "KQL", "or"
_SPAN = re.compile(r"`([^`]+)`")
COMMAND_AT_END = re.compile(r": `([^`]+)`(?=\.(?: [A-Z]|$))")
_FIRST_WORDS = ("az ", "ekm-exporter script ", "curl ", "Resolve-DnsName ", "Test-NetConnection ", "openssl ", "nslookup ")
_OF_ENTRA = ("az ad ", "az rest ")
_CLOUDS: Final = {"us_government": "AzureUSGovernment", "china": "AzureChinaCloud"}  # the public one is the default
_PAGE = " > "  # between the names of a path in the portal


@dataclass(frozen=True, slots=True)
class TeamStep:
    """One step: a sentence, and lines of a label and a command or path."""

    text: str
    lines: tuple[tuple[str, str], ...] = ()


def team_steps(team: Team, actions: Sequence[str], vault: str) -> list[TeamStep]:
    """Return the steps of a team, then those that it forwards to another one. `actions` have the names of `vault` filled in."""
    readers = [(text, reader) for text in actions if (reader := _reader(text, team)) is not None]
    readers.sort(key=lambda each: each[1] is not team)
    steps = ((reader, _step(text, vault)) for text, reader in readers)
    found = (step if reader is team else replace(step, text=f"For {TEAM_TITLES[reader]}: {step.text}") for reader, step in steps)
    return list(islice(found, MOST_STEPS))


def _reader(action: str, team: Team) -> Team | None:
    """Return the team that takes an action of a ticket for `team`; None if the DBA or the exporter's operator does."""
    reader = reader_of(action)
    return team if reader is None else TEAMS.get(reader)


def _step(text: str, vault: str) -> TeamStep:
    commands = [each for each in _SPAN.findall(text) if each.startswith(_FIRST_WORDS) or _PAGE in each]
    sentence = COMMAND_AT_END.sub(lambda found: "" if found[1] in commands else found[0], text)
    return TeamStep(sentence.replace("`", ""), tuple(line for command in commands for line in command_lines(command, vault)))


def command_lines(command: str, vault: str) -> Iterator[tuple[str, str]]:
    """Yield a command in its forms."""
    if _PAGE in command:
        yield PORTAL, command
        return
    if command.startswith("ekm-exporter script "):
        yield LOGS, command
        return
    if not command.startswith("az "):
        yield RUN, command.replace("curl ", "curl.exe ")
        return
    parsed = parse(command)
    equivalent = find_equivalent(parsed)
    if equivalent is None:
        yield AZ, command
        return
    yield AZ, command
    yield POWERSHELL, powershell(equivalent, parsed)
    yield PORTAL, portal_path(equivalent, parsed, vault)


def scope_lines(commands: Iterable[str], vault: str) -> Iterator[tuple[str, str]]:
    """Yield what selects cloud and subscription before `az` commands; Entra ID has no subscriptions."""
    cloud = cloud_of(vault)
    name = None if cloud is None else _CLOUDS.get(cloud.name)
    of_vault = not all(each.startswith(_OF_ENTRA) for each in commands)
    first = [
        *((f"az cloud set --name {name}", "az login") if name else ()),
        *(("az account set --subscription SUBSCRIPTION",) if of_vault else ()),
    ]
    if first:
        yield f"first, {AZ}", "; ".join(first)
        yield (
            f"or {POWERSHELL}",
            f"Connect-AzAccount{f' -Environment {name}' if name else ''}{' -Subscription SUBSCRIPTION' if of_vault else ''}",
        )


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
EXPORTER_REQUESTS = 'ClientInfo startswith "ekm-exporter/"'
BY_ADDRESS = 'CallerIpAddress == "{}"'
BY_REQUEST = ' or CorrelationId == "{}"'
_STATUS = 'curl.exe -sS -o NUL -w "%{{http_code}}"{} https://HOST{}'
_ISSUER = """curl.exe -sS -o NUL -w "%{{http_code}} %{{certs}}"{} https://HOST{} | Select-String '^[0-9]|^Issuer'"""
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
        yield TeamStep("The setting:", tuple(line for line in command_lines(check, vault) if line[0] != "portal"))
    if team is Team.IDENTITY and names.client_id:
        yield from _sign_ins(names, facts)
    if team is Team.VAULT and failure.reason is Reason.THROTTLED:
        yield TeamStep(
            "The requests that the vault throttled in each minute: 0.",
            tuple(command_lines(fill_command(THROTTLED, names), vault)),
        )
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


# The steps of several vaults, keys or applications as one list: each command once, with the names of the others, and queries with all names.

MOST_LISTED: Final = 6  # forms of the commands of one step
_MARK: Final = "\0"  # the place of a name in a text or a command
_VARIABLES: Final = ("vault", "key", "application")
_QUERIES: Final = (KQL, OLD_KQL)
_COMPARED = re.compile(r'(?P<column>\w+) (?P<operator>==|=~|endswith) "/?(?P<value>[^"]*)"')
_SEVERAL: Final = {"==": "in", "=~": "in~", "endswith": "has_any"}
_PLACES: Final = ("_ResourceId", "Resource")  # columns that name the vault
_SHOWN: Final = "project TimeGenerated, "
_MOST_ROWS: Final = ("| take 100", "| take 1000")


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
    for part in parts:
        for step in part.steps:
            text = known.setdefault(step.text, _marked_all(step.text, part))
            alike[text, *(label for label, _ in step.lines)].append((part, step))
    return [_merged(each, parts) for each in alike.values()]


def titles(parts: Sequence[TicketPart], among: Sequence[TicketPart] = ()) -> list[str]:
    """Return the names in which parts differ from each other, such as `vault1/key1`; `among` are more of them."""
    differing = _differing((*parts, *among))
    return list(dict.fromkeys("/".join(getattr(part, each) for each in differing) for part in parts))


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
    return replace(first, text=first.text + only, lines=tuple(_lines(each)))


def _lines(each: Sequence[tuple[TicketPart, TeamStep]]) -> Iterator[tuple[str, str]]:
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
        if others := _others(first, list(alike.values())):
            yield "also for", ", ".join(others)
    if rest := [part for alike in islice(forms.values(), MOST_LISTED, None) for part in alike.values()]:
        yield "more", f"the same for {', '.join(titles(rest, [part for part, _ in each]))}"


def _others(lines: Iterable[tuple[str, str]], parts: Sequence[TicketPart]) -> list[str]:
    """Return what stands in the commands of the other parts in place of the names of the first."""
    text = "\n".join(line for label, line in lines if label not in _QUERIES)
    named = [each for each in _differing(parts) if getattr(parts[0], each) in text]
    return list(dict.fromkeys("/".join(getattr(part, each) for each in named) for part in parts))[1:]


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
    yield from (alike[0] if len(alike) == 1 else _query(alike) for alike in forms.values())


def _query(queries: Sequence[str]) -> str:
    """Return one query for all values that queries of the same form compare with."""
    found = [[each["value"] for each in _COMPARED.finditer(query)] for query in queries]
    values = (list(dict.fromkeys(each)) for each in zip(*found, strict=True))
    columns = list[str]()
    query = _COMPARED.sub(lambda compared: _compared(compared, next(values), columns), queries[0])
    place = next((each for each in columns if each in _PLACES), "")
    return query.replace(_SHOWN, f"{_SHOWN}{place}, ").replace(*_MOST_ROWS) if place else query


def _compared(compared: re.Match[str], values: Iterable[str], columns: list[str]) -> str:
    """Return a comparison with all values, and add its column if there are several."""
    quoted = [f'"{value}"' for value in values]
    if len(quoted) == 1:
        return compared[0]
    columns.append(compared["column"])
    return f"{compared['column']} {_SEVERAL[compared['operator']]} ({', '.join(quoted)})"
