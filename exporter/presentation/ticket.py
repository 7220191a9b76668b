"""A ticket for the team that repairs a failure, as plain text for a mail or a ticket system.

Other teams than the DBAs own network, Entra ID and vaults. The text has masked facts of the probe, and no secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from exporter.config.settings import Target
from exporter.core import durations
from exporter.core.codes import both_numbers
from exporter.core.codes.words import words_in
from exporter.core.durations import second
from exporter.core.known_secrets import hide
from exporter.core.log_queries import log_query, one_line
from exporter.core.model import Facts, StepResult, Vantage
from exporter.core.reasons import Reason
from exporter.core.tickets.checks import SUPPORT_REQUEST, confirmation, is_unconfirmed, team_checks, undo
from exporter.core.tickets.several import TicketPart, merged_steps, noun
from exporter.core.tickets.steps import AZ, Place, TeamStep, check_command, scope_lines, team_steps
from exporter.core.tickets.team import TITLES, Team
from exporter.presentation.probe_text import effect
from exporter.presentation.ticket_evidence import evidence
from exporter.presentation.ticket_failure import cause_in_subject, logged_failure, what_fails, wrapped_lines
from exporter.presentation.ticket_subject import Extent, TicketSubject, extent_of, subject_of
from exporter.state.records import RECENT, TargetRecord

MOST_SERVERS: Final = 12
_SHORTEST_RANGE: Final = 60.0  # seconds between the first and the last beginning: one beginning
_GREEN: Final = "A green probe shows the repair; the alert ends 15 to 25 minutes later."
_GREEN_THROTTLED: Final = (
    "Three green ones in a row, and no 429 for ten minutes, show the repair; the alert ends 15 to 25 minutes later."
)
_SCRIPT: Final = re.compile(r"ekm-exporter script (\S+\.kql) --vault (\S+)(?: --key (\S+))?")
_INDENT, _LABEL = "  ", 15


class TicketPlan(NamedTuple):
    """What a team does about one vault, key or application, and how it sees that the repair works."""

    repair: TicketPart
    check: TicketPart


def ticket_plans(subject: TicketSubject, extent: Extent, host: str) -> Iterator[TicketPlan]:
    """Yield the plan of the subject and of each other one of its team: a quarter of a millisecond for each."""
    place = Place(host, subject.target.vantage is Vantage.SQL_HOST)
    for each in extent.subjects(subject):
        if each.failure is not None and each.team is not None:
            yield _plan(each, each.failure, each.team, extent, place)


def ticket_text(subject: TicketSubject, extent: Extent, host: str, plans: Sequence[TicketPlan] = ()) -> str:
    """Return the ticket, with a final line break; empty if no other team repairs it.

    `host` is the name of this computer. `plans` are those of `ticket_plans`, if they were made before, in slices.
    """
    failure, team = subject.failure, subject.team
    if failure is None or team is None:
        return ""
    place = Place(host, subject.target.vantage is Vantage.SQL_HOST)
    several, plans = extent.subjects(subject), plans or list(ticket_plans(subject, extent, host))
    parts = [plan.repair for plan in plans]
    steps, checks = merged_steps(parts), merged_steps([plan.check for plan in plans])
    if team is Team.MICROSOFT:
        steps.append(SUPPORT_REQUEST)
    scope = list(_scope(team, subject, (*steps, *checks)))
    sections = (
        ("What fails", what_fails(several, parts, failure, extent, place)),
        ("What depends on it", _dependents(several, failure, extent)),
        ("Since", (_since(subject, extent),)),
        ("Evidence", (f"{label:<{_LABEL}} {value}" for label, value in evidence(several, parts, failure, place))),
        ("What to do", (*_coverage(parts, team, extent), *scope, *_step_lines(steps, numbered=True))),
        ("Words in capitals", _words((*steps, *checks), scope)),
        ("How you see that it works", _step_lines(checks)),
        ("How the DBA sees it", _how_we_see(subject, failure, extent)),
    )
    lines = [
        f"To: {TITLES[team]}",
        f"Subject: {_what(several, parts, team, extent)}: {cause_in_subject(several, failure, place)}",
    ]
    for title, body in sections:
        if shown := list(body):
            lines += ["", title, *(f"{_INDENT}{line}" for line in shown)]
    return "".join(f"{hide(line)}\n" for line in lines)


def last_ticket(
    target: Target, record: TargetRecord | None, host: str, *, now: float, mask_address: Callable[[str], str] = str
) -> str:
    """Return the ticket about the last probe of a target; empty without a failure that another team repairs.

    `mask_address` masks the proxy and the addresses of connections; `now` is a Unix time.
    """
    subject = subject_of(target, record, now)
    if subject is None:
        return ""
    steps = tuple(
        each if each.facts is None else replace(each, facts=_with_masked_addresses(each.facts, mask_address))
        for each in subject.report.steps
    )
    subject = replace(subject, report=replace(subject.report, steps=steps))
    return ticket_text(subject, extent_of(subject), host)


def _with_masked_addresses(facts: Facts, mask_address: Callable[[str], str]) -> Facts:
    proxy, local = facts.proxy and mask_address(facts.proxy), facts.local_address and mask_address(facts.local_address)
    return replace(facts, proxy=proxy, local_address=local, addresses=tuple(map(mask_address, facts.addresses)))


def _plan(subject: TicketSubject, failure: StepResult, team: Team, extent: Extent, place: Place) -> TicketPlan:
    own, names = replace(place, is_logged=logged_failure(subject, extent) is not None), subject.names
    part = TicketPart(
        vault=subject.vault_name, key=subject.target.key_name, application=names.client_id or subject.target.credential
    )
    checks = team_checks(team, failure, names, check_command(subject.actions, part.vault))
    steps = list(_steps_of_part(subject, failure, team, own))
    return TicketPlan(repair=replace(part, steps=steps), check=replace(part, steps=list(checks)))


def _steps_of_part(subject: TicketSubject, failure: StepResult, team: Team, place: Place) -> Iterator[TeamStep]:
    if subject.unsteady is None:
        yield from undo(failure, subject.names)
    if not place.is_logged:
        yield from confirmation(team, failure, subject.names)
    yield from team_steps(team, subject.actions, place, subject.vault_name)


def _several(parts: Sequence[TicketPart], team: Team, extent: Extent) -> str:
    """Return how many vaults, keys or applications fail; empty for one."""
    if team is Team.IDENTITY:
        applications = len({part.application for part in parts})
        return f"{applications:,} applications" if applications > 1 else ""
    if extent.vaults > 1:
        return f"{extent.vaults:,} key vaults"
    return f"{extent.total:,} {noun(parts)}s of {parts[0].vault}" if extent.total > 1 and len(parts) > 1 else ""


def _what(several: Sequence[TicketSubject], parts: Sequence[TicketPart], team: Team, extent: Extent) -> str:
    names = several[0].names
    one = f"application {parts[0].application}" if team is Team.IDENTITY else names.host or several[0].target.vault
    return _several(parts, team, extent) or one.removesuffix(":443")


def _coverage(parts: Sequence[TicketPart], team: Team, extent: Extent) -> Iterator[str]:
    if extent.total > len(parts) and _several(parts, team, extent):
        yield from wrapped_lines(
            f"The commands cover {len(parts):,} of {extent.total:,}. Repeat them for the others of this kind."
        )


def _dependents(several: Sequence[TicketSubject], failure: StepResult, extent: Extent) -> Iterator[str]:
    subject, servers = several[0], extent.servers
    more = f" and {len(servers) - MOST_SERVERS:,} more" if len(servers) > MOST_SERVERS else ""
    if servers:
        yield from wrapped_lines(f"SQL Servers ({len(servers):,}): {', '.join(sorted(servers)[:MOST_SERVERS])}{more}")
    else:
        yield f"SQL Servers that use the credential {subject.target.credential}"
    if extent.urgency:
        yield from wrapped_lines(f"{extent.urgency[0].upper()}{extent.urgency[1:]}.")
    is_logged = any(logged_failure(each, extent) is not None for each in several)
    if is_unconfirmed(failure, subject.names) and subject.unsteady is None and not is_logged:
        yield "If the vault refuses SQL Server too:"
    stopped = "" if subject.unsteady is not None else effect(subject.report)
    yield from wrapped_lines(stopped or "The vault is usable now, and fails again and again.")


def _since(subject: TicketSubject, extent: Extent) -> str:
    began = subject.report.started_at if extent.began is None else extent.began
    if extent.last is not None and extent.last - began >= _SHORTEST_RANGE:
        first = f"{second(began)} (first observed then)" if extent.is_first_seen else second(began)
        return f"{first} to {second(extent.last)}, one after another"
    return f"before {second(began)}, first observed then" if extent.is_first_seen else second(began)


def _step_lines(steps: Iterable[TeamStep], *, numbered: bool = False) -> Iterator[str]:
    """Yield sentences, wrapped, and commands, each whole on its line."""
    for number, step in enumerate(steps, start=1):
        first = f"{number}. " if numbered else "- "
        yield from wrapped_lines(step.text, first, " " * len(first))
        yield from (f"{' ' * len(first)}{_form(label, command)}" for label, command in step.lines)


def _form(label: str, command: str) -> str:
    """Return a label and its command; a script of the exporter is the query that it prints, which another team can run."""
    script = _SCRIPT.fullmatch(command)
    if script is None:
        return f"{label:<11} {command}"
    names = {"vault": script[2], "key": script[3]}
    return f"{label:<11} {one_line(log_query(script[1], **{name: value for name, value in names.items() if value}))}"


def _scope(team: Team, subject: TicketSubject, steps: Iterable[TeamStep]) -> Iterator[str]:
    if any(label == AZ for step in steps for label, _ in step.lines):
        yield from (f"{label:<14} {command}" for label, command in scope_lines(team, subject.target.vault))


def _words(steps: Sequence[TeamStep], scope: Iterable[str]) -> Iterator[str]:
    commands = [*scope, *(command for step in steps for _, command in step.lines)]
    yield from (f"{word:<{_LABEL}} {meaning}" for word, meaning in words_in((), commands))


def _how_we_see(subject: TicketSubject, failure: StepResult, extent: Extent) -> Iterator[str]:
    target, reason, every = subject.target, failure.reason, durations.write(subject.target.interval)
    if check_command(subject.actions, subject.vault_name).startswith("az ad app credential"):
        yield from wrapped_lines(
            "Send a new secret or certificate to the DBA in a safe way, never in a ticket: SQL Server needs it too."
        )
    shown = f"The probe of {target.name} runs every {every}. {_GREEN_THROTTLED if reason is Reason.THROTTLED else _GREEN}"
    if subject.unsteady is not None:
        within = durations.write(RECENT * target.interval)
        shown = f"The probe of {target.name} runs every {every}. The repair shows after {within}: no failure among the next {RECENT} probes."
    also = f" So does each other one of the {extent.total:,}." if extent.total > 1 else ""
    yield from wrapped_lines(f"{shown}{also} Please answer this ticket then.")
    code = "" if failure.code is None else f", code {both_numbers(failure.code)}"
    yield from wrapped_lines(f"For the DBA's records: target {target.name}{code}{f', reason {reason.value}' if reason else ''}.")
