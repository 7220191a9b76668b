"""The causes of failures with the SQL Servers behind each, and the chain of a target, as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from operator import itemgetter

from exporter.core.causes import TITLES, Cause, Link, cause_of
from exporter.core.codes.cause_text import cause as reason_text
from exporter.core.model import Step
from exporter.presentation.probe_text import VAULTS, vault_actions
from exporter.presentation.sql_causes import SqlCause
from exporter.state.cause_groups import CauseGroup, linked
from exporter.web.ui.html import Child, Html, element
from exporter.web.ui.labels import badge, brief_name, unsteady_badge, when
from exporter.web.ui.layout import NAMED, Urls, brief_code, copyable, counted, named_servers, target_links
from exporter.web.ui.sql_servers import sentence, sql_cause
from exporter.web.ui.ticket import group_ticket
from exporter.web.ui.view_models import TargetView, Urgency

SHOWN = 8  # causes on a page
OWN_SHOWN = 3  # of them, causes of SQL Servers themselves
_HOST = "this host"
_WIDTH, _HEIGHT, _GAP, _LETTERS = 168, 56, 26, 20

Views = Mapping[str, TargetView]  # by the name of the target


def causes_section(
    urls: Urls, groups: Sequence[CauseGroup], own: Sequence[SqlCause], *, views: Views, now: float, log_texts: Mapping[str, str]
) -> Iterator[Child]:
    """Yield the causes with their size, age and first action; `log_texts` by the id of a cause.

    Those of SQL Servers themselves have a few places of their own: no probe shows them.
    """
    shown, own_shown = groups[: SHOWN - len(own[:OWN_SHOWN])], own[:OWN_SHOWN]
    cards = [(-len(group.at_risk), _cause(urls, group, views, now, log_texts.get(group.cause.id, ""))) for group in shown]
    cards += [(-len(cause.servers) if cause.state.is_bad else 1, sql_cause(urls, cause, now)) for cause in own_shown]
    if cards:
        ordered = [card for _, card in sorted(cards, key=itemgetter(0))]
        yield element("ol", ordered, class_="causes", aria_label="Causes")
    if more := len(groups) + len(own) - len(cards):
        yield element("p", f"{counted(more, 'more cause')} put no more SQL Servers at risk. The table lists their targets.")


def _cause(urls: Urls, group: CauseGroup, views: Views, now: float, log_text: str) -> Html:
    first = views[group.first]
    code, began = first.failed.code, ["began ", when(group.since, now, absent="an unknown time ago")]
    return element(
        "li",
        badge(first.urgency) if first.unsteady is None else unsteady_badge(),
        element("h2", title_of(group.cause, len({name for name, _ in group.parts})), title=group.cause.name or None),
        element("span", began if first.unsteady is None else str(first.unsteady), class_="age"),
        None if code is None else element("span", brief_code(urls, code), class_="code"),
        element("p", size_of(group), ". ", _affected(urls, group, views)),
        element("p", sentence(log_text)) if log_text else None,
        _action(group, views),
        group_ticket(group, views),
        class_="bad-edge" if first.urgency is Urgency.NOT_READY else None,
        data_key=group.cause.id,
    )


def _action(group: CauseGroup, views: Views) -> Child:
    """Return the first action. An action for several vaults has one line for each."""
    several = group.cause.link is Link.CREDENTIAL or group.cause.is_several
    parts = dict.fromkeys((group.first, *(group.parts.values() if several else ())))
    # One target's name in all: a command that differs in it alone is to run once.
    named = (
        replace(view, target=replace(view.target, name=group.first)) for view in map(views.__getitem__, islice(parts, VAULTS))
    )
    actions = list(dict.fromkeys(view.actions[0] for view in named if view.actions))
    return copyable(*vault_actions(actions, vaults=len(parts))) if actions else None


def title_of(cause: Cause, several: int = 1) -> str:
    """Return the cause as text, such as `Credential sql-prod: the client secret has expired`, or `40 vaults: ...`."""
    name = f" {brief_name(cause.name)}" if cause.name else ""
    title = f"{several:,} {TITLES[cause.link].lower()}s" if cause.is_several else f"{TITLES[cause.link]}{name}"
    step = Step.TOKEN if cause.link is Link.ENTRA else Step.GET_KEY
    return f"{title}: {reason_text(cause.reason, step)}"


def size_of(group: CauseGroup) -> Child:
    """Return how many SQL Servers depend on it and the first names, else how many targets."""
    servers, groups = group.servers, group.availability_groups
    if not servers:
        return element("strong", counted(len(group.targets), "target"))
    return named_servers(servers.values(), f" in {counted(len(groups), 'availability group')}" if groups else "")


def _affected(urls: Urls, group: CauseGroup, views: Views) -> Child:
    """Return links to the few targets of a cause, the most urgent first, or to the list of many."""
    few = group.targets if len(group.targets) > NAMED else sorted(group.targets, key=lambda name: (views[name].urgency, name))
    return target_links(urls, group.cause.id, few)


def chain(view: TargetView) -> Html:
    """Draw the links from this host to SQL Server, with the broken one marked."""
    _, links, failed = linked(view.target, view.module, view.record, view.now)
    broken = None if failed is None or failed.unsteady else cause_of(failed)
    names = dict(links) | {Link.HOST: _HOST}
    names[Link.KEY] = view.target.key_name
    shown = [
        (name, TITLES[each], _state(each, broken))
        for each in Link
        if each is not Link.REGION and (name := names.get(each)) is not None
    ]
    servers = list(view.servers.values())
    last = f"{servers[0]} and {len(servers) - 1} more" if len(servers) > 1 else "".join(servers) or "not named"
    own = "broken" if view.fails_itself else "before"
    shown.append((last, "SQL Server", "after" if broken is not None else own))
    itself = "broken at SQL Server itself" if view.fails_itself else "no link is known to be broken"
    words = itself if broken is None else f"broken at {title_of(broken)}"
    width = len(shown) * (_WIDTH + _GAP) - _GAP
    drawing = element(
        "svg", _boxes(shown), viewBox=f"0 0 {width} {_HEIGHT + 2}", width=width, height=_HEIGHT + 2, class_="chain", role="img",
        aria_label=f"From the exporter to SQL Server: {words}.",
    )  # fmt: skip
    return element("div", drawing, class_="scroll", tabindex=0, role="region", aria_label="Chain to SQL Server")


def _state(each: Link, broken: Cause | None) -> str:
    order = list(Link)
    if broken is None or order.index(each) < order.index(broken.link):
        return "before"
    return "broken" if each is broken.link else "after"


def _boxes(shown: Iterable[tuple[str, str, str]]) -> Iterator[Html]:
    for number, (name, title, state) in enumerate(shown):
        x = number * (_WIDTH + _GAP) + 1
        if number:
            yield element("path", d=f"M{x - _GAP} {_HEIGHT / 2:g}h{_GAP - 8}m-6 -5l6 5l-6 5", class_=f"arrow {state}")
        label = f"\N{MULTIPLICATION X} {title}" if state == "broken" else title
        yield element(
            "g",
            element("title", f"{title}: {name}"),
            element("rect", x=x, y=1, width=_WIDTH - 2, height=_HEIGHT, rx=6),
            element("text", label, x=x + 10, y=22, class_="kind"),
            element("text", _short(brief_name(name)), x=x + 10, y=42),
            class_=state,
        )


def _short(name: str) -> str:
    return name if len(name) <= _LETTERS else name[: _LETTERS - 1] + "…"
