"""How a page says what a value means.

For: verdicts, ages and outcomes in words, and the colour class that goes with them; never a colour alone.
Not for: what codes mean (see `catalogue`), layout.
"""

from __future__ import annotations

from exporter.core.catalogue import both_numbers
from exporter.core.model import Outcome, StepResult, Vantage
from exporter.core.verdict import NOT_TESTED, WHY
from exporter.web.markup import Html, element
from exporter.web.views import Urgency, View

_BADGES = {
    Urgency.NOT_READY: ("not ready", "bad"),
    Urgency.FAILING: ("failing", "unsure"),
    Urgency.UNKNOWN: ("unknown", "unsure"),
    Urgency.READY: ("ready", "good"),
}
_OUTCOMES = {Outcome.OK: "good", Outcome.FAILED: "bad", Outcome.SKIPPED: "quiet"}
_SPANS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))


def badge(urgency: Urgency, *, count: int | None = None) -> Html:
    words, colour = _BADGES[urgency]
    return element("span", words if count is None else f"{count} {words}", class_=f"state {colour}")


def outcome(result: StepResult) -> Html:
    return element("span", result.outcome.value, class_=f"state {_OUTCOMES[result.outcome]}")


def verdict(view: View, vantage: Vantage) -> str:
    """The verdict as one sentence part, with where it was seen from; a refusal names what failed, an unknown says why."""
    seen = "seen from the SQL host" if vantage is Vantage.SQL_HOST else "seen from a central host"
    failure = view.failure
    if view.readiness.ready:
        wrap = f", although {_failed(failure)}" if failure is not None else ""
        return f"vault side ready, {seen}{wrap}"
    if view.readiness.ready is False:
        because = _failed(view.blocking) if view.blocking is not None else WHY[view.readiness.why]
        return f"vault side not ready, {seen}, because {because}"
    return f"vault side unknown, {seen}: {WHY.get(view.readiness.why, view.readiness.why)}"


def not_tested() -> str:
    return f"Not tested from here: {NOT_TESTED}."


def _failed(failure: StepResult) -> str:
    number = "" if failure.code is None else f" with {both_numbers(failure.code)}"
    return f"step {failure.step.value} failed{number}"


def ago(seconds: float | None) -> str:
    """`12 s ago`, `3 min ago`; `never` for None."""
    if seconds is None:
        return "never"
    for span, unit in _SPANS:
        if seconds >= span:
            return f"{int(seconds // span)} {unit} ago"
    return f"{int(seconds)} s ago"
