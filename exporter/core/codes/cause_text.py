"""The cause of a failed step as text, and its team."""

from __future__ import annotations

from exporter.core.codes.model import Owner
from exporter.core.model import Step, StepResult
from exporter.core.reasons import Reason


def observed_cause(result: StepResult) -> str:
    """Return the cause that the probe observed, as a sentence; empty if its reason leaves the cause open."""
    if result.reason is None or result.reason.row.is_open:
        return ""
    text = cause(result.reason, result.step)
    return f"{text[0].upper()}{text[1:]}."


def open_detail(result: StepResult) -> str:
    """Return the masked detail of a failure without a specific reason; else empty."""
    is_open = result.reason is not None and result.reason.row.is_open
    return result.facts.detail if is_open and result.facts is not None else ""


def owner_of_failure(result: StepResult, owner: Owner) -> Owner:
    """Return the team for a failure, `owner` of its code unless a proxy sent its page."""
    page = result.facts is not None and result.facts.has_page and result.reason is Reason.ANSWER_NOT_JSON
    return Owner.NETWORK if page else owner


def cause(reason: Reason | None, step: Step) -> str:
    """Return the text of the reason why `step` failed."""
    return "the reason is not known" if reason is None else reason.row.text_at(step)
