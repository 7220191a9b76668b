"""A ticket for the team that repairs a failure, as plain text for a mail or a ticket system.

Other teams than the DBAs own network, Entra ID and vaults. The text has masked facts of the probe, and no secret. In this order: its
subject and extent, the evidence, what fails, the ticket.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from msgspec import structs

from exporter.config.settings import Target
from exporter.core import durations
from exporter.core.connector import log_query, one_line
from exporter.core.durations import moment, second
from exporter.core.names import server_names
from exporter.core.secrets import hide
from exporter.core.values import Facts, Step, Vantage
from exporter.explain.explanation import wrap
from exporter.knowledge.advice import cause
from exporter.knowledge.code_row import words_in
from exporter.knowledge.codes import BY_CODE, both_numbers
from exporter.knowledge.reason_row import Refused, sentence
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import StepResult
from exporter.knowledge.tickets import (
    AZ,
    SUPPORT_REQUEST,
    TEAM_TITLES,
    Team,
    TeamStep,
    TicketPart,
    check_command,
    is_unconfirmed,
    merged_steps,
    noun,
    scope_lines,
    team_checks,
    team_steps,
    titles,
)
from exporter.presentation.diagnosis import Diagnosis, diagnose
from exporter.presentation.text import Line, facts_of, known_lines
from exporter.sqlserver.instance import few
from exporter.state.record import RECENT, TargetRecord, beginning_of

MOST_NAMED: Final = 6  # vaults, keys or applications with evidence of their own
_DBA_FACTS: Final = ("code", "reason", "shared", "resent", "phases")  # facts that only a DBA reads
_PART_FACTS: Final = ("request id", "correlation id", "client address", "object id")
# Masked ids, which have lines of their own.
_IDS = re.compile(
    r"(?:Caller: )?'?(?:\b(?:appid|oid|numgroups)=[^;\s']*;?)+(?:iss=[^;\s']*)?'?\s*|\s*\b(?:Trace|Correlation) ID: <id>"
)
# The certificate itself is refused: only from Python 3.13 on does the probe know who issued it.
_REFUSED_CERTIFICATES: Final = (Reason.TLS_UNTRUSTED, Reason.TLS_EXPIRED, Reason.TLS_NOT_YET_VALID, Reason.TLS_WRONG_NAME)
_MASKED_ADDRESS: Final = "'<address>'"
_ADDRESSES: Final = 3
_REQUESTS: Final = {
    Step.CHALLENGE: "The first HTTPS request to {vault}, without a token,",
    Step.TOKEN: "The sign-in of application {client} at {host}",
    Step.GET_KEY: "The request for key {key} in {vault}",
    Step.WRAP_KEY: "Encryption (wrapKey) with key {key} in {vault}",
    Step.UNWRAP_KEY: "Decryption (unwrapKey) with key {key} in {vault}",
}
MOST_SERVERS: Final = 12
_SHORTEST_RANGE: Final = 60.0  # seconds between the first and the last beginning: one beginning
_GREEN: Final = "A green probe shows the repair; the alert ends 15 to 25 minutes later."
_GREEN_THROTTLED: Final = (
    "Three green ones in a row, and no 429 for ten minutes, show the repair; the alert ends 15 to 25 minutes later."
)
_SCRIPT: Final = re.compile(r"ekm-exporter script (\S+\.kql) --vault (\S+)(?: --key (\S+))?")
_INDENT, _LABEL = "  ", 15


class LoggedFailure(NamedTuple):
    """The code of a failure in the error log of a SQL Server, since `first_at`, a Unix time."""

    first_at: float
    server: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How far a failure goes: the other vaults, keys or applications, and since when.

    `others` has a subject of each, or the first of them; `total` is the number of all with the first. `began` and `last` are Unix
    times of the first and of the last beginning, None if unknown. With `is_first_seen`, the first may be older. `urgency` shows since when
    backups fail, and how long the logs have room.
    """

    began: float | None = None
    last: float | None = None
    is_first_seen: bool = False
    servers: Sequence[str] = ()
    others: Sequence[Diagnosis] = ()
    vaults: int = 1
    total: int = 1
    urgency: str = ""


def extent_of(subject: Diagnosis) -> Extent:
    """Return the extent of one target's failure."""
    servers = list(server_names(subject.target.instances).values())
    if subject.record is None or subject.record.last is None:
        return Extent(began=subject.report.started_at, is_first_seen=True, servers=servers)
    began, is_first_seen = beginning_of(subject.record, subject.record.last.started_at, unsteady=subject.unsteady is not None)
    return Extent(began=began, is_first_seen=is_first_seen, servers=servers)


