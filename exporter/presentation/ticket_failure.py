"""What fails, for a ticket: the request and its cause, of how many vaults, and whether a SQL Server logged it itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from exporter.core.codes.cause_text import cause
from exporter.core.durations import second
from exporter.core.model import Step, StepResult
from exporter.core.tickets.checks import is_unconfirmed
from exporter.core.tickets.several import TicketPart, noun
from exporter.core.tickets.steps import Place
from exporter.explain.render import wrap
from exporter.presentation.ticket_evidence import MOST_NAMED
from exporter.presentation.ticket_subject import Extent, LoggedFailure, TicketSubject

_ADDRESSES: Final = 3
_REQUESTS: Final = {
    Step.CHALLENGE: "The first HTTPS request to {vault}, without a token,",
    Step.TOKEN: "The sign-in of application {client} at {host}",
    Step.GET_KEY: "The request for key {key} in {vault}",
    Step.WRAP_KEY: "Encryption (wrapKey) with key {key} in {vault}",
    Step.UNWRAP_KEY: "Decryption (unwrapKey) with key {key} in {vault}",
}


def what_fails(
    several: Sequence[TicketSubject], parts: Sequence[TicketPart], failure: StepResult, extent: Extent, place: Place
) -> Iterator[str]:
    """Yield the request, its cause, and whose requests fail too."""
    subject, names, target = several[0], several[0].names, several[0].target
    request = _REQUESTS[failure.step].format(
        vault=target.vault, key=target.key, client=parts[0].application, host=names.host or "Entra ID"
    )
    yield from wrapped_lines(f"{request} fails: {_cause(several, failure, place)}.")
    yield from _confirmed(several, failure, extent)
    applications = list(dict.fromkeys(part.application for part in parts))
    if failure.step is Step.TOKEN and len(applications) > 1:
        yield from _same_holds("applications", applications, len(applications))
    causes = _causes(several, place)
    same = "The same holds for" if len(causes) == 1 else "It also fails for others, in all"
    if extent.vaults > 1:
        yield from _same_holds("key vaults", list(dict.fromkeys(part.vault for part in parts)), extent.vaults, same)
    elif extent.total > 1 and noun(parts) == "key":
        yield from _same_holds("keys", list(dict.fromkeys(part.key for part in parts)), extent.total, same)
    if len(causes) > 1:
        named = "; ".join(f"{count:,}: {text}" for text, count in causes.most_common())
        yield from wrapped_lines(f"The causes differ. {named}.")
    if subject.unsteady is not None:
        text = str(subject.unsteady)
        yield from wrapped_lines(f"{text[0].upper()}{text[1:]}.")


def cause_in_subject(several: Sequence[TicketSubject], failure: StepResult, place: Place) -> str:
    """Return the cause of the first one, and how many other causes there are."""
    others = len(_causes(several, place)) - 1
    more = f", and {others:,} other cause{'' if others == 1 else 's'}" if others else ""
    return f"{_cause(several, failure, place)}{more}"


def _cause(several: Sequence[TicketSubject], failure: StepResult, place: Place) -> str:
    """Return the cause for readers elsewhere: this address and this host have their names."""
    found = list(dict.fromkeys(each.names.client_address for each in several if each.names.client_address))
    more = f" and {len(found) - _ADDRESSES:,} more" if len(found) > _ADDRESSES else ""
    address = f"{', '.join(found[:_ADDRESSES])}{more} ({place.host})" if found else f"the address of {place.host}"
    text = (
        cause(failure.reason, failure.step).replace("this address", address).replace("trusted here", f"trusted on {place.host}")
    )
    issuer = failure.facts.refused_issuer if failure.facts is not None else None
    return place.named_in(text) + (f" (issuer {issuer})" if issuer else "")


def _causes(several: Sequence[TicketSubject], place: Place) -> Counter[str]:
    """Return the different causes, and how many vaults, keys or applications have each."""
    kinds = Counter((failure.reason, failure.step) for each in several if (failure := each.failure) is not None)
    firsts = {(failure.reason, failure.step): failure for each in reversed(several) if (failure := each.failure) is not None}
    found = Counter[str]()
    for kind, count in kinds.items():
        found[_cause(several, firsts[kind], place)] += count
    return found


def _confirmed(several: Sequence[TicketSubject], failure: StepResult, extent: Extent) -> Iterator[str]:
    """Yield which SQL Server logged the failure itself, or that none is known to be refused."""
    logged = [found for each in several if (found := logged_failure(each, extent)) is not None]
    is_open = is_unconfirmed(failure, several[0].names)
    if logged:
        first, others = min(logged), len(several) - len(logged)
        rest = f" Not confirmed for {others:,} more." if is_open and others else ""
        yield from wrapped_lines(f"SQL Server {first.server} logged {first.code} itself since {second(first.first_at)}.{rest}")
    elif is_open:
        yield from wrapped_lines("This is not confirmed from a SQL Server host: the vault refused the host of the monitor.")


def logged_failure(subject: TicketSubject, extent: Extent) -> LoggedFailure | None:
    """Return what a SQL Server of the subject logged since the failure began, None if nothing is known."""
    return subject.logged(subject.report.started_at if extent.began is None else extent.began)


def _same_holds(what: str, names: Sequence[str], total: int, same: str = "The same holds for") -> Iterator[str]:
    named = names[:MOST_NAMED]
    more = f" and {total - len(named):,} more" if total > len(named) else ""
    yield from wrapped_lines(f"{same} {total:,} {what}: {', '.join(named)}{more}.")


def wrapped_lines(text: str, first: str = "", rest: str = "") -> Iterator[str]:
    """Yield the lines of a text."""
    yield from wrap(text, first=first, rest=rest).split("\n")
