"""A ticket for the team that repairs a failure, as plain text for a mail or a ticket system.

Other teams than the DBAs own network, Entra ID and vaults. The text has masked facts of the probe, and no secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from exporter.config.settings import Target
from exporter.core import durations
from exporter.core.codes import both_numbers
from exporter.core.codes.cause_text import cause
from exporter.core.codes.shared import WITHOUT_WRAP
from exporter.core.codes.words import words_in
from exporter.core.durations import moment
from exporter.core.known_secrets import hide
from exporter.core.log_queries import one_line
from exporter.core.model import Step, StepResult, Vantage
from exporter.core.tickets.checks import SUPPORT_REQUEST, confirmation, is_unconfirmed, team_checks
from exporter.core.tickets.steps import AZ, Place, TeamStep, check_command, scope_lines, team_steps
from exporter.core.tickets.team import TITLES, Team
from exporter.explain.render import wrap
from exporter.presentation.incident import Extent, Incident, extent_of
from exporter.presentation.log_scripts import log_query
from exporter.presentation.probe_text import Line, effect, facts_of
from exporter.state.records import TargetRecord

MOST_VAULTS: Final = 40
MOST_SERVERS: Final = 12
_DBA_FACTS: Final = ("code", "reason", "shared", "resent", "phases")  # facts that only a DBA reads
_REQUESTS: Final = {
    Step.CHALLENGE: "The first HTTPS request to {vault}, without a token,",
    Step.TOKEN: "The sign-in of application {client} at {host}",
    Step.GET_KEY: "The request for key {key} in {vault}",
    Step.WRAP_KEY: "Encryption (wrapKey) with key {key} in {vault}",
    Step.UNWRAP_KEY: "Decryption (unwrapKey) with key {key} in {vault}",
}
_SCRIPT: Final = re.compile(r"ekm-exporter script (\S+\.kql) --vault (\S+)")
_INDENT, _LABEL = "  ", 15


def ticket_text(incident: Incident, extent: Extent, host: str) -> str:
    """Return the ticket, with a final line break; empty if no other team repairs it. `host` is the name of this computer."""
    failure, team = incident.failure, incident.team
    if failure is None or team is None:
        return ""
    place = Place(host, incident.target.vantage is Vantage.SQL_HOST)
    others = [(each.vault_name, each.actions) for each in extent.others]
    steps = [
        *confirmation(team, failure, incident.names),
        *team_steps(team, incident.actions, place, incident.vault_name, others),
    ]
    if team is Team.MICROSOFT:
        steps.append(SUPPORT_REQUEST)
    changed = check_command(incident.actions, incident.vault_name)
    checks = list(team_checks(team, failure, incident.names, changed))
    scope = list(_scope(team, incident, (*steps, *checks)))
    sections = (
        ("What fails", _what_fails(incident, failure, extent)),
        ("What depends on it", _dependents(incident, failure, extent)),
        ("Since", (_since(incident, extent),)),
        ("Evidence", (f"{label:<{_LABEL}} {value}" for label, value in _evidence(incident, failure, place))),
        ("What to do", (*scope, *_step_lines(steps, numbered=True))),
        ("Words in capitals", _words((*steps, *checks), scope)),
        ("How you see that it works", _step_lines(checks)),
        ("How the DBA sees it", _how_we_see(incident, failure, changed)),
    )
    lines = [f"To: {TITLES[team]}", f"Subject: {_subject(incident, failure, team, extent)}"]
    for title, body in sections:
        if shown := list(body):
            lines += ["", title, *(f"{_INDENT}{line}" for line in shown)]
    return "".join(f"{hide(line)}\n" for line in lines)


def last_ticket(target: Target, record: TargetRecord | None, host: str, *, mask_proxy: Callable[[str], str] = str) -> str:
    """Return the ticket about the last probe of a target; empty without a failure that another team repairs."""
    if record is None or record.last is None:
        return ""
    steps = tuple(
        each
        if each.facts is None or each.facts.proxy is None
        else replace(each, facts=replace(each.facts, proxy=mask_proxy(each.facts.proxy)))
        for each in record.last.steps
    )
    incident = Incident(target=target, report=replace(record.last, steps=steps), record=record)
    return ticket_text(incident, extent_of(incident), host)


def _wrapped(text: str, first: str = "", rest: str = "") -> Iterator[str]:
    yield from wrap(text, first=first, rest=rest).split("\n")


def _subject(incident: Incident, failure: StepResult, team: Team, extent: Extent) -> str:
    several = f"{extent.vaults:,} key vaults"
    of_identity = f"application {incident.names.client_id or incident.target.credential}"
    host = incident.names.host or incident.target.vault
    what = of_identity if team is Team.IDENTITY else several if extent.vaults > 1 else host.removesuffix(":443")
    return f"{what}: {cause(failure.reason, failure.step)}"


def _what_fails(incident: Incident, failure: StepResult, extent: Extent) -> Iterator[str]:
    names, target = incident.names, incident.target
    request = _REQUESTS[failure.step].format(
        vault=target.vault, key=target.key, client=names.client_id or target.credential, host=names.host or "Entra ID"
    )
    yield from _wrapped(f"{request} fails: {cause(failure.reason, failure.step)}.")
    if is_unconfirmed(failure, names):
        yield from _wrapped("This is not confirmed from a SQL Server host: the vault refused the host of the monitor.")
    if extent.vaults > 1:
        named = list(dict.fromkeys((incident.vault_name, *(each.vault_name for each in extent.others))))[:MOST_VAULTS]
        more = f" and {extent.vaults - len(named):,} more" if extent.vaults > len(named) else ""
        yield from _wrapped(f"The same holds for {extent.vaults:,} key vaults: {', '.join(named)}{more}.")
    if extent.note:
        yield from _wrapped(f"{extent.note[0].upper()}{extent.note[1:]}.")


def _dependents(incident: Incident, failure: StepResult, extent: Extent) -> Iterator[str]:
    servers = extent.servers
    more = f" and {len(servers) - MOST_SERVERS:,} more" if len(servers) > MOST_SERVERS else ""
    if servers:
        yield from _wrapped(f"SQL Servers ({len(servers):,}): {', '.join(sorted(servers)[:MOST_SERVERS])}{more}")
    else:
        yield f"SQL Servers that use the credential {incident.target.credential}"
    only_wrap = WITHOUT_WRAP if failure.step is Step.WRAP_KEY else ""
    if is_unconfirmed(failure, incident.names):
        yield "If the vault refuses SQL Server too:"
    yield from _wrapped(effect(incident.report) or only_wrap or "The vault is usable now, and fails again and again.")


def _since(incident: Incident, extent: Extent) -> str:
    if extent.since is not None:
        return moment(extent.since)
    return f"observed at {moment(incident.report.started_at)}; when it began is not known"


def _evidence(incident: Incident, failure: StepResult, place: Place) -> Iterator[Line]:
    facts, names = failure.facts, incident.names
    yield "seen from", f"{place.host}, {'a SQL Server host' if place.is_sql_host else 'the host of the monitor'}"
    yield "time", moment(incident.report.started_at)
    yield "step", failure.step.value
    yield from ((label, value) for label, value in facts_of(failure) if label not in _DBA_FACTS)
    issuer = facts.certificate.issuer if facts is not None and facts.certificate is not None else None
    region = None if incident.record is None else incident.record.region
    named = (
        ("resolves to", ", ".join(incident.addresses)),
        ("certificate of", issuer),
        ("proxy", names.proxy or "none"),
        ("client id", names.client_id),
        ("tenant id", incident.report.tenant),
        ("region", region),
    )
    yield from ((label, value) for label, value in named if value)


def _step_lines(steps: Iterable[TeamStep], *, numbered: bool = False) -> Iterator[str]:
    """Yield sentences, wrapped, and commands, each whole on its line."""
    for number, step in enumerate(steps, start=1):
        first = f"{number}. " if numbered else "- "
        yield from _wrapped(step.text, first, " " * len(first))
        yield from (f"{' ' * len(first)}{_form(label, command)}" for label, command in step.lines)


def _form(label: str, command: str) -> str:
    """Return a label and its command; a script of the exporter is the query that it prints, which another team can run."""
    script = _SCRIPT.fullmatch(command)
    return f"{label:<11} {one_line(log_query(script[1], vault=script[2])) if script else command}"


def _scope(team: Team, incident: Incident, steps: Iterable[TeamStep]) -> Iterator[str]:
    if any(label == AZ for step in steps for label, _ in step.lines):
        yield from (f"{label:<14} {command}" for label, command in scope_lines(team, incident.target.vault))


def _words(steps: Sequence[TeamStep], scope: Iterable[str]) -> Iterator[str]:
    commands = [*scope, *(command for step in steps for _, command in step.lines)]
    yield from (f"{word:<{_LABEL}} {meaning}" for word, meaning in words_in((), commands))


def _how_we_see(incident: Incident, failure: StepResult, changed: str) -> Iterator[str]:
    target, reason = incident.target, failure.reason
    if changed.startswith("az ad app credential"):
        yield from _wrapped(
            "Send a new secret or certificate to the DBA in a safe way, never in a ticket: SQL Server needs it too."
        )
    yield from _wrapped(
        f"The probe of {target.name} runs every {durations.write(target.interval)}. Its first success shows the repair, "
        "and the alert ends. Please answer this ticket then."
    )
    code = "" if failure.code is None else f", code {both_numbers(failure.code)}"
    yield from _wrapped(f"For the DBA's records: target {target.name}{code}{f', reason {reason.value}' if reason else ''}.")
