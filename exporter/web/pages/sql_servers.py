"""What SQL Servers proved themselves or fail at, how long their logs have room, and where the configuration differs, as HTML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from exporter.core import counted
from exporter.core.durations import clock_text
from exporter.knowledge.code_row import OWNERS, WITHOUT_THE_KEY, Owner
from exporter.knowledge.reason_row import sentence
from exporter.presentation.sql import SqlCause, difference_text, ended_at, first_action, first_actions, proof_key, urgency_text
from exporter.sqlserver.calls import calls_text, failed_call, lacks_session
from exporter.sqlserver.differences import Difference
from exporter.sqlserver.gate.inputs import RestartReadiness
from exporter.sqlserver.proof import ProofState, ServerProof, codes_text, proof_text, read_text, worked_text
from exporter.sqlserver.urgency import closed_names, closed_states, closed_text, most_urgent, stalled_text, times_text
from exporter.web.pages.html import (
    Child,
    Html,
    Urls,
    brief_code,
    copyable,
    element,
    link,
    named_servers,
    prose,
    target_links,
    who_acts,
    with_copies,
)
from exporter.web.pages.views import TargetView, when

_SHOWN = 20  # SQL Servers of a target that its page lists
_DIFFERENCES = 10  # of a target that its page lists
_BADGES: Mapping[ProofState, tuple[str, str]] = {
    ProofState.CLOSED: ("closed", "bad"),
    ProofState.PROVIDER_DISABLED: ("provider disabled", "bad"),
    ProofState.NO_CREDENTIAL: ("no credential", "bad"),
    ProofState.FAILING: ("SQL Server fails", "bad"),
    ProofState.STOPPED: ("no proof", "unsure"),
    ProofState.DUE: ("proof due", "unsure"),
    ProofState.PROVEN: ("proven", "good"),
    ProofState.UNKNOWN: ("unknown", "unsure"),
}
_RESTART: Mapping[str, tuple[str, str]] = {
    "ready": ("ready", "good"),
    "not_ready": ("not ready", "bad"),
    "not_known": ("not known", "unsure"),
}
_ENDED = "backup due", "unsure"  # the vault works again, and no backup has finished since
_MEANINGS: Mapping[ProofState, str] = {
    ProofState.CLOSED: "databases of a SQL Server did not open, so applications cannot use them",
    ProofState.FAILING: "a SQL Server does not get its key, also while a probe succeeds",
}
_NO_SESSION = "What SQL Server asks its provider is not recorded: `ekm-exporter script trace-ekm.sql` prints the session for that, which a DBA makes."
# The title of a cause, and what its age counts from.
_TITLES: Mapping[ProofState, tuple[str, str]] = {
    ProofState.CLOSED: ("SQL Server itself: databases did not open", "began "),
    ProofState.PROVIDER_DISABLED: ("SQL Server itself: its EKM provider is disabled", "last proof "),
    ProofState.NO_CREDENTIAL: ("SQL Server itself: the login of its key has no credential", "last proof "),
    ProofState.FAILING: ("SQL Server itself does not get its key", "began "),
    ProofState.STOPPED: ("SQL Server itself: its backups prove the key no more", "last proof "),
    ProofState.DUE: ("SQL Server itself: nothing has proved its key since the credential was altered", "altered "),
}


def proof_badge(state: ProofState, ended: float | None = None) -> Html:
    """Return the state of SQL Server's own proof; `ended` is when the fault of the vault ended that is behind it."""
    words, colour = _ENDED if state is ProofState.FAILING and ended is not None else _BADGES[state]
    return element("span", words, class_=f"state {colour}")


def proof_lines(urls: Urls, view: TargetView) -> Child:
    """Return one line for each SQL Server of a target; None without any.

    The line has the times of the log if the vault side is not ready, or if the proofs stopped; without times, what fails when.
    """
    if not view.own:
        return None
    shown, rest = view.own[:_SHOWN], len(view.own) - _SHOWN
    entries = [element("li", _server(urls, view, each)) for each in shown]
    return [
        element("ul", entries, class_="proofs", aria_label="Proven by SQL Server itself"),
        element("p", WITHOUT_THE_KEY) if any(_needs_effect(view, each) for each in shown) else None,
        element("p", f"{rest:,} more SQL Servers are less urgent. The API lists them.", class_="quiet") if rest > 0 else None,
        element("p", prose(_NO_SESSION), class_="quiet") if any(lacks_session(each.reading) for each in shown) else None,
    ]


