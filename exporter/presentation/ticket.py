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
from exporter.core.codes.shared import REWRITTEN, WITHOUT_WRAP
from exporter.core.codes.words import words_in
from exporter.core.durations import moment, second
from exporter.core.known_secrets import hide
from exporter.core.model import Facts, Step, StepResult, Vantage
from exporter.core.tickets.checks import SUPPORT_REQUEST, team_checks
from exporter.core.tickets.several import Part, merged_steps, noun, titles
from exporter.core.tickets.steps import Place, TeamStep, check_command, team_steps
from exporter.core.tickets.team import TITLES, Team
from exporter.explain.render import wrap
from exporter.presentation.probe_text import Line, effect, facts_of
from exporter.presentation.ticket_subject import Extent, TicketSubject, extent_of, subject_of
from exporter.state.records import RECENT, TargetRecord

MOST_NAMED: Final = 40  # vaults, keys or applications in a sentence, and with evidence of their own
MOST_SERVERS: Final = 12
_ADDRESSES: Final = 3
_SHORTEST_RANGE: Final = 60.0  # seconds between the first and the last beginning: one beginning
_DBA_FACTS: Final = ("code", "reason", "shared", "resent", "phases")  # facts that only a DBA reads
_OF_PART: Final = ("request id", "correlation id", "client address", "object id")
_REQUESTS: Final = {
    Step.CHALLENGE: "The first HTTPS request to {vault}, without a token,",
    Step.TOKEN: "The sign-in of application {client} at {host}",
    Step.GET_KEY: "The request for key {key} in {vault}",
    Step.WRAP_KEY: "Encryption (wrapKey) with key {key} in {vault}",
    Step.UNWRAP_KEY: "Decryption (unwrapKey) with key {key} in {vault}",
}
# Masked ids, which have lines of their own.
_IDS = re.compile(
    r"(?:Caller: )?'?(?:\b(?:appid|oid|numgroups)=[^;\s']*;?)+(?:iss=[^;\s']*)?'?\s*|\s*\b(?:Trace|Correlation) ID: <id>"
)
_MASKED_ADDRESS: Final = "'<address>'"
_INDENT, _LABEL = "  ", 15


def ticket_text(subject: TicketSubject, extent: Extent, host: str) -> str:
    """Return the ticket, with a final line break; empty if no other team repairs it. `host` is the name of this computer."""
    failure, team = subject.failure, subject.team
    if failure is None or team is None:
        return ""
    place = Place(host, subject.target.vantage is Vantage.SQL_HOST)
    several = [subject, *(each for each in extent.others if each.team is team)]
    parts = list(map(_part, several))
    steps = _steps_of(several, parts, place) or [TeamStep(f"{REWRITTEN} Find it on the route.")]
    if team is Team.MICROSOFT:
        steps.append(SUPPORT_REQUEST)
    checks = _checks_of(several, parts, team)
    sections = (
        ("What fails", _what_fails(several, parts, failure, extent, place)),
        ("What depends on it", _dependents(subject, failure, extent)),
        ("Since", (_since(subject, extent),)),
        ("Evidence", (f"{label:<{_LABEL}} {value}" for label, value in _evidence(several, parts, failure, place))),
        ("What to do", (*_coverage(parts, extent), *_step_lines(steps, numbered=True))),
        ("Words in capitals", _words((*steps, *checks))),
        ("How you see that it works", _step_lines(checks)),
        ("How the DBA sees it", _how_we_see(subject, failure, extent)),
    )
    lines = [f"To: {TITLES[team]}", f"Subject: {_what(several, parts, team, extent)}: {_cause(several, failure, place)}"]
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


def _part(subject: TicketSubject) -> Part:
    return Part(
        vault=subject.vault_name,
        key=subject.target.key_name,
        application=subject.names.client_id or subject.target.credential,
    )


def _steps_of(several: Sequence[TicketSubject], parts: Sequence[Part], place: Place) -> list[TeamStep]:
    return merged_steps(
        [replace(part, steps=team_steps(each.actions, place, part.vault)) for each, part in zip(several, parts, strict=True)]
    )


def _checks_of(several: Sequence[TicketSubject], parts: Sequence[Part], team: Team) -> list[TeamStep]:
    return merged_steps(
        [
            replace(part, steps=list(team_checks(team, failure, each.names, check_command(each.actions, part.vault))))
            for each, part in zip(several, parts, strict=True)
            if (failure := each.failure) is not None
        ]
    )


