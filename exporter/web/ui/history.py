"""The history of one target: stored probes and failures.

The section is sent in pieces, because a history can be long.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from exporter.config.settings import Target
from exporter.core.codes.cause_text import cause
from exporter.core.readiness import deciding_failure
from exporter.presentation import probe_text as transcript
from exporter.presentation.payloads import earlier
from exporter.state.failures import FailureSummary
from exporter.state.history import HistoryEntry
from exporter.web.ui.html import Child, Html, element, text
from exporter.web.ui.labels import exact_time
from exporter.web.ui.layout import Urls, cell, code_link, link, table, table_foot, table_head
from exporter.web.ui.view_models import TargetView

_HISTORY_COLUMNS = ("Started", "Result", "Took", "Code", "Step and cause")
_EARLIER_COLUMNS = ("Started", "Code", "Step and reason", "HTTP status", "Request id")


def history_section(urls: Urls, view: TargetView, history: Sequence[HistoryEntry]) -> Iterator[Html]:
    """`history` newest first."""
    yield element("h2", "History")
    yield table_head(_HISTORY_COLUMNS, caption="Newest first. Failed probes stay longer than successful ones.", name="history")
    for entry in history:
        yield _remembered(urls, view.target, entry)
    yield Html(table_foot() + text(_earlier(urls, earlier(view.record, history))))


def _remembered(urls: Urls, target: Target, entry: HistoryEntry) -> Html:
    report = entry.report
    failure = deciding_failure(report)
    shown = ("discarded", "quiet") if report.discarded else ("success", "good-ink") if report.success else ("failed", "bad-ink")
    result = element("span", shown[0], class_=shown[1])
    return element(
        "tr",
        element("th", link(urls.probe(target.name, entry.id), exact_time(report.started_at)), scope="row", class_="number"),
        cell("Result", result),
        cell("Took", transcript.seconds(report.duration), class_="number"),
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
    return (
        [element("h2", "Failures before the last restart"), table(_EARLIER_COLUMNS, rows, caption="Newest first.")]
        if rows
        else None
    )
