"""The pages of one target and of one stored probe: verdict, cause and actions, known facts, charts, history.

Sizes in charts are attributes, because the pages forbid inline styles. The page repeats every chart as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

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
from exporter.knowledge.verdict import State, deciding_failure, why_text
from exporter.presentation import text
from exporter.presentation.diagnosis import Diagnosis
from exporter.presentation.payloads import earlier
from exporter.presentation.text import exchanges
from exporter.sqlserver.differences import Difference
from exporter.state.history import HistoryEntry, ProbeContext
from exporter.state.record import LETTERS, RECENT, TargetRecord
from exporter.web.pages.causes import chain, target_ticket
from exporter.web.pages.html import (
    COPY,
    TABLE_FOOT,
    Child,
    Html,
    Urls,
    action_list,
    cell,
    code_link,
    element,
    facts,
    foot,
    head,
    link,
    live,
    page,
    prose,
    scrollable,
    section,
    table,
    table_head,
    with_copies,
)
from exporter.web.pages.sql_servers import proof_lines, target_differences_list
from exporter.web.pages.views import TargetView, badge, exact_time, not_tested, verdict, when

_AUXILIARY_COLUMNS = ("Probe", "Usable", "Cause and action", "Credential", "Last run")
_EXPIRY_COLUMNS = ("Credential", "Source", "Expires", "Last lookup", "Note")
_HISTORY_COLUMNS = ("Started", "Result", "Took", "Code", "Step and cause")
_EARLIER_COLUMNS = ("Started", "Code", "Step and reason", "HTTP status", "Request id")
_STEP_COLUMNS = ("Step", "Outcome", "Took", "Timeline and phases", "What it showed")
_OUTCOMES = {Outcome.OK: "good", Outcome.FAILED: "bad", Outcome.SKIPPED: "quiet"}
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


def _auxiliary_section(view: TargetView) -> Child:
    """Return the configured auxiliary probes with their last results."""
    record, rows = view.record, []
    if record is None:
        return None
    results = text.auxiliary_results(view.target, record, now=view.now)
    for identity, result, actions in text.auxiliary_actions(view.target, record, results):
        answer, why = text.answer(result), text.reason_text(record, identity, result)
        row = (
            element("th", text.title(view.target, identity), scope="row"),
            cell("Usable", element("span", answer, class_=f"state {_COLOURS[answer]}")),
            cell("Cause and action", why, action_list(actions) if actions else None),
            cell("Credential", "" if result is None else result.credential),
            cell("Last run", when(None if result is None else result.at, view.now), class_="number"),
        )
        rows.append(element("tr", row))
    shown = table(_AUXILIARY_COLUMNS, rows, caption="Auxiliary probes never change the verdict.")
    return [element("h2", "Auxiliary probes"), shown] if rows else None


def _vault_sections(view: TargetView) -> Child:
    """Return the last known facts of the key and of the network path."""
    if (record := view.record) is None:
        return None
    lines = [*(() if record.key is None else text.key_lines(record.key)), *text.version_lines(view.target, record)]
    path = list(text.path_lines(record.vault, view.module.expect_path))
    key = section("Key in the vault", [(name, with_copies(value)) for name, value in lines])
    return [key, section("Network path to the vault", path)]


def _expiries_table(view: TargetView, expiries: Mapping[str, Sequence[CredentialExpiry]]) -> Child:
    """Return the table of expiry dates. `expiries` is by credential, empty if no source was looked up."""
    rows = [
        element(
            "tr",
            element("th", credential, scope="row"),
            cell("Source", source),
            cell("Expires", expires),
            cell("Last lookup", when(at, view.now, absent=""), class_="number"),
            cell("Note", note),
        )
        for credential, source, expires, at, note in text.expiry_lines(expiries, now=view.now)
    ]
    caption = "One row per source. After a failed lookup the previous answer is kept."
    return [element("h2", "Credential expiry"), table(_EXPIRY_COLUMNS, rows, caption=caption)]


def _failed_checks(view: TargetView, run: CheckRun | None) -> Iterator[Child]:
    """Yield the preflight checks that failed in the last run, each with its fix."""
    if run is None or not run.failed:
        return
    failure = view.failure
    stated = None if failure is None else check_of(failure.step, failure.reason)
    yield element("h2", "Failed preflight checks")
    yield element("p", "Last run ", when(run.at, view.now), ". Preflight checks never change the verdict.", class_="quiet")
    for result in run.failed:
        # A line of a fix that starts with two blanks is a command.
        fix = [
            element("div", element("code", line.strip()), " ", COPY, data_copy=True)
            if line.startswith("  ")
            else element("p", line)
            for line in result.fix
        ]
        above = element("p", "The cause and its actions are stated above.", class_="quiet")
        yield [element("h3", BY_NAME[result.check].title), element("p", result.detail), above if result.check == stated else fix]


def _history_section(urls: Urls, view: TargetView, history: Sequence[HistoryEntry]) -> Iterator[Html]:
    """Yield the section in pieces, because a history can be long, then the failures before the last restart that --state.dir kept."""
    yield element("h2", "History")
    yield table_head(_HISTORY_COLUMNS, caption="Newest first. Failed probes stay longer than successful ones.", name="history")
    for entry in history:
        report, failure = entry.report, deciding_failure(entry.report)
        word, ink = ("success", "good-ink") if report.success else ("failed", "bad-ink")
        word, ink = ("discarded", "quiet") if report.discarded else (word, ink)
        at = link(_probe_address(urls, view.target, entry), exact_time(report.started_at))
        yield element(
            "tr",
            element("th", at, scope="row", class_="number"),
            cell("Result", element("span", word, class_=ink)),
            cell("Took", text.seconds(report.duration), class_="number"),
            cell("Code", code_link(urls, failure.code) if failure is not None and failure.code is not None else "none"),
            cell("Step and cause", "" if failure is None else f"{failure.step.value}: {cause(failure.reason, failure.step)}"),
            data_key=entry.id,
        )
    yield TABLE_FOOT
    rows = [
        element(
            "tr",
            element("th", exact_time(each.at), scope="row", class_="number"),
            cell("Code", "none" if each.code is None else code_link(urls, each.code)),
            cell("Step and reason", ", ".join(filter(None, (each.step, each.reason)))),
            cell("HTTP status", each.http_status),
            cell("Request id", each.request_id),
            data_key=f"before-{each.at}",
        )
        for each in earlier(view.record, history)
    ]
    if rows:
        yield element("h2", "Failures before the last restart")
        yield table(_EARLIER_COLUMNS, rows, caption="Newest first.")


def _probe_address(urls: Urls, target: Target, entry: HistoryEntry) -> str:
    return urls.to("/targets/{}/probes/{}", target.name, entry.id)


def waterfall(report: ProbeReport) -> Mapping[Step, Html]:
    """Return one bar per step that ran, on one axis as long as the probe.

    A token from the cache has no bar: its time is not this probe's.
    """
    own = [result for result in report.steps if result.duration and not result.shared]
    total = max(report.duration, sum(result.duration for result in own)) or 1.0
    bars, begun = {}, 0.0
    for result in own:
        phases = {} if result.facts is None else result.facts.phases
        spent_in = {phase.value: phases[phase] for phase in Phase if phases.get(phase)}
        begins = accumulate(spent_in.values(), initial=begun)
        parts = [("other", begun, result.duration), *zip(spent_in, begins, spent_in.values(), strict=False)]
        pieces = [_piece(name, at / total, spent / total) for name, at, spent in parts]
        bars[result.step] = element("svg", pieces, width="100%", height="12", class_="bar", aria_hidden="true", focusable="false")
        begun += result.duration
    return bars


def _piece(name: str, at: float, share: float) -> Html:
    width = max(0.0, min(share, 1.0 - at))
    return element("rect", x=f"{100 * at:.2f}%", y="0", width=f"{100 * width:.2f}%", height="12", class_=f"phase-{name}")


def state_bar(recent: str) -> Child:
    """Draw the states of the last probes, oldest first; None without a probe.

    `recent` has a letter for each probe. A more urgent state is higher, so colour is never needed.
    """
    if not recent:
        return None
    known = {letter: named for letter, named in _STATE_BARS.items() if letter in recent}
    counts = ", ".join(f"{recent.count(letter)} {name}" for letter, (name, _) in known.items())
    start, paths = RECENT - len(recent), []
    for letter, (_, height) in known.items():
        runs = (f"M{start + run.start()} {10 - height / 2:g}h{len(run[0])}" for run in re.finditer(f"{letter}+", recent))
        paths.append(element("path", d="".join(runs), stroke_width=height, class_=f"probe-{letter}"))
    words = f"last {len(recent)} probes: {counts}"
    return element(
        "svg", paths, viewBox=f"0 0 {RECENT} 10", preserveAspectRatio="none", class_="probes", role="img", aria_label=words
    )


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
    target = view.target
    yield head(urls, target.name, at="/targets", now=view.now)
    not_read = element("p", unread, class_="quiet") if unread else None
    sql_servers = [proof_lines(urls, view), not_read, target_differences_list(differences)]
    dependents = text.what_depends(target)
    missing = "No probe has finished yet." if view.readiness.stolen is None else sentence(why_text(view.readiness))
    yield live(
        "standing",
        element("p", badge(view.state), " ", element("strong", verdict(view, vantage)), _since(view), class_="verdict"),
        sql_servers,
        chain(view),
        marks(view),
        element("p", element("strong", "SQL Servers that depend on it: "), dependents) if dependents else None,
        element("p", not_tested(untested), class_="quiet"),
        None if view.report is None else _advice(urls, target, view.report, view.record),
        target_ticket(view),
        element("h2", "Last probe"),
        element("p", missing) if view.report is None else _steps(view.report),
    )
    probe_now = urls.to("/probe", query=[("target", target.name), ("debug", "true")])
    yield element("p", link(probe_now, "Probe now"), " and show the transcript. ", _bundle(urls, target))
    columns = element("div", section("Target", _target_facts(urls, view, history)), _vault_sections(view), class_="columns")
    yield live("known", columns, _auxiliary_section(view), _expiries_table(view, expiries), _failed_checks(view, checks))
    yield Html('<div id="history" data-live>')
    yield from _history_section(urls, view, history)
    yield Html("</div>" + foot(urls))


def _since(view: TargetView) -> Child:
    if view.since is None:
        return None
    is_first_seen = view.record is not None and view.record.is_first_seen and view.readiness.why != "stale"
    return [" First seen " if is_first_seen else " Began ", when(view.since, view.now), "."]


def _bundle(urls: Urls, target: Target) -> Child:
    return [
        link(urls.to("/api/v1/targets/{}/support-bundle", target.name), "Support bundle"),
        ": the data of this target as a zip file, without secrets. ",
        link(urls.to("/targets/{}/audit", target.name), "Audit sheet"),
        " of its key, for a security officer.",
    ]


def probe_page(urls: Urls, context: ProbeContext, report: ProbeReport, *, vantage: Vantage) -> Html:
    """Render one stored probe of a target."""
    target, wire = context.target, exchanges(context, report)
    # The heading shows the target; the start has the reader's local time too.
    lines, started = text.probe_lines(target, report, vantage=vantage), exact_time(report.started_at)
    texts = {
        "Requests and responses, masked": "\n\n".join("\n".join((step.value, *lines)) for step, lines in wire),
        "As text": text.transcript(target, report, vantage=vantage),
    }
    return page(
        urls,
        f"Probe of {target.name}",
        element("p", link(urls.target(target.name), "Back to the target"), " · ", _bundle(urls, target)),
        facts((name, started if name == "started" else value) for name, value in lines if name != "target"),
        _advice(urls, target, report, means=False),  # the text below has it
        element("h2", "Steps"),
        _steps(report),
        [(element("h2", heading), scrollable(words, label=heading)) for heading, words in texts.items()],
        at="/targets",
    )


def _advice(urls: Urls, target: Target, report: ProbeReport, record: TargetRecord | None = None, *, means: bool = True) -> Child:
    diagnosis = Diagnosis(target, report, record)
    failure, advice = diagnosis.failure, diagnosis.advice()
    if failure is None or failure.code is None or advice is None:
        return None
    detail, actions = open_detail(failure), advice.actions
    return element(
        "section",
        element("h2", code_link(urls, failure.code)),
        element("p", element("strong", f"Step {failure.step.value}: "), prose(advice.happened)),
        element("p", element("strong", "Detail: "), detail) if detail else None,
        element("p", prose(advice.means)) if means and advice.means else None,
        element("p", "Who can repair it: ", who_repairs(failure, BY_CODE[failure.code].owner), "."),
        [element("p", "What to do, in this order:"), action_list(actions)] if actions else None,
        class_="notice bad-edge" if report.readiness.ready is False else "notice",
        aria_label="What to do",
    )


def _steps(report: ProbeReport) -> Html:
    bars = waterfall(report)
    rows = [_step(result, bars.get(result.step)) for result in report.steps]
    boxes = {phase.value: element("rect", width="10", height="10", class_=f"phase-{phase.value}") for phase in Phase}
    colours = [
        (element("svg", box, width="10", height="10", aria_hidden="true", focusable="false"), phase)
        for phase, box in boxes.items()
    ]
    legend = element("ul", [element("li", each) for each in colours], class_="legend", aria_label="Phases")
    return Html(table(_STEP_COLUMNS, rows, caption="Steps in the connector's order, on one timeline.", name="steps") + legend)


def _step(result: StepResult, bar: Child) -> Html:
    phases = {} if result.facts is None else result.facts.phases
    spent = ", ".join(f"{phase.value} {text.seconds(each)}" for phase, each in phases.items())
    # The facts are folded unless the step failed.
    pairs = {name: value for name, value in text.facts_of(result) if name != "phases"}
    few = ", ".join(f"{name} {pairs[name]}" for name in ("HTTP status", "request id") if name in pairs)
    shown = facts(pairs.items())
    folded = element("details", element("summary", few or "details"), shown) if pairs else None
    return element(
        "tr",
        element("th", result.step.value, scope="row"),
        cell("Outcome", element("span", result.outcome.value, class_=f"state {_OUTCOMES[result.outcome]}")),
        cell("Took", text.seconds(result.duration) if result.duration else "", class_="number"),
        cell("Timeline and phases", bar, element("div", spent, class_="quiet") if spent else None, class_="timeline"),
        cell("What it showed", shown if pairs and result.outcome is Outcome.FAILED else folded),
        data_key=result.step.value,
    )


def _target_facts(urls: Urls, view: TargetView, history: Sequence[HistoryEntry]) -> list[tuple[str, Child]]:
    target, record = view.target, view.record
    last = next((entry for entry in history if deciding_failure(entry.report) is not None), None)
    failure = None if last is None else deciding_failure(last.report)
    probes: list[tuple[str, Child]] = []
    if record is not None:
        started = last and link(_probe_address(urls, target, last), when(last.report.started_at, view.now))
        code = "" if failure is None or failure.code is None else code_link(urls, failure.code)
        probes = [
            ("last probe", when(record.last_probe_at, view.now)),
            ("last success", when(record.last_success_at, view.now)),
            ("last failure", [started, " ", code] if started else "none stored"),
            ("failures in a row", record.consecutive_failures),
        ]
    labels = {each: urls.to("/targets", query=[("label", f"{each}={value}")]) for each, value in target.labels.items()}
    return [
        ("vault", target.vault),
        ("key", element("code", target.key)),
        ("credential", target.credential),
        ("module", target.module),
        ("other modules for /probe", ", ".join(target.modules) or None),
        ("connector generation", target.generation.value),
        ("probed every", f"{durations.write(target.interval)}, for at most {durations.write(target.timeout)}"),
        *probes,
        *((f"label {each}", link(address, target.labels[each])) for each, address in labels.items()),
    ]