def evidence(several: Sequence[Diagnosis], parts: Sequence[TicketPart], failure: StepResult, host: str) -> list[Line]:
    """Return labels and values; `several` are the subjects of the parts, the first one with all its facts."""
    subject, facts, names = several[0], failure.facts or Facts(), several[0].names
    seen_by = "a SQL Server host" if subject.target.vantage is Vantage.SQL_HOST else "the host of the monitor"
    local = f" ({facts.local_address})" if facts.local_address else ""
    connection = f"from {host}{local} to {_destination(subject, facts)}"  # as a rule of a firewall has them
    shown = [
        (label, _detail(value, facts) if label == "detail" else value)
        for label, value in facts_of(failure)
        if label not in _DBA_FACTS
    ]
    # Only a refused certificate that the probe could not read has an issuer to look up.
    is_known = facts.refused_issuer or facts.certificate or failure.reason not in _REFUSED_CERTIFICATES
    return known_lines(
        ("seen from", f"{host}, {seen_by}"),
        ("connection", connection if subject.team is Team.NETWORK else None),
        ("time", moment(subject.report.started_at)),
        ("step", failure.step.value),
        *shown,
        ("resolves to", ", ".join(subject.addresses)),
        ("certificate of", None if facts.certificate is None else facts.certificate.issuer),
        ("issuer", None if is_known else f"ekm-exporter doctor {subject.target.name}, run on {host}, shows it"),
        ("proxy", names.proxy or "none"),
        ("client id", names.client_id),
        ("tenant id", subject.report.tenant),
        ("region", None if subject.record is None else subject.record.region),
        *(_evidence_of_others(several, parts) if len(parts) > 1 else ()),
    )


def _destination(subject: Diagnosis, facts: Facts) -> str:
    """Return the addresses and the name of the host or of its proxy; the name alone if the addresses are unknown."""
    end = facts.proxy or facts.endpoint or f"{subject.target.vault}:443"
    name, _, port = end.rpartition(":")
    addresses = dict.fromkeys(facts.addresses or (() if facts.proxy else subject.addresses))
    shown = ", ".join(f"[{each}]:{port}" if ":" in each else f"{each}:{port}" for each in addresses)
    return f"{shown} ({name})" if shown else end


def _detail(text: str, facts: Facts) -> str:
    """Return the detail without masked ids, and with the addresses to which the host connected."""
    text = _IDS.sub("", text).strip()
    for address in facts.addresses if text.count(_MASKED_ADDRESS) == len(facts.addresses) else ():
        text = text.replace(_MASKED_ADDRESS, f"'{address}'", 1)
    return text


def _evidence_of_others(several: Sequence[Diagnosis], parts: Sequence[TicketPart]) -> Iterator[Line]:
    """Yield one line for each further vault, key or application."""
    for each, part in list(zip(several, parts, strict=True))[1:MOST_NAMED]:
        failure = each.failure
        values = [f"{label} {value}" for label, value in facts_of(failure) if label in _PART_FACTS] if failure else []
        if each.team is Team.NETWORK and failure is not None and failure.facts is not None and failure.facts.addresses:
            values.append(f"to {_destination(each, failure.facts)}")
        yield "also", ", ".join((f"{titles([part], parts)[0]}: {second(each.report.started_at)}", *values))
    if len(parts) > MOST_NAMED:
        yield "also", f"{len(parts) - MOST_NAMED:,} more, not listed"


def what_fails(
    several: Sequence[Diagnosis], parts: Sequence[TicketPart], failure: StepResult, extent: Extent, host: str
) -> list[str]:
    """Return the request, its cause, and whose requests fail too."""
    subject, names, target = several[0], several[0].names, several[0].target
    request = _REQUESTS[failure.step].format(
        vault=target.vault, key=target.key, client=parts[0].application, host=names.host or "Entra ID"
    )
    applications = list(dict.fromkeys(part.application for part in parts)) if failure.step is Step.TOKEN else []
    causes = _causes(several, host)
    same, others = "The same holds for" if len(causes) == 1 else "It also fails for others, in all", ""
    if extent.vaults > 1:
        others = _same_holds("key vaults", [part.vault for part in parts], extent.vaults, same)
    elif extent.total > 1 and noun(parts) == "key":
        others = _same_holds("keys", [part.key for part in parts], extent.total, same)
    differ = "; ".join(f"{count:,}: {text}" for text, count in causes.most_common())
    return [
        f"{request} fails: {_cause(several, failure, host)}.",
        _confirmed(several, failure, extent),
        _same_holds("applications", applications, len(applications)) if len(applications) > 1 else "",
        others,
        f"The causes differ. {differ}." if len(causes) > 1 else "",
        "" if subject.unsteady is None else sentence(str(subject.unsteady)),
    ]


