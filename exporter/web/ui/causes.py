"""Causes of failures with the SQL Servers behind each, and the chain of a target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import nsmallest
from itertools import islice
from urllib.parse import urlsplit

from exporter.config.model import Module, Target
from exporter.core.causes import TITLES, Cause, Failed, Link, cause_of, spread_causes
from exporter.core.codes.reasons import cause as reason_text
from exporter.core.model import Step
from exporter.core.readiness import deciding_failure
from exporter.presentation.text import VAULTS, at_each_vault
from exporter.runtime.slices import in_slices
from exporter.web.ui.html import Child, Html, element
from exporter.web.ui.labels import badge, brief_name, unsteady_badge, when
from exporter.web.ui.layout import Urls, brief_code, link
from exporter.web.ui.rows import copyable
from exporter.web.ui.view_models import TargetView, Urgency

_NAMED = 3  # SQL Servers and targets of a cause that are named
AT_ONCE = 100  # targets between two turns of other tasks: about a millisecond
SHOWN = 8  # causes on a page
_HOST = "this host"
_WIDTH, _HEIGHT, _GAP, _LETTERS = 168, 56, 26, 20


@dataclass(slots=True)
class CauseGroup:
    """A cause, its targets, and the SQL Servers and availability groups that depend on them.

    `first` is the most urgent target. `since` is a Unix time, None if unknown.
    """

    cause: Cause
    first: TargetView
    views: list[TargetView] = field(default_factory=list)
    vaults: dict[str, TargetView] = field(default_factory=dict)  # one target of each
    servers: dict[str, str] = field(default_factory=dict)
    availability_groups: set[str] = field(default_factory=set)
    since: float | None = None

    def add(self, view: TargetView) -> None:
        """Add one target: a page adds thousands, in slices."""
        self.views.append(view)
        self.vaults.setdefault(view.target.vault, view)
        self.first = min(self.first, view, key=_order)
        self.servers.update(view.servers)
        self.availability_groups.update(each["ag"] for each in view.target.instances if "ag" in each)
        since = view.since
        self.since = since if self.since is None or (since is not None and since < self.since) else self.since

    @property
    def urgency(self) -> Urgency:
        return self.first.urgency


def _order(view: TargetView) -> tuple[Urgency, str]:
    return view.urgency, view.target.name


def links_of(target: Target, module: Module, sign_in: str | None = None) -> dict[Link, str]:
    """Return the name of each link of a target; without a proxy, its link is missing."""
    proxy = {} if module.proxy is None else {Link.PROXY: _place(module.proxy.url)}
    return {
        Link.HOST: _HOST,
        **proxy,
        Link.ENTRA: sign_in or (_place(module.authority_host) if module.authority_host else ""),
        Link.CREDENTIAL: target.credential,
        Link.VAULT: target.vault,
        Link.KEY: f"{target.vault}/{target.key}",
    }


def failure_of(view: TargetView) -> Failed | None:
    """Return the current deciding failure; None if no step failed or it is out of date."""
    failure = None if view.report is None else deciding_failure(view.report)
    if failure is None or view.urgency not in (Urgency.NOT_READY, Urgency.FAILING):
        return None
    return Failed(step=failure.step, reason=failure.reason, names=links_of(view.target, view.module, _sign_in(view)))


def _sign_in(view: TargetView) -> str | None:
    """Return the host of Entra ID that the last probe used; None if unknown."""
    step = None if view.report is None else view.report.step(Step.TOKEN)
    return None if step is None or step.facts is None or not step.facts.endpoint else step.facts.endpoint.removesuffix(":443")


async def grouped(views: Sequence[TargetView]) -> list[CauseGroup]:
    """Return the causes, the most urgent and the largest first, and let other tasks run in between."""
    failures = {view.target.name: failed async for view in in_slices(views, AT_ONCE) if (failed := failure_of(view)) is not None}
    names = [links_of(view.target, view.module) async for view in in_slices(views, AT_ONCE)] if failures else []
    own = {target: cause_of(failed) async for target, failed in in_slices(failures.items(), AT_ONCE)}
    causes = spread_causes(own, failures, names)
    groups = dict[Cause, CauseGroup]()
    async for view in in_slices(views, AT_ONCE):
        if (cause := causes.get(view.target.name) or _of_unsteady(view)) is not None:
            groups.setdefault(cause, CauseGroup(cause, view)).add(view)
    return sorted(groups.values(), key=lambda group: (group.urgency, -len(group.servers), -len(group.views), group.cause.id))


def _of_unsteady(view: TargetView) -> Cause | None:
    """Return what makes a ready target unsteady. It is a cause of its own, as the targets behind it are ready."""
    step, _, reason = view.failed
    if view.unsteady is None or step is None:
        return None
    return replace(cause_of(Failed(step=step, reason=reason, names=links_of(view.target, view.module))), unsteady=True)


def causes_section(site: Urls, groups: Sequence[CauseGroup], now: float) -> Iterator[Child]:
    """Yield the causes with their size, age and first action."""
    if not groups:
        return
    yield element("ol", [_cause(site, group, now) for group in groups[:SHOWN]], class_="causes", aria_label="Causes")
    if len(groups) > SHOWN:
        more = f"{len(groups) - SHOWN} more causes affect no more SQL Servers than the last one. The table has their targets."
        yield element("p", more)


def _cause(site: Urls, group: CauseGroup, now: float) -> Html:
    first, code = group.first, group.first.failed.code
    began = ["began ", when(group.since, now, absent="an unknown time ago")]
    return element(
        "li",
        badge(group.urgency) if first.unsteady is None else unsteady_badge(),
        element("h2", title_of(group.cause), title=group.cause.name),
        element("span", began if first.unsteady is None else str(first.unsteady), class_="age"),
        None if code is None else element("span", brief_code(site, code), class_="code"),
        element("p", size_of(group), ". ", _behind(site, group)),
        _action(group),
        class_="bad-edge" if group.urgency is Urgency.NOT_READY else None,
        data_key=group.cause.id,
    )


def _action(group: CauseGroup) -> Child:
    """Return the first action. What is to do at each vault behind a credential has one line for each."""
    vaults = {group.first.target.vault: group.first, **group.vaults} if group.cause.link is Link.CREDENTIAL else {"": group.first}
    views = [group.first, *islice(vaults.values(), 1, VAULTS)]
    # One target's name in all: a command that differs in it alone is to run once.
    named = (replace(view, target=replace(view.target, name=group.first.target.name)) for view in views)
    actions = list(dict.fromkeys(view.actions[0] for view in named if view.actions))
    return copyable(*at_each_vault(actions, vaults=len(vaults))) if actions else None


def title_of(cause: Cause) -> str:
    """Return the cause as text, such as `Credential sql-prod: the client secret has expired`."""
    name = "" if cause.link is Link.HOST or not cause.name else f" {brief_name(cause.name)}"
    step = Step.TOKEN if cause.link is Link.ENTRA else Step.GET_KEY
    return f"{TITLES[cause.link]}{name}: {reason_text(cause.reason, step)}"


def size_of(group: CauseGroup) -> Child:
    """Return how many SQL Servers depend on it, with the names of the first ones, else how many targets."""
    servers, groups = group.servers, group.availability_groups
    if not servers:
        return element("strong", _count(len(group.views), "target"))
    within = f" in {_count(len(groups), 'availability group')}" if groups else ""
    more = f" and {len(servers) - _NAMED:,} more" if len(servers) > _NAMED else ""
    named = ", ".join(nsmallest(_NAMED, servers.values()))
    return [element("strong", _count(len(servers), "SQL Server")), f"{within}: {named}{more}"]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _behind(site: Urls, group: CauseGroup) -> Child:
    """Return links to the few targets of a cause, or to the list of many."""
    if len(group.views) > _NAMED:
        return link(site.targets([("cause", group.cause.id)]), f"Show {_count(len(group.views), 'target')}")
    links = [link(site.target(view.target.name), view.target.name) for view in sorted(group.views, key=_order)]
    return ["Target" if len(links) == 1 else "Targets", " ", links[0], [(", ", each) for each in links[1:]]]


def chain(view: TargetView) -> Html:
    """Draw the links from this host to SQL Server, with the broken one marked."""
    failed = failure_of(view)
    broken = None if failed is None else cause_of(failed)
    names = links_of(view.target, view.module, _sign_in(view))
    if broken is not None and broken.name:
        names[broken.link] = broken.name
    names[Link.KEY] = view.target.key_name
    shown = [(name, TITLES[each], _state(each, broken)) for each in Link if (name := names.get(each)) is not None]
    servers = list(view.servers.values())
    last = f"{servers[0]} and {len(servers) - 1} more" if len(servers) > 1 else "".join(servers) or "not named"
    shown.append((last, "SQL Server", "after" if broken is not None else "before"))
    words = "no link is known to be broken" if broken is None else f"broken at {title_of(broken)}"
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


def _place(url: str) -> str:
    """Return host and port of a URL, without user and password."""
    return urlsplit(url).netloc.rpartition("@")[2]


def ids_by_target(groups: Iterable[CauseGroup]) -> Mapping[str, str]:
    """Return the id of each failed target's cause."""
    return {view.target.name: group.cause.id for group in groups for view in group.views}
