"""The cause of a failed step as text, and its team."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from exporter.core.causes import Link
from exporter.core.codes.model import Owner
from exporter.core.model import Step, StepResult
from exporter.core.reasons import Reason
from exporter.core.reasons.row import Reply

_HOST_REASONS: Final = (
    Reason.CLOCK_SKEW,
    Reason.TOKEN_EXPIRED,
    Reason.IDENTITY_KEY_UNREADABLE,
)  # only its own operators repair it
BY_PROXY: Final = {Reason.PROXY_AUTH: "requires a login", Reason.PROXY_STATUS: "refused the connection"}  # what it did
# Another device responds, connects or rewrites the response.
_ROUTE_REASONS: Final = (Reason.CLIENT_ERROR, Reason.OUTDATED_TLS, Reason.ANSWER_INCOMPLETE, Reason.ANSWER_MALFORMED)


def observed_cause(result: StepResult) -> str:
    """Return the cause that the probe observed, as a sentence; empty if its reason leaves the cause open."""
    if result.reason is None or result.reason.row.is_open:
        return ""
    return sentence(cause(result.reason, result.step))


def meaning(result: StepResult, of_code: str) -> str:
    """Return what a failure means: `of_code`, the meaning of its code, unless a proxy responded."""
    reason, facts = result.reason, result.facts
    if reason not in BY_PROXY:
        return of_code
    status = f" ({facts.status})" if facts is not None and facts.status is not None else ""
    return f"The proxy {BY_PROXY[reason]}{status}; no request reached {'Entra ID' if result.step is Step.TOKEN else 'the vault'}."


def sentence(text: str) -> str:
    """Return a text as a sentence: with a capital and a full stop."""
    return f"{text[0].upper()}{text[1:]}."


def open_detail(result: StepResult) -> str:
    """Return the masked detail of a failure without a specific reason; else empty."""
    is_open = result.reason is not None and result.reason.row.is_open
    return result.facts.detail if is_open and result.facts is not None else ""


def owner_of_failure(result: StepResult, owner: Owner) -> Owner:
    """Return the team for a failure: `owner` of its code, unless its reason shows another one.

    A code stands for a status, which a proxy or Entra ID sends as well as the vault.
    """
    facts, reason = result.facts, result.reason
    page = facts is not None and facts.has_page and reason is Reason.ANSWER_NOT_JSON
    if reason is None or page:
        return Owner.NETWORK if page else owner
    reply, link = reason.row.reply_at(result.step), reason.row.link_at(result.step)
    if reason in _HOST_REASONS or reply is Reply.NOT_TESTED:
        return Owner.EXPORTER
    if reply is Reply.NONE or link is Link.PROXY or reason in _ROUTE_REASONS:
        return Owner.NETWORK
    if facts is None or facts.status is None or facts.status < HTTPStatus.BAD_REQUEST:
        return owner
    return Owner.IDENTITY if result.step is Step.TOKEN else Owner.VAULT if owner is Owner.DBA else owner


def cause(reason: Reason | None, step: Step) -> str:
    """Return the text of the reason why `step` failed."""
    return "the reason is not known" if reason is None else reason.row.text_at(step)
