"""The pages of one target and of one stored probe: verdict, cause and actions, known facts, charts, history.

Sizes in charts are attributes, because the pages forbid inline styles. The page repeats every chart as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from exporter.config.settings import Target
from exporter.core import durations
from exporter.core.values import Outcome, Phase, Step, Vantage
from exporter.knowledge.advice import cause, open_detail
from exporter.knowledge.checks import BY_NAME, check_of
from exporter.knowledge.checks_vault import CheckRun
from exporter.knowledge.codes import BY_CODE
from exporter.knowledge.expiry import CredentialExpiry
from exporter.knowledge.reason_row import sentence
from exporter.knowledge.report import ProbeReport, StepResult
from exporter.knowledge.tickets import who_repairs
from exporter.knowledge.verdict import AuxiliaryResult, Identity, State, deciding_failure, why_text
from exporter.presentation import text
from exporter.presentation.payloads import earlier
from exporter.presentation.text import as_lines, exchanges
from exporter.sqlserver.differences import Difference
from exporter.state.history import HistoryEntry, ProbeContext
from exporter.state.record import LETTERS, RECENT, FailureSummary, TargetRecord
from exporter.web.pages.causes import chain, target_ticket
from exporter.web.pages.html import (
    Child,
    Html,
    Urls,
    cell,
    code_link,
    element,
    facts,
    foot,
    head,
    link,
    live,
    markup,
    page,
    prose,
    section,
    table,
    table_foot,
    table_head,
)
from exporter.web.pages.sql_servers import proof_lines, target_differences_list
from exporter.web.pages.views import TargetView, badge, exact_time, not_tested, outcome, verdict, when

_AUXILIARY_COLUMNS = ("Probe", "Usable", "Cause and action", "Credential", "Last run")
_EXPIRY_COLUMNS = ("Credential", "Source", "Expires", "Last lookup", "Note")
_HISTORY_COLUMNS = ("Started", "Result", "Took", "Code", "Step and cause")
_EARLIER_COLUMNS = ("Started", "Code", "Step and reason", "HTTP status", "Request id")
_STEP_COLUMNS = ("Step", "Outcome", "Took", "Timeline and phases", "What it showed")
_COLOURS = {"yes": "good", "no": "bad", "unknown": "unsure"}
# By letter of a state: its name, and the height of its bar.
_STATE_BARS = {
    LETTERS[state]: (state.value.replace("_", " "), height)
    for state, height in {State.NOT_READY: 10, State.FAILING: 7, State.UNKNOWN: 2, State.READY: 4}.items()
}


def marks(view: TargetView) -> Child:
    """Return the warnings of a target, which do not depend on the verdict. The result is None without a warning."""
    words = text.target_warnings(view.target, view.record, view.module.expect_path, now=view.now)
    return [element("div", element("span", each, class_="state unsure")) for each in words] or None


def auxiliary_section(view: TargetView) -> Iterator[Child]:
    """Yield the configured auxiliary probes with their last results."""
    results = () if view.record is None else text.auxiliary_results(view.target, view.record, now=view.now)
    if view.record is not None and results:
        advised = text.auxiliary_actions(view.target, view.record, results)
        rows = [_auxiliary_row(view, identity, result, actions) for identity, result, actions in advised]
        yield element("h2", "Auxiliary probes")
        yield table(_AUXILIARY_COLUMNS, rows, caption="Auxiliary probes never change the verdict.")


def vault_sections(view: TargetView) -> Iterator[Child]:
    """Yield the last known facts of the key and of the network path."""
    if view.record is not None:
        lines = [
            *(() if view.record.key is None else text.key_lines(view.record.key)),
            *text.version_lines(view.target, view.record),
        ]
        yield section("Key in the vault", ((name, prose(value)) for name, value in lines))
        yield section("Network path to the vault", text.path_lines(view.record.vault, view.module.expect_path))


def expiries_table(view: TargetView, expiries: Mapping[str, Sequence[CredentialExpiry]]) -> Iterator[Child]:
    """Yield the table of expiry dates. `expiries` is by credential, empty if no source was looked up."""
    yield element("h2", "Credential expiry")
    rows = [_expiry_row(view, expiry) for expiry in text.expiry_lines(expiries, now=view.now)]
    yield table(_EXPIRY_COLUMNS, rows, caption="One row per source. After a failed lookup the previous answer is kept.")


def failed_checks(view: TargetView, run: CheckRun | None) -> Iterator[Child]:
    """Yield the preflight checks that failed in the last run, each with its fix."""
    failed = () if run is None else run.failed
    if run is None or not failed:
        return
    failure = None if view.report is None else deciding_failure(view.report)
    stated = None if failure is None else check_of(failure.step, failure.reason)
    yield element("h2", "Failed preflight checks")
    yield element("p", "Last run ", when(run.at, view.now), ". Preflight checks never change the verdict.", class_="quiet")
    for result in failed:
        title = BY_NAME[result.check].title
        yield element("h3", title)
        yield element("p", result.detail)
        if result.check == stated:
            yield element("p", "The cause and its actions are stated above.", class_="quiet")
        elif result.fix:
            words = "\n".join(result.fix)
            yield element("pre", words, tabindex=0, role="region", aria_label=f"Fix: {title}")


def _auxiliary_row(view: TargetView, identity: Identity, result: AuxiliaryResult | None, actions: tuple[str, ...]) -> Html:
    answer = text.answer(result)
    why = "" if view.record is None else text.reason_text(view.record, identity, result)
    return element(
        "tr",
        element("th", text.title(view.target, identity), scope="row"),
        cell("Usable", element("span", answer, class_=f"state {_COLOURS[answer]}")),
        cell("Cause and action", why, element("ol", [element("li", prose(each)) for each in actions]) if actions else None),
        cell("Credential", "" if result is None else result.credential),
        cell("Last run", when(None if result is None else result.at, view.now), class_="number"),
    )


def _expiry_row(view: TargetView, expiry: text.ExpiryLine) -> Html:
    return element(
        "tr",
        element("th", expiry.credential, scope="row"),
        cell("Source", expiry.source),
        cell("Expires", expiry.when),
        cell("Last lookup", when(expiry.looked_up_at, view.now, absent=""), class_="number"),
        cell("Note", expiry.note),
    )


def history_section(urls: Urls, view: TargetView, history: Sequence[HistoryEntry]) -> Iterator[Html]:
    """Yield the section in pieces, because a history can be long. `history` newest first."""
    yield element("h2", "History")
    yield table_head(_HISTORY_COLUMNS, caption="Newest first. Failed probes stay longer than successful ones.", name="history")
    for entry in history:
        yield _remembered(urls, view.target, entry)
    yield Html(table_foot() + markup(_earlier(urls, earlier(view.record, history))))


def _remembered(urls: Urls, target: Target, entry: HistoryEntry) -> Html:
    report = entry.report
    failure = deciding_failure(report)
    word, ink = (
        ("discarded", "quiet") if report.discarded else ("success", "good-ink") if report.success else ("failed", "bad-ink")
    )
    return element(
        "tr",
        element("th", link(urls.probe(target.name, entry.id), exact_time(report.started_at)), scope="row", class_="number"),
        cell("Result", element("span", word, class_=ink)),
        cell("Took", text.seconds(report.duration), class_="number"),
        cell("Code", code_link(urls, failure.code) if failure is not None and failure.code is not None else "none"),
        cell("Step and cause", "" if failure is None else f"{failure.step.value}: {cause(failure.reason, failure.step)}"),
        data_key=entry.id,
    )


def _earlier(urls: Urls, failures: Sequence[FailureSummary]) -> Child:
    """Yield failures before the last restart, if --state.dir kept any."""
    rows = [
        element(
            "tr",
            element("th", exact_time(each.at), scope="row", class_="number"),
            cell("Code", "none" if each.code is None else code_link(urls, each.code)),
            cell("Step and reason", ", ".join(filter(None, (each.step, each.reason)))),
            cell("HTTP status", "" if each.http_status is None else each.http_status),
            cell("Request id", each.request_id),
            data_key=f"before-{each.at}",
        )
        for each in failures
    ]
    shown = [element("h2", "Failures before the last restart"), table(_EARLIER_COLUMNS, rows, caption="Newest first.")]
    return shown if rows else None


def waterfall(report: ProbeReport) -> Mapping[Step, Html]:
    """Return one bar per step that ran, on one axis as long as the probe.

    A token from the cache has no bar: its time is not this probe's.
    """
    own = [result for result in report.steps if result.duration and not result.shared]
    total = max(report.duration, sum(result.duration for result in own)) or 1.0
    bars, begun = {}, 0.0
    for result in own:
        bars[result.step] = _bar(result, begun / total, total)
        begun += result.duration
    return bars


def legend() -> Html:
    """Return the legend of the phase colours."""
    return element("ul", [element("li", _swatch(phase), phase.value) for phase in Phase], class_="legend", aria_label="Phases")


def state_bar(recent: str) -> Child:
    """Draw the states of the last probes, oldest first; None without a probe.

    `recent` has a letter for each probe. A more urgent state is higher, so colour is never needed.
    """
    if not recent:
        return None
    paths = [_runs(recent, letter, height) for letter, (_, height) in _STATE_BARS.items() if letter in recent]
    counts = ", ".join(f"{recent.count(letter)} {name}" for letter, (name, _) in _STATE_BARS.items() if letter in recent)
    words = f"last {len(recent)} probes: {counts}"
    return element(
        "svg", paths, viewBox=f"0 0 {RECENT} 10", preserveAspectRatio="none", class_="probes", role="img", aria_label=words
    )


def _runs(recent: str, letter: str, height: int) -> Html:
    start = RECENT - len(recent)
    runs = "".join(f"M{start + run.start()} {10 - height / 2:g}h{len(run[0])}" for run in re.finditer(f"{letter}+", recent))
    return element("path", d=runs, stroke_width=height, class_=f"probe-{letter}")


def _bar(result: StepResult, begun: float, total: float) -> Html:
    phases = {} if result.facts is None else result.facts.phases
    pieces = [_piece("other", begun, result.duration / total)]
    at = begun
    for phase in Phase:
        if share := phases.get(phase, 0.0) / total:
            pieces.append(_piece(phase.value, at, share))
            at += share
    return element("svg", pieces, width="100%", height="12", class_="bar", aria_hidden="true", focusable="false")


def _piece(name: str, at: float, share: float) -> Html:
    width = max(0.0, min(share, 1.0 - at))
    return element("rect", x=f"{100 * at:.2f}%", y="0", width=f"{100 * width:.2f}%", height="12", class_=f"phase-{name}")


def _swatch(phase: Phase) -> Html:
    box = element("rect", width="10", height="10", class_=f"phase-{phase.value}")
    return element("svg", box, width="10", height="10", aria_hidden="true", focusable="false")


def target_page(
    urls: Urls,
    view: TargetView,
    history: Sequence[HistoryEntry],
    *,
    expiries: Mapping[str, Sequence[CredentialExpiry]],
    checks: CheckRun | None,
    vantage: Vantage,
    untested: str,
    unread: str = "",
    differences: Sequence[Difference] = (),
) -> Iterator[Html]:
    """Yield the document.

    `history` newest first, `expiries` by credential, `checks` the last preflight run, `untested` what nothing tested, `unread` which
    of its SQL Servers are not read, `differences` those of the target from them.
    """
    yield head(urls, view.target.name, at="/targets", now=view.now)
    not_read = element("p", unread, class_="quiet") if unread else None
    sql_servers = [proof_lines(urls, view), not_read, target_differences_list(differences)]
    yield live("standing", _verdict_section(urls, view, vantage, sql_servers, untested))
    yield element(
        "p", link(urls.probe_now(view.target.name), "Probe now"), " and show the transcript. ", _bundle(urls, view.target)
    )
    columns = element("div", section("Target", _target_facts(urls, view, history)), vault_sections(view), class_="columns")
    yield live("known", columns, auxiliary_section(view), expiries_table(view, expiries), failed_checks(view, checks))
    yield Html('<div id="history" data-live>')
    yield from history_section(urls, view, history)
    yield Html("</div>" + foot(urls))


def _verdict_section(
    urls: Urls, view: TargetView, vantage: Vantage, sql_servers: Sequence[Child], untested: str
) -> Iterator[Child]:
    yield element("p", badge(view.urgency), " ", element("strong", verdict(view, vantage)), _since(view), class_="verdict")
    yield from sql_servers
    yield chain(view)
    yield marks(view)
    dependents = text.what_depends(view.target)
    yield element("p", element("strong", "SQL Servers that depend on it: "), dependents) if dependents else None
    yield element("p", not_tested(untested), class_="quiet")
    yield None if view.report is None else _advice(urls, view.target, view.report, view.record)
    yield target_ticket(view)
    yield element("h2", "Last probe")
    missing = "No probe has finished yet." if view.readiness.stolen is None else sentence(why_text(view.readiness))
    yield element("p", missing) if view.report is None else _steps(view.report)


def _since(view: TargetView) -> Child:
    if view.since is None:
        return None
    is_first_seen = view.record is not None and view.record.is_first_seen and view.readiness.why != "stale"
    return [" First seen " if is_first_seen else " Began ", when(view.since, view.now), "."]


def _bundle(urls: Urls, target: Target) -> Child:
    return [
        link(urls.support_bundle(target.name), "Support bundle"),
        ": the data of this target as a zip file, without secrets. ",
        link(urls.audit(target.name), "Audit sheet"),
        " of its key, for a security officer.",
    ]


def probe_page(urls: Urls, context: ProbeContext, report: ProbeReport, *, vantage: Vantage) -> Html:
    """Render one stored probe of a target."""
    target, wire = context.target, exchanges(context, report)
    # The heading shows the target; the start has the reader's local time too.
    lines, started = text.probe_lines(target, report, vantage=vantage), exact_time(report.started_at)
    requests = "\n\n".join("\n".join((exchange.step.value, *as_lines(exchange))) for exchange in wire)
    return page(
        urls,
        f"Probe of {target.name}",
        element("p", link(urls.target(target.name), "Back to the target"), " · ", _bundle(urls, target)),
        facts((name, started if name == "started" else value) for name, value in lines if name != "target"),
        _advice(urls, target, report, means=False),  # the text below has it
        element("h2", "Steps"),
        _steps(report),
        _preformatted("Requests and responses, masked", requests),
        _preformatted("As text", text.transcript(target, report, vantage=vantage)),
        at="/targets",
    )


def _preformatted(heading: str, words: str) -> Child:
    """Return preformatted text; the tab stop makes it scrollable from the keyboard."""
    return [element("h2", heading), element("pre", words, tabindex=0, role="region", aria_label=heading)]


def _advice(urls: Urls, target: Target, report: ProbeReport, record: TargetRecord | None = None, *, means: bool = True) -> Child:
    failure, advice = deciding_failure(report), text.advice_of(target, report, record)
    if failure is None or failure.code is None or advice is None:
        return None
    detail = open_detail(failure)
    return element(
        "section",
        element("h2", code_link(urls, failure.code)),
        element("p", element("strong", f"Step {failure.step.value}: "), prose(advice.happened)),
        element("p", element("strong", "Detail: "), detail) if detail else None,
        element("p", prose(advice.means)) if means and advice.means else None,
        element("p", "Who can repair it: ", who_repairs(failure, BY_CODE[failure.code].owner), "."),
        element("p", "What to do, in this order:") if advice.actions else None,
        element("ol", [element("li", prose(action)) for action in advice.actions]) if advice.actions else None,
        class_="notice bad-edge" if report.readiness.ready is False else "notice",
        aria_label="What to do",
    )


def _steps(report: ProbeReport) -> Html:
    bars = waterfall(report)
    rows = [_step(result, bars.get(result.step)) for result in report.steps]
    return Html(table(_STEP_COLUMNS, rows, caption="Steps in the connector's order, on one timeline.", name="steps") + legend())


def _step(result: StepResult, bar: Child) -> Html:
    phases = {} if result.facts is None else result.facts.phases
    took = "" if not result.duration else text.seconds(result.duration)
    spent = ", ".join(f"{phase.value} {text.seconds(each)}" for phase, each in phases.items())
    return element(
        "tr",
        element("th", result.step.value, scope="row"),
        cell("Outcome", outcome(result)),
        cell("Took", took, class_="number"),
        cell("Timeline and phases", bar, element("div", spent, class_="quiet") if spent else None, class_="timeline"),
        cell("What it showed", _evidence(result)),
        data_key=result.step.value,
    )


def _evidence(result: StepResult) -> Child:
    """Return the facts of a step, folded unless it failed."""
    pairs = [(name, value) for name, value in text.facts_of(result) if name != "phases"]
    if not pairs:
        return None
    if result.outcome is Outcome.FAILED:
        return facts(pairs)
    values = dict(pairs)
    few = ", ".join(f"{name} {values[name]}" for name in ("HTTP status", "request id") if name in values)
    return element("details", element("summary", few or "details"), facts(pairs))


def _target_facts(urls: Urls, view: TargetView, history: Sequence[HistoryEntry]) -> Iterator[tuple[str, Child]]:
    target, record = view.target, view.record
    yield "vault", target.vault
    yield "key", element("code", target.key)
    yield "credential", target.credential
    yield "module", target.module
    if target.modules:
        yield "other modules for /probe", ", ".join(target.modules)
    yield "connector generation", target.generation.value
    yield "probed every", f"{durations.write(target.interval)}, for at most {durations.write(target.timeout)}"
    if record is not None:
        yield "last probe", when(record.last_probe_at, view.now)
        yield "last success", when(record.last_success_at, view.now)
        yield "last failure", _last_failure(urls, view, history)
        yield "failures in a row", record.consecutive_failures
    for name, value in target.labels.items():
        yield f"label {name}", link(urls.targets([("label", f"{name}={value}")]), value)


def _last_failure(urls: Urls, view: TargetView, history: Sequence[HistoryEntry]) -> Child:
    for entry in history:
        report = entry.report
        if (failure := deciding_failure(report)) is not None:
            code = "" if failure.code is None else code_link(urls, failure.code)
            started = link(urls.probe(view.target.name, entry.id), when(report.started_at, view.now))
            return [started, " ", code]
    return "none stored"
