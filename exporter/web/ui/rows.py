"""One row of the list of targets: SQL Servers, state, cause, first action, expiry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from exporter.core.codes.cause_text import cause, open_detail
from exporter.core.credential_expiry import Source
from exporter.core.readiness import deciding_failure, why_text
from exporter.presentation.expiries import NOUNS
from exporter.web.ui.auxiliary import marks
from exporter.web.ui.charts import state_bar
from exporter.web.ui.html import Child, Html, element
from exporter.web.ui.labels import badge, brief_name, expires_in, when
from exporter.web.ui.layout import Urls, brief_code, cell, copyable, link
from exporter.web.ui.query import TargetQuery
from exporter.web.ui.sql_servers import own_badges, own_causes
from exporter.web.ui.view_models import TargetView

COLUMNS = ("SQL Server", "State", "Since", "Cause", "Last 40 probes", "Next expiry", "Target")
_SERVERS = 3  # shown in a row


def target_row(urls: Urls, view: TargetView, query: TargetQuery, *, action: bool) -> Html:
    """Render a target, with its first action if `action`; a label links to the targets with that label."""
    target = view.target
    return element(
        "tr",
        element("th", _servers(urls, view), scope="row"),
        cell("State", badge(view.urgency), [element("div", each) for each in own_badges(view)], marks(view)),
        cell("Since", when(view.since, view.now, absent="unknown"), class_="number"),
        cell("Cause", _cause(urls, view, action=action)),
        cell("Last 40 probes", _last_probes(view), class_="number"),
        cell("Next expiry", _next_expiry(view), class_="number"),
        cell(
            "Target",
            element("div", link(urls.target(target.name), target.name)),
            element(
                "div", element("span", brief_name(target.vault), title=target.vault), _labels(urls, view, query), class_="quiet"
            ),
        ),
        data_key=target.name,
    )


def _servers(urls: Urls, view: TargetView) -> Iterator[Child]:
    instances = view.target.instances
    if not instances:
        yield element("span", "no SQL Server named", class_="quiet")
    yield from (element("div", _server(each)) for each in instances[:_SERVERS])
    if len(instances) > _SERVERS:
        yield element("div", link(urls.target(view.target.name), f"and {len(instances) - _SERVERS} more"), class_="quiet")


def _server(labels: Mapping[str, str]) -> Iterator[Child]:
    yield labels.get("sql_instance", "")
    others = ", ".join(f"{name} {value}" for name, value in labels.items() if name != "sql_instance")
    yield [" ", element("span", others, class_="quiet")] if others else None


def _labels(urls: Urls, view: TargetView, query: TargetQuery) -> Child:
    labels = [f"{name}={value}" for name, value in view.target.labels.items()]
    return [(" ", link(urls.targets(query.and_label(each).parameters()), each)) for each in labels]


def _cause(urls: Urls, view: TargetView, *, action: bool) -> Iterator[Child]:
    failure = None if view.report is None else deciding_failure(view.report)
    if view.readiness.ready is None:
        yield element("div", why_text(view.readiness))
    elif failure is None and view.unsteady is None and not view.own:
        yield element("span", "nothing failed", class_="quiet")
    yield own_causes(urls, view, action=action)
    step, code, reason = view.failed
    if step is None or code is None:
        return
    yield element("div", cause(reason, step))
    last = "" if view.unsteady is None else ", but the last probe succeeded"
    yield element("div", brief_code(urls, code), f" in step {step.value}{last}", class_="quiet")
    yield element("div", open_detail(failure), class_="quiet") if failure is not None and open_detail(failure) else None
    yield copyable(view.actions[0]) if action and view.actions else None


def _last_probes(view: TargetView) -> Iterator[Child]:
    yield None if view.record is None else state_bar(view.record.recent)
    last = None if view.record is None else view.record.last_probe_at
    yield element("div", "last ", when(last, view.now), class_="quiet")


def _next_expiry(view: TargetView) -> Iterator[Child]:
    if view.ending is None:
        yield element("span", "unknown", class_="quiet")
        yield element("div", view.wrong, class_="quiet") if view.wrong else None
        return
    noun, expired = NOUNS[view.ending.kind], view.ending.has_expired(view.now)
    yield element("span", when(view.ending.at, view.now), class_="bad-ink") if expired else expires_in(view.ending, view.now)
    refused = ", refused by Entra ID" if view.ending.source == Source.ENTRA else ""
    yield element("div", f"{noun} expired{refused}" if expired else noun, class_="quiet")
    yield element("div", view.wrong, class_="quiet") if view.wrong else None
