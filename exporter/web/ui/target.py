"""The pages of one target and of one stored probe, with cause and actions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from exporter.config.settings import Target
from exporter.core import durations
from exporter.core.checks.model import CheckRun
from exporter.core.codes import BY_CODE
from exporter.core.codes.cause_text import cause, meaning, open_detail, sentence
from exporter.core.credential_expiry import CredentialExpiry
from exporter.core.model import Outcome, ProbeReport, StepResult, Vantage
from exporter.core.readiness import deciding_failure, why_text
from exporter.core.tickets.team import who_repairs
from exporter.presentation import probe_text
from exporter.presentation.wire_log import as_lines, exchanges
from exporter.state.history import HistoryEntry, ProbeContext
from exporter.state.records import TargetRecord
from exporter.tde.differences import Difference
from exporter.web.ui.auxiliary import auxiliary_section, expiries_table, failed_checks, marks, vault_sections
from exporter.web.ui.causes import chain
from exporter.web.ui.charts import legend, waterfall
from exporter.web.ui.history import history_section
from exporter.web.ui.html import Child, Html, element
from exporter.web.ui.labels import badge, exact_time, not_tested, outcome, verdict, when
from exporter.web.ui.layout import Urls, cell, code_link, facts, foot, head, link, live, page, prose, section, table
from exporter.web.ui.sql_differences import target_differences_list
from exporter.web.ui.sql_servers import proof_lines
from exporter.web.ui.ticket import target_ticket
from exporter.web.ui.view_models import TargetView

_STEP_COLUMNS = ("Step", "Outcome", "Took", "Timeline and phases", "What it showed")


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
    yield live("known", [_known_facts(urls, view, history, expiries), failed_checks(view, checks)])
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
    dependents = probe_text.what_depends(view.target)
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


def _known_facts(
    urls: Urls, view: TargetView, history: Sequence[HistoryEntry], expiries: Mapping[str, Sequence[CredentialExpiry]]
) -> Iterator[Child]:
    yield element("div", section("Target", _target_facts(urls, view, history)), vault_sections(view), class_="columns")
    yield auxiliary_section(view)
    yield expiries_table(view, expiries)


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
    requests = "\n\n".join("\n".join((exchange.step.value, *as_lines(exchange))) for exchange in wire)
    return page(
        urls,
        f"Probe of {target.name}",
        element("p", link(urls.target(target.name), "Back to the target"), " · ", _bundle(urls, target)),
        facts(_shown(report, probe_text.probe_lines(target, report, vantage=vantage))),
        _advice(urls, target, report),
        element("h2", "Steps"),
        _steps(report),
        _preformatted("Requests and responses, masked", requests),
        _preformatted("As text", probe_text.transcript(target, report, vantage=vantage)),
        at="/targets",
    )


def _shown(report: ProbeReport, lines: Iterable[probe_text.Line]) -> Iterator[tuple[str, Child]]:
    """Yield what the heading does not show, with the reader's local time of the start."""
    for name, value in lines:
        if name != "target":
            yield name, exact_time(report.started_at) if name == "started" else value


def _preformatted(heading: str, words: str) -> Child:
    """Return preformatted text; the tab stop makes it scrollable from the keyboard."""
    return [element("h2", heading), element("pre", words, tabindex=0, role="region", aria_label=heading)]


def _advice(urls: Urls, target: Target, report: ProbeReport, record: TargetRecord | None = None) -> Child:
    failure = deciding_failure(report)
    if failure is None or failure.code is None:
        return None
    entry = BY_CODE[failure.code]
    actions = probe_text.recommended_actions(target, report, record)
    detail = open_detail(failure)
    return element(
        "section",
        element("h2", code_link(urls, failure.code)),
        element("p", element("strong", "Cause: "), f"step {failure.step.value}: {cause(failure.reason, failure.step)}."),
        element("p", element("strong", "Detail: "), detail) if detail else None,
        element("p", prose(meaning(failure, entry.summary))),
        element("p", prose(probe_text.effect(report))) if probe_text.effect(report) else None,
        element("p", "Who can repair it: ", who_repairs(failure, entry.owner), "."),
        element("p", "What to do, in this order:") if actions else None,
        element("ol", [element("li", prose(action)) for action in actions]) if actions else None,
        class_="notice bad-edge" if report.readiness.ready is False else "notice",
        aria_label="What to do",
    )


def _steps(report: ProbeReport) -> Html:
    bars = waterfall(report)
    rows = [_step(result, bars.get(result.step)) for result in report.steps]
    return Html(table(_STEP_COLUMNS, rows, caption="Steps in the connector's order, on one timeline.", name="steps") + legend())


def _step(result: StepResult, bar: Child) -> Html:
    phases = {} if result.facts is None else result.facts.phases
    took = "" if not result.duration else probe_text.seconds(result.duration)
    spent = ", ".join(f"{phase.value} {probe_text.seconds(each)}" for phase, each in phases.items())
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
    pairs = [(name, value) for name, value in probe_text.facts_of(result) if name != "phases"]
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