def _wrapped(text: str, first: str = "", rest: str = "") -> Iterator[str]:
    yield from wrap(text, first=first, rest=rest).split("\n")


def _several(parts: Sequence[Part], team: Team, extent: Extent) -> str:
    """Return how many vaults, keys or applications fail; empty for one."""
    if team is Team.IDENTITY:
        applications = len({part.application for part in parts})
        return f"{applications:,} applications" if applications > 1 else ""
    if extent.vaults > 1:
        return f"{extent.vaults:,} key vaults"
    return f"{extent.total:,} {noun(parts)}s of {parts[0].vault}" if extent.total > 1 and len(parts) > 1 else ""


def _what(several: Sequence[TicketSubject], parts: Sequence[Part], team: Team, extent: Extent) -> str:
    names = several[0].names
    one = f"application {parts[0].application}" if team is Team.IDENTITY else names.host or several[0].target.vault
    return _several(parts, team, extent) or one.removesuffix(":443")


def _cause(several: Sequence[TicketSubject], failure: StepResult, place: Place) -> str:
    """Return the cause for readers elsewhere: this address and this host have their names."""
    found = list(dict.fromkeys(each.names.client_address for each in several if each.names.client_address))
    more = f" and {len(found) - _ADDRESSES:,} more" if len(found) > _ADDRESSES else ""
    address = f"{', '.join(found[:_ADDRESSES])}{more} ({place.host})" if found else f"the address of {place.host}"
    text = (
        cause(failure.reason, failure.step).replace("this address", address).replace("trusted here", f"trusted on {place.host}")
    )
    return place.named_in(text)


def _what_fails(
    several: Sequence[TicketSubject], parts: Sequence[Part], failure: StepResult, extent: Extent, place: Place
) -> Iterator[str]:
    subject, names, target = several[0], several[0].names, several[0].target
    request = _REQUESTS[failure.step].format(
        vault=target.vault, key=target.key, client=parts[0].application, host=names.host or "Entra ID"
    )
    yield from _wrapped(f"{request} fails: {_cause(several, failure, place)}.")
    applications = list(dict.fromkeys(part.application for part in parts))
    if failure.step is Step.TOKEN and len(applications) > 1:
        yield from _same_holds("applications", applications, len(applications))
    if extent.vaults > 1:
        yield from _same_holds("key vaults", list(dict.fromkeys(part.vault for part in parts)), extent.vaults)
    elif extent.total > 1 and noun(parts) == "key":
        yield from _same_holds("keys", list(dict.fromkeys(part.key for part in parts)), extent.total)
    if subject.unsteady is not None:
        text = str(subject.unsteady)
        yield from _wrapped(f"{text[0].upper()}{text[1:]}.")


def _same_holds(what: str, names: Sequence[str], total: int) -> Iterator[str]:
    named = names[:MOST_NAMED]
    more = f" and {total - len(named):,} more" if total > len(named) else ""
    yield from _wrapped(f"The same holds for {total:,} {what}: {', '.join(named)}{more}.")


def _coverage(parts: Sequence[Part], extent: Extent) -> Iterator[str]:
    if extent.total > len(parts):
        yield from _wrapped(f"The commands cover {len(parts):,} of {extent.total:,}. Repeat them for the others of this kind.")


def _dependents(subject: TicketSubject, failure: StepResult, extent: Extent) -> Iterator[str]:
    servers = extent.servers
    more = f" and {len(servers) - MOST_SERVERS:,} more" if len(servers) > MOST_SERVERS else ""
    if servers:
        yield from _wrapped(f"SQL Servers ({len(servers):,}): {', '.join(sorted(servers)[:MOST_SERVERS])}{more}")
    else:
        yield f"SQL Servers that use the credential {subject.target.credential}"
    only_wrap = WITHOUT_WRAP if failure.step is Step.WRAP_KEY else ""
    stopped = "" if subject.unsteady is not None else effect(subject.report) or only_wrap
    yield from _wrapped(stopped or "The vault is usable now, and fails again and again.")


def _since(subject: TicketSubject, extent: Extent) -> str:
    began = subject.report.started_at if extent.began is None else extent.began
    if extent.last is not None and extent.last - began >= _SHORTEST_RANGE:
        first = f"{second(began)} (first observed then)" if extent.is_first_seen else second(began)
        return f"{first} to {second(extent.last)}, one after another"
    return f"before {second(began)}, first observed then" if extent.is_first_seen else second(began)


