"""One target and one probe: everything that is known, for the person who has to repair it.

For: `/targets/NAME` and `/targets/NAME/probes/ID`.
Not for: lists of targets, JSON, plain text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from exporter import transcript
from exporter.config.model import Target
from exporter.core import durations
from exporter.core.catalogue import BY_CODE
from exporter.core.catalogue.render import OWNERS
from exporter.core.expiry import CredentialEnd
from exporter.core.model import ProbeReport, StepResult, Vantage
from exporter.shapes import Entry
from exporter.web.markup import Child, Html, element, text
from exporter.web.pages.beside import beside, marks
from exporter.web.pages.layout import Site, cell, code_link, facts, foot, head, link, page, prose, table, table_foot, table_head
from exporter.web.pages.words import ago, badge, not_tested, outcome, verdict
from exporter.web.views import View

_STEP_COLUMNS = ("Step", "Outcome", "Took", "Phases", "What it showed")
_HISTORY_COLUMNS = ("Started", "Result", "Took", "Code", "Step and reason")


def target_page(
    site: Site, view: View, history: Sequence[Entry], *, ends: Mapping[str, Sequence[CredentialEnd]], vantage: Vantage
) -> Iterator[Html]:
    """The whole document in pieces; `history` newest first, `ends` by credential."""
    yield Html(head(site, view.target.name) + text(_standing(site, view, vantage, ends)))
    yield table_head(_HISTORY_COLUMNS, caption="Newest first. Failures are kept longer.")
    for entry in history:
        yield _remembered(site, view.target, entry)
    yield Html(table_foot() + foot(site))


def _standing(site: Site, view: View, vantage: Vantage, ends: Mapping[str, Sequence[CredentialEnd]]) -> Iterator[Child]:
    yield element("p", badge(view.urgency), " ", verdict(view, vantage))
    yield marks(view)
    servers = transcript.what_depends(view.target)
    yield element("p", element("strong", "SQL Servers that depend on it: "), servers) if servers else None
    yield element("p", not_tested(), class_="quiet")
    yield None if view.report is None else _advice(site, view.target, view.report)
    yield element("h2", "Last probe")
    yield element("p", "No probe has finished yet.") if view.report is None else _steps(view.report)
    yield element("p", link(site.probe_now(view.target.name), "Probe now"), " and show the transcript.")
    yield element("h2", "Target")
    yield facts(_about(view))
    yield beside(view, ends)
    yield element("h2", "History")


def probe_page(site: Site, target: Target, report: ProbeReport, *, vantage: Vantage) -> Html:
    return page(
        site,
        f"Probe of {target.name}",
        element("p", link(site.target(target.name), "Back to the target")),
        facts((name, value) for name, value in transcript.about(target, report, vantage=vantage) if name != "target"),
        _advice(site, target, report),
        element("h2", "Steps"),
        _steps(report),
        element("h2", "As text"),
        element("pre", transcript.transcript(target, report, vantage=vantage), tabindex=0),
    )


def _advice(site: Site, target: Target, report: ProbeReport) -> Child:
    failure = report.first_failure
    if failure is None or failure.code is None:
        return None
    entry = BY_CODE[failure.code]
    actions = transcript.what_to_do(target, report)
    reason = "" if failure.reason is None else f", reason {failure.reason.value}"
    return element(
        "section",
        element("p", element("strong", code_link(site, failure.code)), f" at step {failure.step.value}{reason}"),
        element("p", prose(entry.summary)),
        element("p", "Who can repair it: ", OWNERS[entry.owner], "."),
        element("p", "What to do, in this order:") if actions else None,
        element("ol", [element("li", prose(action)) for action in actions]) if actions else None,
        class_="notice",
        aria_label="What to do",
    )


def _steps(report: ProbeReport) -> Html:
    return table(_STEP_COLUMNS, [_step(result) for result in report.steps], caption="Steps in the connector's order.")


def _step(result: StepResult) -> Html:
    shown = [(name, value) for name, value in transcript.facts_of(result) if name != "phases"]
    phases = {} if result.facts is None else result.facts.phases
    took = "" if not result.duration else transcript.seconds(result.duration)
    return element(
        "tr",
        element("th", result.step.value, scope="row"),
        cell("Outcome", outcome(result)),
        cell("Took", took, class_="number"),
        cell("Phases", [element("div", f"{phase.value} {transcript.seconds(each)}") for phase, each in phases.items()]),
        cell("What it showed", facts(shown) if shown else None),
    )


def _about(view: View) -> Iterator[tuple[str, Child]]:
    target, record = view.target, view.record
    yield "vault", target.vault
    yield "key", element("code", target.key)
    yield "credential", target.credential
    yield "module", target.module
    yield "connector generation", target.generation.value
    yield "probed every", f"{durations.write(target.interval)}, for at most {durations.write(target.timeout)}"
    if record is not None:
        yield "last probe", ago(view.age)
        yield "last success", ago(None if record.last_success_at is None else max(0.0, view.now - record.last_success_at))
        yield "failures in a row", record.consecutive_failures
    yield from ((f"label {name}", value) for name, value in target.labels.items())


def _remembered(site: Site, target: Target, entry: Entry) -> Html:
    report = entry.report
    failure = report.first_failure
    reason = "" if failure is None else f"{failure.step.value}, {failure.reason.value if failure.reason else 'unknown'}"
    return element(
        "tr",
        element("th", link(site.probe(target.name, entry.id), transcript.moment(report.started_at)), scope="row"),
        cell("Result", "success" if report.success else "failed"),
        cell("Took", transcript.seconds(report.duration), class_="number"),
        cell("Code", code_link(site, failure.code) if failure is not None and failure.code is not None else "none"),
        cell("Step and reason", reason),
    )
