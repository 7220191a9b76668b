"""Verdicts, ages and outcomes as text, with the colour class that goes with each."""

from __future__ import annotations

import re

from exporter.core.codes import both_numbers
from exporter.core.credential_expiry import Source
from exporter.core.durations import moment
from exporter.core.model import Outcome, StepResult, Vantage
from exporter.core.readiness import NOT_TESTED, readiness_text
from exporter.presentation.expiries import BACKUP_AGE, Ending, EndingKind
from exporter.web.ui.html import Html, element
from exporter.web.ui.view_models import TargetView, Urgency

_BADGES = {
    Urgency.NOT_READY: ("not ready", "bad"),
    Urgency.FAILING: ("failing", "unsure"),
    Urgency.UNKNOWN: ("unknown", "unsure"),
    Urgency.READY: ("ready", "good"),
}
_OUTCOMES = {Outcome.OK: "good", Outcome.FAILED: "bad", Outcome.SKIPPED: "quiet"}
_AZURE = re.compile(r"\.(vault|managedhsm)[a-z-]*\.")  # hosts of vaults in every cloud
_SPANS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))


def badge(urgency: Urgency, *, count: int | None = None) -> Html:
    words, colour = _BADGES[urgency]
    return element("span", words if count is None else f"{count:,} {words}", class_=f"state {colour}")


def unsteady_badge(count: int | None = None) -> Html:
    return element("span", "unsteady" if count is None else f"{count:,} unsteady", class_="state unsure")


def outcome(result: StepResult) -> Html:
    return element("span", result.outcome.value, class_=f"state {_OUTCOMES[result.outcome]}")


def verdict(view: TargetView, vantage: Vantage) -> str:
    """Return the verdict and its deciding failed step, else the first failed one."""
    text = readiness_text(view.readiness, vantage)
    if view.readiness.ready is None:
        return text
    failure = view.failure if view.readiness.ready else view.blocking
    return text if failure is None else f"{text}, {'although' if view.readiness.ready else 'because'} {_failed(failure)}"


def not_tested(what: str) -> str:
    """Return what nothing tested, as a sentence; if nothing is left, that SQL Server itself tested it."""
    return f"Not tested from here: {what}." if what else f"SQL Server itself tested what no probe can: {NOT_TESTED}."


def _failed(failure: StepResult) -> str:
    number = "" if failure.code is None else f" with {both_numbers(failure.code)}"
    return f"step {failure.step.value} failed{number}"


def brief_name(name: str) -> str:
    """Return a vault, a key or another name without the domain of Azure and without the key version.

    An example is `contoso-prod/Key0` for `contoso-prod.vault.azure.net/Key0/0123`.
    """
    host, _, key = name.partition("/")
    if not _AZURE.search(host):
        return name
    short = host.partition(".")[0]
    return f"{short}/{key.partition('/')[0]}" if key else short


def when(at: float | None, now: float, *, absent: str = "never") -> Html:
    """Return a past Unix time as an age, with the exact time in the tooltip."""
    return element("span", absent) if at is None else _time(at, ago(max(0.0, now - at)))


def expires_in(ending: Ending, now: float) -> Html:
    """Return when something expires as a span, with the exact time in the tooltip; for a backup its age."""
    if ending.kind is EndingKind.BACKUP:
        made = ending.at - BACKUP_AGE
        return _time(made, f"{span(max(0.0, now - made))} old")
    left, shown = ending.at > now, span(abs(ending.at - now))
    past = f"refused for {shown}" if ending.source == Source.ENTRA else f"expired {shown} ago"
    return _time(ending.at, f"in {shown}" if left else past)


def exact_time(at: float) -> Html:
    """Return a Unix time in UTC. The live script adds the reader's local time after it."""
    exact = moment(at)
    return element("time", f"{exact[:10]} {exact[11:19]} UTC", datetime=exact, title=exact, class_="exact")


def _time(at: float, words: str) -> Html:
    exact = moment(at)
    return element("time", words, datetime=exact, title=exact)


def ago(seconds: float | None) -> str:
    """Return an age such as `12 s ago`, or `never` for None."""
    if seconds is None:
        return "never"
    return f"{span(seconds)} ago"


def span(seconds: float) -> str:
    """Return a duration such as `12 min`."""
    for least, unit in _SPANS:
        if seconds >= least:
            return f"{int(seconds // least)} {unit}"
    return f"{int(seconds)} s"