def _evidence(several: Sequence[TicketSubject], parts: Sequence[Part], failure: StepResult, place: Place) -> Iterator[Line]:
    subject, facts, names = several[0], failure.facts or Facts(), several[0].names
    yield "seen from", f"{place.host}, {'a SQL Server host' if place.is_sql_host else 'the host of the monitor'}"
    if subject.team is Team.NETWORK:
        yield "connection", _connection(subject, facts, place)
    yield "time", moment(subject.report.started_at)
    yield "step", failure.step.value
    for label, value in facts_of(failure):
        if label not in _DBA_FACTS and (shown := _detail(value, facts) if label == "detail" else value):
            yield label, shown
    named = (
        ("resolves to", ", ".join(subject.addresses)),
        ("certificate of", None if facts.certificate is None else facts.certificate.issuer),
        ("proxy", names.proxy or "none"),
        ("client id", names.client_id),
        ("tenant id", subject.report.tenant),
        ("region", None if subject.record is None else subject.record.region),
    )
    yield from ((label, value) for label, value in named if value)
    if len(parts) > 1:
        yield from _evidence_of_others(several, parts)


def _connection(subject: TicketSubject, facts: Facts, place: Place) -> str:
    """Return source and destination, as a rule of a firewall has them."""
    end = facts.proxy or facts.endpoint or f"{subject.target.vault}:443"
    port = end.rpartition(":")[2]
    addresses = dict.fromkeys(facts.addresses or (() if facts.proxy else subject.addresses))
    source = f"{place.host} ({facts.local_address})" if facts.local_address else place.host
    shown = ", ".join(f"[{each}]:{port}" if ":" in each else f"{each}:{port}" for each in addresses)
    return f"from {source} to {shown} ({end.rpartition(':')[0]})" if shown else f"from {source} to {end}"


def _detail(text: str, facts: Facts) -> str:
    """Return the detail without masked ids, and with the addresses to which the host connected."""
    text = _IDS.sub("", text).strip()
    if text.count(_MASKED_ADDRESS) == len(facts.addresses):
        for address in facts.addresses:
            text = text.replace(_MASKED_ADDRESS, f"'{address}'", 1)
    return text


def _evidence_of_others(several: Sequence[TicketSubject], parts: Sequence[Part]) -> Iterator[Line]:
    """Yield one line for each further vault, key or application."""
    for each, part in list(zip(several, parts, strict=True))[1:MOST_NAMED]:
        failure = each.failure
        shown = () if failure is None else facts_of(failure)
        values = ", ".join(f"{label} {value}" for label, value in shown if label in _OF_PART)
        name = titles([part], parts)[0]
        yield "also", f"{name}: {second(each.report.started_at)}{', ' if values else ''}{values}"
    if len(parts) > MOST_NAMED:
        yield "also", f"{len(parts) - MOST_NAMED:,} more, not listed"


def _step_lines(steps: Iterable[TeamStep], *, numbered: bool = False) -> Iterator[str]:
    """Yield sentences, wrapped, and commands, each whole on its line."""
    for number, step in enumerate(steps, start=1):
        first = f"{number}. " if numbered else "- "
        yield from _wrapped(step.text, first, " " * len(first))
        yield from (f"{' ' * len(first)}{label:<11} {command}" for label, command in step.lines)


def _words(steps: Sequence[TeamStep]) -> Iterator[str]:
    commands = [command for step in steps for _, command in step.lines]
    yield from (f"{word:<{_LABEL}} {meaning}" for word, meaning in words_in((), commands))


def _how_we_see(subject: TicketSubject, failure: StepResult, extent: Extent) -> Iterator[str]:
    target, reason, every = subject.target, failure.reason, durations.write(subject.target.interval)
    if check_command(subject.actions, subject.vault_name).startswith("az ad app credential"):
        yield from _wrapped(
            "Send a new secret or certificate to the DBA in a safe way, never in a ticket: SQL Server needs it too."
        )
    shown = f"The probe of {target.name} runs every {every}. Its first success shows the repair, and the alert ends."
    if subject.unsteady is not None:
        within = durations.write(RECENT * target.interval)
        shown = f"The probe of {target.name} runs every {every}. The repair shows after {within}: no failure among the next {RECENT} probes."
    also = f" So does each other one of the {extent.total:,}." if extent.total > 1 else ""
    yield from _wrapped(f"{shown}{also} Please answer this ticket then.")
    code = "" if failure.code is None else f", code {both_numbers(failure.code)}"
    yield from _wrapped(f"For the DBA's records: target {target.name}{code}{f', reason {reason.value}' if reason else ''}.")