def _needs_effect(view: TargetView, server: ServerProof) -> bool:
    """Whether the page says what fails when: the SQL Server fails by itself, and neither its log nor a closed database shows more."""
    if view.readiness.ready is False or not server.state.is_bad or server.closed or _over(view, server) is not None:
        return False
    return not (server.has_stopped and (stalled_text([server], view.now) or times_text([server], view.now)))


def _server(urls: Urls, view: TargetView, server: ServerProof) -> Child:
    not_ready, over, proof = view.readiness.ready is False, _over(view, server), proof_text(server, view.now)
    logs = [server] if not_ready or server.has_stopped else []
    stalled, log = stalled_text(logs, view.now), times_text(logs, view.now)
    urgent = sentence("; ".join(filter(None, (closed_text([server]), codes_text(server, view.now), log))))
    is_own = server.state.is_open and (not (not_ready or view.report is None) or server.cause.is_seen_inside)
    return [
        _badge(view, server, over),
        element("strong", f" SQL Server itself, {server.server}: "),
        f"{sentence(stalled)} {sentence(proof)} " if stalled else f"{proof}. ",
        urgent,
        _left_over(over, view.now),
        element("p", sentence(calls)) if (calls := calls_text(server.reading, server.altered_at, view.now)) else None,
        start_here(urls) if server.closed else None,
        copyable(first_actions([server], server, over, view.now, target=view.target.name, is_ready=view.readiness.ready is True))
        if is_own
        else None,
        None if (known := view.restart.get(proof_key(server))) is None else element("p", *_restart_of(known, view.now)),
    ]


def _over(view: TargetView, server: ServerProof) -> float | None:
    """Return when the fault of the vault ended that is behind what a SQL Server shows; None without one."""
    return None if view.readiness.ready is False else ended_at(view.record, server)


def _badge(view: TargetView, server: ServerProof, over: float | None) -> Html:
    """Return the state of the proof. While the vault side is not ready, a proof only shows when the key last worked."""
    if server.state is ProofState.PROVEN and view.readiness.ready is False:
        return element("span", "last worked", class_="state unsure")
    restart = view.restart.get(proof_key(server))
    if server.state is ProofState.PROVEN and restart is not None and any(each.evidence == "secret" for each in restart.missing):
        return element("span", "old secret?", class_="state unsure")
    return proof_badge(server.state_at(view.now), over)


def _restart_of(readiness: RestartReadiness, now: float, name: Child = " ") -> tuple[Child, Child, Child]:
    """Return what a restart of a SQL Server would find, its name, and the first row of its evidence that is missing."""
    first, (words, colour) = readiness.first_missing, _RESTART[readiness.answer(now)]
    shown = element("span", f"restart {words}", class_=f"state {colour}")
    if first is None:
        known = readiness.answer(now) == "ready"
        return shown, name, None if known else "What is known of it is too old: the exporter reads it no more."
    more = len(readiness.missing) - 1
    missing = [
        sentence(first.text),
        " First: ",
        first.fix,
        "." if more else "",
        f" And {more:,} more: /api/v1/sql-servers." if more else "",
    ]
    return shown, name, missing


def restart_section(restart: Sequence[RestartReadiness], now: float) -> Child:
    """Return how many nodes and keys a restart would find, and which it would not; None if no SQL Server is read."""
    if not restart:
        return None
    answers = [(each, each.answer(now)) for each in restart]
    counts = ", ".join(f"{sum(one == answer for _, one in answers):,} {words}" for answer, (words, _) in _RESTART.items())
    others = sorted((each for each in answers if each[1] != "ready"), key=lambda each: (each[1] != "not_ready", each[0].server))
    lines = [
        element("li", *_restart_of(each, now, element("strong", f" {each.server}, key {each.key_name}: ")))
        for each, _ in others[:_SHOWN]
    ]
    more = f"{len(others) - _SHOWN:,} more: /api/v1/sql-servers has all." if len(others) > _SHOWN else None
    return element(
        "details",
        element("summary", f"Restart of SQL Servers, as this exporter sees it: {counts}"),
        element("ul", lines, class_="proofs", aria_label="Restart readiness"),
        more,
        data_key="restart",
    )