def _cause(several: Sequence[Diagnosis], failure: StepResult, host: str) -> str:
    """Return the cause, with the addresses that a vault refused and their host, or the issuer of a certificate."""
    found = list(dict.fromkeys(each.names.client_address for each in several if each.names.client_address))
    issuer = failure.facts.refused_issuer if failure.facts is not None else None
    known = f" (issuer {issuer})" if issuer else ""
    if found and failure.reason is not None and failure.reason.row.refuses is Refused.ADDRESS:
        known = f" ({few(found, _ADDRESSES)}, {host})"
    return cause(failure.reason, failure.step) + known


def _causes(several: Sequence[Diagnosis], host: str) -> Counter[str]:
    """Return the different causes, and how many vaults, keys or applications have each."""
    kinds: dict[tuple[Reason | None, Step], list[StepResult]] = {}
    for failure in (each.failure for each in several):
        if failure is not None:
            kinds.setdefault((failure.reason, failure.step), []).append(failure)
    found = Counter[str]()
    for failures in kinds.values():
        found[_cause(several, failures[0], host)] += len(failures)
    return found


def _confirmed(several: Sequence[Diagnosis], failure: StepResult, extent: Extent) -> str:
    """Return which SQL Server logged the failure itself, or that none is known to be refused."""
    logged = [found for each in several if (found := _logged_failure(each, extent)) is not None]
    is_open = is_unconfirmed(failure, several[0].names)
    if not logged:
        return "This is not confirmed from a SQL Server host: the vault refused the host of the monitor." if is_open else ""
    first, others = min(logged), len(several) - len(logged)
    rest = f" Not confirmed for {others:,} more." if is_open and others else ""
    return f"SQL Server {first.server} logged {first.code} itself since {second(first.first_at)}.{rest}"


def _logged_failure(subject: Diagnosis, extent: Extent) -> LoggedFailure | None:
    """Return the first SQL Server that logged the code, or its counterpart, since the failure began; None if none did."""
    row = BY_CODE.get(subject.failure.code or 0) if subject.failure is not None else None
    codes = () if row is None else (str(row.code), str(row.counterpart))
    began = subject.report.started_at if extent.began is None else extent.began
    found = (
        LoggedFailure(each.first_at, proof.server, each.code)
        for proof in subject.proofs
        for each in proof.codes
        # A probe sees the failure later.
        if each.code in codes and each.last_at >= began - subject.target.interval
    )
    return min(found, default=None)


def _same_holds(what: str, names: Iterable[str], total: int, same: str = "The same holds for") -> str:
    named = list(dict.fromkeys(names))
    more = f" and {total - len(named):,} more" if total > len(named) else ""
    return f"{same} {total:,} {what}: {', '.join(named)}{more}."


def wrapped_lines(text: str, first: str = "", rest: str = "") -> list[str]:
    return wrap(text, first=first, rest=rest).split("\n") if text else []


def ticket_text(subject: Diagnosis, extent: Extent, host: str) -> str:
    """Return the ticket, with a final line break; empty if no other team repairs it.

    `host` is the name of this computer. Each of many others takes a quarter of a millisecond: use a thread.
    """
    failure, team = subject.failure, subject.team
    if failure is None or team is None:
        return ""
    # What the team does about each vault, key or application, and how it sees that the repair works.
    several = [subject, *(each for each in extent.others if each.team is team)]
    parts, proofs = list[TicketPart](), list[TicketPart]()
    for each in (one.named(subject.target.name) for one in several):
        advice, names, vault = each.advice(several=extent.total > 1), each.names, each.vault_name
        if each.failure is not None and advice is not None:
            part = TicketPart(vault=vault, key=each.target.key_name, application=names.client_id or each.target.credential)
            parts.append(replace(part, steps=team_steps(team, advice.actions, vault)))
            shows = check_command(advice.actions, vault)
            proofs.append(replace(part, steps=list(team_checks(team, each.failure, names, shows))))
    steps, checks = merged_steps(parts), merged_steps(proofs)
    if team is Team.MICROSOFT:
        steps.append(SUPPORT_REQUEST)
    commands = [line for step in (*steps, *checks) for line in step.lines]
    of_az = [command for label, command in commands if label == AZ]
    scope = [f"{label:<14} {each}" for label, each in scope_lines(of_az, subject.target.vault)] if of_az else []
    words = words_in((), [*scope, *(command for _, command in commands)])
    # How many vaults, keys or applications fail; empty for one.
    number, one = "", (several[0].names.host or several[0].target.vault).removesuffix(":443")
    if team is Team.IDENTITY:
        applications = len({part.application for part in parts})
        number, one = f"{applications:,} applications" if applications > 1 else "", f"application {parts[0].application}"
    elif extent.vaults > 1:
        number = f"{extent.vaults:,} key vaults"
    elif extent.total > 1 and len(parts) > 1:
        number = f"{extent.total:,} {noun(parts)}s of {parts[0].vault}"
    covered = f"The commands cover {len(parts):,} of {extent.total:,}. Repeat them for the others of this kind."
    coverage = wrapped_lines(covered if number and extent.total > len(parts) else "")
    others = len(_causes(several, host)) - 1
    more = f", and {others:,} other cause{'' if others == 1 else 's'}" if others else ""
    sections = {
        "What fails": _wrapped(what_fails(several, parts, failure, extent, host)),
        "What depends on it": _wrapped(_dependents(several, failure, extent)),
        "Since": [_since(subject, extent)],
        "Evidence": [f"{label:<{_LABEL}} {value}" for label, value in evidence(several, parts, failure, host)],
        "What to do": [*coverage, *scope, *_step_lines(steps, numbered=True)],
        "Words in capitals": [f"{word:<{_LABEL}} {meaning}" for word, meaning in words],
        "How you see that it works": list(_step_lines(checks)),
        "How the DBA sees it": _wrapped(_how_we_see(subject, failure, extent)),
    }
    lines = [f"To: {TEAM_TITLES[team]}", f"Subject: {number or one}: {_cause(several, failure, host)}{more}"]
    for title, body in sections.items():
        lines += ["", title, *(f"{_INDENT}{line}" for line in body)] if body else []
    return "".join(f"{hide(line)}\n" for line in lines)


