"""What SQL Servers proved themselves or fail at, and how long their logs have room, as HTML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from exporter.core.codes.model import Owner
from exporter.core.codes.owners import OWNERS
from exporter.core.codes.shared import WITHOUT_THE_KEY
from exporter.presentation.sql_causes import SqlCause
from exporter.presentation.sql_texts import first_action, urgency_text
from exporter.tde.server_proof import (
    ProofState,
    ServerProof,
    closed_text,
    codes_text,
    log_text,
    most_urgent,
    proof_text,
    read_text,
)
from exporter.web.ui.html import Child, Html, element
from exporter.web.ui.labels import when
from exporter.web.ui.layout import Urls, brief_code, copyable, named_servers, target_links, who_acts
from exporter.web.ui.view_models import TargetView

_SHOWN = 20  # SQL Servers of a target that its page lists
_BADGES: Mapping[ProofState, tuple[str, str]] = {
    ProofState.PROVIDER_DISABLED: ("provider disabled", "bad"),
    ProofState.NO_CREDENTIAL: ("no credential", "bad"),
    ProofState.FAILING: ("failing", "bad"),
    ProofState.STOPPED: ("no proof", "unsure"),
    ProofState.DUE: ("proof due", "unsure"),
    ProofState.PROVEN: ("proven", "good"),
    ProofState.UNKNOWN: ("unknown", "unsure"),
}
# The title of a cause, and what its age counts from.
_TITLES: Mapping[ProofState, tuple[str, str]] = {
    ProofState.PROVIDER_DISABLED: ("SQL Server itself: its EKM provider is disabled", "last proof "),
    ProofState.NO_CREDENTIAL: ("SQL Server itself: the login of its key has no credential", "last proof "),
    ProofState.FAILING: ("SQL Server itself does not get its key", "began "),
    ProofState.STOPPED: ("SQL Server itself: its backups prove the key no more", "last proof "),
    ProofState.DUE: ("SQL Server itself: nothing has proved its key since the credential was altered", "altered "),
}


def proof_badge(state: ProofState) -> Html:
    """Return the state of SQL Server's own proof."""
    words, colour = _BADGES[state]
    return element("span", words, class_=f"state {colour}")


def proof_lines(view: TargetView) -> Child:
    """Return one line for each SQL Server of a target; None without any.

    The line has the times of the log if the vault side is not ready, or if the proofs stopped; without times, what fails when.
    """
    if not view.own:
        return None
    entries = [element("li", _server(view, each)) for each in view.own[:_SHOWN]]
    rest = len(view.own) - _SHOWN
    more = element("p", f"{rest:,} more SQL Servers are less urgent. The API lists them.", class_="quiet") if rest > 0 else None
    return [element("ul", entries, class_="proofs", aria_label="Proven by SQL Server itself"), more]


def _server(view: TargetView, server: ServerProof) -> Child:
    not_ready = view.readiness.ready is False
    log = log_text([server], view.now) if not_ready or server.has_stopped else ""
    urgent = sentence("; ".join(filter(None, (closed_text(server), codes_text(server, view.now), log))))
    effect = f" {WITHOUT_THE_KEY}" if server.state.is_bad and not (not_ready or log) else ""
    is_own = server.state.is_open and (not not_ready or server.state.is_seen_inside)
    return [
        proof_badge(server.state if server.state is not ProofState.PROVEN or server.is_read(view.now) else ProofState.UNKNOWN),
        element("strong", f" SQL Server itself, {server.server}: "),
        proof_text(server, view.now),
        ". ",
        urgent,
        effect,
        copyable(first_action(server)) if is_own else None,
    ]


def sql_cause(urls: Urls, cause: SqlCause, now: float) -> Html:
    """Return the card of a cause of SQL Server itself: who, since when, how long the logs have room, and what to do first."""
    servers = list(cause.servers.values())
    first, text = most_urgent(servers, now), urgency_text(servers, now)
    _, age = _TITLES[cause.state]
    targets = target_links(urls, cause.id, sorted(cause.targets)) if cause.targets else "No target has its key."
    began = "began " if cause.state.is_seen_inside and first.failed else age
    return element(
        "li",
        proof_badge(cause.state),
        element("h2", _title(cause.state, is_ready=cause.is_ready)),
        element("span", began, when(cause.since, now), class_="age"),
        element("span", brief_code(urls, int(cause.code)), class_="code") if cause.code else None,
        who_acts(OWNERS[Owner.DBA]),
        element("p", named_servers([each.server for each in servers]), read_text(first, now), ". ", targets),
        element("p", sentence(text)) if text and cause.state is not ProofState.DUE else None,
        copyable(first_action(first) + (" Then repeat it on the others." if len(servers) > 1 else "")),
        class_="bad-edge" if cause.state.is_bad else None,
        data_key=cause.id,
    )


def own_causes(urls: Urls, view: TargetView, *, action: bool) -> Iterator[Child]:
    """Yield what fails in the SQL Servers of a target themselves, with the first action if `action`."""
    for server in view.own:
        yield element("div", _title(server.state, is_ready=view.readiness.ready is True))
        named = [" with ", brief_code(urls, int(server.codes[0].code))] if server.state is ProofState.FAILING else None
        yield element("div", server.server, named, class_="quiet")
        yield copyable(first_action(server)) if action else None


def _title(state: ProofState, *, is_ready: bool) -> str:
    """Return the cause as text; that the vault side is ready is a part of the diagnosis."""
    title, _ = _TITLES[state]
    return f"{title}, although the vault side is ready" if state is ProofState.FAILING and is_ready else title


def sentence(text: str) -> str:
    """Return a text as a sentence: with a capital and a full stop."""
    return f"{text[0].upper()}{text[1:]}." if text else ""