def sql_cause(urls: Urls, cause: SqlCause, now: float) -> Html:
    """Return the card of a cause of SQL Server itself: who, since when, how long the logs have room, and what to do first."""
    servers = list(cause.servers.values())
    first = most_urgent(servers, now)
    text = worked_text(first, now) if cause.state is ProofState.DUE else urgency_text(servers, now)
    is_closed, (_, age) = cause.state is ProofState.CLOSED, _TITLES[cause.state]
    title = _closed_title(servers) if is_closed else _title(cause.state, cause.ended_at, is_ready=cause.is_ready)
    targets = target_links(urls, cause.id, sorted(cause.targets)) if cause.targets else "No target has its key."
    age = "began " if first.failed else "last proof " if is_closed and not first.signs else age
    return element(
        "li",
        proof_badge(cause.state, cause.ended_at),
        element("h2", title),
        element("span", age, when(cause.since, now), class_="age"),
        element("span", brief_code(urls, int(cause.code)), class_="code") if cause.code else None,
        who_acts(f"{OWNERS[Owner.DBA]}, with an administrator of the host" if cause.is_of_host else OWNERS[Owner.DBA]),
        element("p", named_servers([each.server for each in servers]), read_text(first, now), ". ", targets),
        element("p", sentence(text)) if text else None,
        element("p", sentence(failed.text(now))) if (failed := failed_call(first.reading, first.free_of_codes_at)) else None,
        _left_over(cause.ended_at, now),
        start_here(urls) if is_closed else None,
        copyable(first_actions(servers, first, cause.ended_at, now, target=cause.target_of(first), is_ready=cause.is_probed)),
        class_="bad-edge" if cause.is_bad else None,
        data_key=cause.id,
    )


def own_causes(urls: Urls, view: TargetView, *, action: bool) -> Iterator[Child]:
    """Yield what fails in the SQL Servers of a target themselves, with the first action if `action`."""
    is_ready = view.readiness.ready is True
    for server in view.own:
        over = _over(view, server)
        named = [" with ", brief_code(urls, int(server.signs[0].code))] if server.cause is ProofState.FAILING else None
        yield [
            element("div", _title(server.state, over, is_ready=is_ready)),
            element("div", server.server, named, class_="quiet"),
        ]
        yield copyable(first_action(server, over, target=view.target.name, is_ready=is_ready)) if action else None


def sql_legend() -> list[tuple[Html, Html]]:
    """Return the states of SQL Servers themselves with their meaning."""
    entries = [(proof_badge(state), meaning) for state, meaning in _MEANINGS.items()]
    entries.append((proof_badge(ProofState.FAILING, 0.0), "the vault works again, and no backup has finished since"))
    return [(element("dt", shown), element("dd", meaning)) for shown, meaning in entries]


def own_badges(view: TargetView) -> list[Html]:
    """Return the state of each of the SQL Servers of a target that fails itself."""
    return [proof_badge(each.state, _over(view, each)) for each in view.own]


def start_here(urls: Urls) -> Html:
    """Return the link to the page about databases that do not open."""
    return element("p", link(urls.to("/docs/recovery-pending"), "Databases do not open: start here"))


def _left_over(ended: float | None, now: float) -> Html | None:
    return None if ended is None else element("p", f"Left over from the vault fault that ended at {clock_text(ended, now)}.")


def _closed_title(servers: Sequence[ServerProof]) -> str:
    """Return which databases did not open, or on how many SQL Servers."""
    if len(servers) > 1:
        return f"Databases of {len(servers):,} SQL Servers did not open"
    return f"{closed_names(servers[0])} of {servers[0].server} did not open ({closed_states(servers[0])})"


def _title(state: ProofState, ended: float | None, *, is_ready: bool) -> str:
    """Return the cause as text; that the vault side is ready is a part of the diagnosis."""
    if state is ProofState.FAILING and ended is not None:
        return "SQL Server itself: no backup has finished since the vault fault ended"
    return f"{_TITLES[state][0]}{', although the vault side is ready' if state is ProofState.FAILING and is_ready else ''}"


def target_differences_list(differences: Sequence[Difference]) -> Child:
    """Return one line for each difference of a target; None without any."""
    if not differences:
        return None
    entries = [element("li", with_copies(difference_text(each))) for each in differences[:_DIFFERENCES]]
    rest = len(differences) - _DIFFERENCES
    more = element("p", f"{rest:,} more differences. The API lists them.", class_="quiet") if rest > 0 else None
    return [element("ul", entries, aria_label="Differences from SQL Server"), more]


def differences_line(urls: Urls, differences: Sequence[Difference]) -> Child:
    """Return the number of differences and the first of them; None without any."""
    if not differences:
        return None
    first = differences[0]
    count = f"The configuration differs from SQL Server in {counted(len(differences), 'place')}. "
    target = [" ", link(urls.target(first.subject), first.subject)] if first.subject else None
    return element("p", element("strong", count), prose(difference_text(first)), target, class_="notice")