def _wrapped(sentences: Iterable[str]) -> list[str]:
    return [line for each in sentences for line in wrapped_lines(each)]


def last_ticket(
    target: Target, record: TargetRecord | None, host: str, *, now: float, mask_address: Callable[[str], str] = str
) -> str:
    """Return the ticket about the last probe of a target; empty without a failure that another team repairs.

    `mask_address` masks the proxy and the addresses of connections; `now` is a Unix time.
    """

    def masked(facts: Facts) -> Facts:
        proxy, local = facts.proxy and mask_address(facts.proxy), facts.local_address and mask_address(facts.local_address)
        return structs.replace(facts, proxy=proxy, local_address=local, addresses=tuple(map(mask_address, facts.addresses)))

    subject = diagnose(target, record, now)
    if subject is None:
        return ""
    steps = tuple(structs.replace(each, facts=each.facts and masked(each.facts)) for each in subject.report.steps)
    subject = replace(subject, report=structs.replace(subject.report, steps=steps))
    return ticket_text(subject, extent_of(subject), host)


def _dependents(several: Sequence[Diagnosis], failure: StepResult, extent: Extent) -> list[str]:
    subject, servers = several[0], extent.servers
    named = f"SQL Servers ({len(servers):,}): {few(sorted(servers), MOST_SERVERS)}"
    is_logged = any(_logged_failure(each, extent) is not None for each in several)
    is_open = is_unconfirmed(failure, subject.names) and subject.unsteady is None and not is_logged
    advice = subject.advice()
    stopped = "" if subject.unsteady is not None or advice is None else advice.means
    return [
        named if servers else f"SQL Servers that use the credential {subject.target.credential}",
        sentence(extent.urgency),
        "If the vault refuses SQL Server too:" if is_open else "",
        stopped or "The vault is usable now, and fails again and again.",
    ]


def _since(subject: Diagnosis, extent: Extent) -> str:
    began = subject.report.started_at if extent.began is None else extent.began
    if extent.last is None or extent.last - began < _SHORTEST_RANGE:
        return f"before {second(began)}, first observed then" if extent.is_first_seen else second(began)
    observed = " (first observed then)" if extent.is_first_seen else ""
    return f"{second(began)}{observed} to {second(extent.last)}, one after another"


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
    names = {"vault": script[2]} | ({"key": script[3]} if script[3] else {})
    return f"{label:<11} {one_line(log_query(script[1], **names))}"


def _how_we_see(subject: Diagnosis, failure: StepResult, extent: Extent) -> list[str]:
    target, reason, advice = subject.target, failure.reason, subject.advice()
    is_secret = advice is not None and check_command(advice.actions, subject.vault_name).startswith("az ad app credential")
    green = _GREEN_THROTTLED if reason is Reason.THROTTLED else _GREEN
    if subject.unsteady is not None:
        green = f"The repair shows after {durations.write(RECENT * target.interval)}: no failure among the next {RECENT} probes."
    also = f" So does each other one of the {extent.total:,}." if extent.total > 1 else ""
    code = "" if failure.code is None else f", code {both_numbers(failure.code)}"
    return [
        "Send a new secret or certificate to the DBA in a safe way, never in a ticket: SQL Server needs it too."
        if is_secret
        else "",
        f"The probe of {target.name} runs every {durations.write(target.interval)}. {green}{also} Please answer this ticket then.",
        f"For the DBA's records: target {target.name}{code}{f', reason {reason.value}' if reason else ''}.",
    ]
