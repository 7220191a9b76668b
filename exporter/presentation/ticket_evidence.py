"""The evidence of a ticket: what the failed probe showed, from where to where, and of each further vault, key or application."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from exporter.core.durations import moment, second
from exporter.core.model import Facts, StepResult
from exporter.core.reasons import Reason
from exporter.core.tickets.several import TicketPart, titles
from exporter.core.tickets.steps import Place
from exporter.core.tickets.team import Team
from exporter.presentation.probe_text import Line, facts_of
from exporter.presentation.ticket_subject import TicketSubject

MOST_NAMED: Final = 40  # vaults, keys or applications in a sentence, and with evidence of their own
_DBA_FACTS: Final = ("code", "reason", "shared", "resent", "phases")  # facts that only a DBA reads
_PART_FACTS: Final = ("request id", "correlation id", "client address", "object id")
# Masked ids, which have lines of their own.
_IDS = re.compile(
    r"(?:Caller: )?'?(?:\b(?:appid|oid|numgroups)=[^;\s']*;?)+(?:iss=[^;\s']*)?'?\s*|\s*\b(?:Trace|Correlation) ID: <id>"
)
# The certificate itself is refused: only from Python 3.13 on does the probe know who issued it.
_REFUSED_CERTIFICATES: Final = (Reason.TLS_UNTRUSTED, Reason.TLS_EXPIRED, Reason.TLS_NOT_YET_VALID, Reason.TLS_WRONG_NAME)
_MASKED_ADDRESS: Final = "'<address>'"


def evidence(several: Sequence[TicketSubject], parts: Sequence[TicketPart], failure: StepResult, place: Place) -> Iterator[Line]:
    """Yield labels and values; `several` are the subjects of the parts, the first one with all its facts."""
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
        ("issuer", _how_to_see_issuer(subject, failure, place)),
        ("proxy", names.proxy or "none"),
        ("client id", names.client_id),
        ("tenant id", subject.report.tenant),
        ("region", None if subject.record is None else subject.record.region),
    )
    yield from ((label, value) for label, value in named if value)
    if len(parts) > 1:
        yield from _evidence_of_others(several, parts)


def _how_to_see_issuer(subject: TicketSubject, failure: StepResult, place: Place) -> str | None:
    """Return the command that shows the issuer of a refused certificate; None if the probe knows it."""
    is_known = failure.facts is not None and (failure.facts.refused_issuer or failure.facts.certificate)
    if is_known or failure.reason not in _REFUSED_CERTIFICATES:
        return None
    return f"ekm-exporter doctor {subject.target.name}, run on {place.host}, shows it"


def _connection(subject: TicketSubject, facts: Facts, place: Place) -> str:
    """Return source and destination, as a rule of a firewall has them."""
    local = f" ({facts.local_address})" if facts.local_address else ""
    return f"from {place.host}{local} to {_destination(subject, facts)}"


def _destination(subject: TicketSubject, facts: Facts) -> str:
    """Return the addresses and the name of the host or of its proxy; the name alone if the addresses are unknown."""
    end = facts.proxy or facts.endpoint or f"{subject.target.vault}:443"
    name, _, port = end.rpartition(":")
    addresses = dict.fromkeys(facts.addresses or (() if facts.proxy else subject.addresses))
    shown = ", ".join(f"[{each}]:{port}" if ":" in each else f"{each}:{port}" for each in addresses)
    return f"{shown} ({name})" if shown else end


def _detail(text: str, facts: Facts) -> str:
    """Return the detail without masked ids, and with the addresses to which the host connected."""
    text = _IDS.sub("", text).strip()
    if text.count(_MASKED_ADDRESS) == len(facts.addresses):
        for address in facts.addresses:
            text = text.replace(_MASKED_ADDRESS, f"'{address}'", 1)
    return text


def _evidence_of_others(several: Sequence[TicketSubject], parts: Sequence[TicketPart]) -> Iterator[Line]:
    """Yield one line for each further vault, key or application."""
    for each, part in list(zip(several, parts, strict=True))[1:MOST_NAMED]:
        failure = each.failure
        shown = () if failure is None else facts_of(failure)
        values = [f"{label} {value}" for label, value in shown if label in _PART_FACTS]
        if each.team is Team.NETWORK and failure is not None and failure.facts is not None and failure.facts.addresses:
            values.append(f"to {_destination(each, failure.facts)}")
        yield "also", ", ".join((f"{titles([part], parts)[0]}: {second(each.report.started_at)}", *values))
    if len(parts) > MOST_NAMED:
        yield "also", f"{len(parts) - MOST_NAMED:,} more, not listed"
