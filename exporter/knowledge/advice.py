"""What to say of one failure of one target, with its own names: actions, cause, meaning and team.

Pages, alerts and the output of `probe` use it. Actions are those of the reason; a reason without any has those of its code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Final, NamedTuple

from exporter.core.names import is_private
from exporter.core.values import Step, Vantage
from exporter.knowledge.code_row import (
    ALTER,
    COMPARE_HOSTS,
    CRED_AND_STRING,
    DO_NOT_RESTART,
    FIND_OBJECT_ID,
    PROBE,
    SET_ONLINE,
    Category,
    Owner,
)
from exporter.knowledge.codes import BY_CODE
from exporter.knowledge.names import HSM_DOMAIN, Names, fill_names
from exporter.knowledge.reason_row import Link, Reply
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import StepResult
from exporter.knowledge.verdict import CREDENTIAL_REFUSED

# Actions for a credential that is refused or expires soon while another one, NEXT, is staged.

_SET = f"In the configuration, set `credential: NEXT`, remove `next_credential` and repeat the probe: {PROBE}."


def switch(names: Names) -> tuple[str, ...]:
    """Return the actions that make the staged credential the current one, after its round trip."""
    usable = f"The staged credential {names.staged} is usable."
    if not _is_of_sql_server(names):
        return usable, _SET
    return (
        f"{usable} Give its secret to SQL Server, on every replica: {ALTER}.",
        CRED_AND_STRING,
        _SET,
        DO_NOT_RESTART,
        SET_ONLINE,
    )


def prove_and_switch(names: Names) -> tuple[str, ...]:
    """Return the actions that test the staged credential and make it the current one."""
    test = f"The credential {names.staged} is staged. Test it first, on every SQL Server host: `ekm-exporter probe TARGET --credential NEXT`."
    if not _is_of_sql_server(names):
        return test, _SET
    return test, f"If it passes, give its secret to SQL Server, on every replica: {ALTER}.", CRED_AND_STRING, _SET


def _is_of_sql_server(names: Names) -> bool:
    """Return whether SQL Server has this secret. With another kind of credential, SQL Server has a secret of its own."""
    return names.kind is None or names.kind.has_secret


LINE_LIMIT = 300  # characters of `action_line`


def actions(code: int, reason: Reason | None, *, ready: bool | None, names: Names, step: Step | None = None) -> tuple[str, ...]:
    """Return the actions in order, as texts with `code` spans.

    The result is empty only for a code without actions. With the verdict ready, what concerns closed databases is left out.
    `step` is the failed one. A known object id is not to be looked up, and a SQL Server host needs no probe of another one. Raises KeyError for an unknown code.
    """
    on_sql_host = names.vantage is Vantage.SQL_HOST
    spared = {DO_NOT_RESTART: ready, SET_ONLINE: ready, FIND_OBJECT_ID: names.object_id, COMPARE_HOSTS: on_sql_host}
    return tuple(fill_names(each, names) for each in _chosen(code, reason, step, names) if not spared.get(each))


def action_line(code: int, reason: Reason | None, names: Names, *, step: Step | None = None) -> str:
    """Return the first action as one line of at most 300 characters, without backticks; empty if there is none.

    It fits a label: what a server reported (object id, address, number of Entra ID) stays a capital word. If the line is
    too long, it ends before the word or command that does not fit, and a hint follows. Raises KeyError for an unknown code.
    """
    configured = replace(names, object_id=None, client_address=None, aadsts=None)
    text = fill_names(next(iter(_chosen(code, reason, step, names)), ""), configured)
    line = " ".join(text.replace("`", "").split())
    return line if len(line) <= LINE_LIMIT else _cut(text, f"... All of it: ekm-exporter explain {reason or code}")


def _cut(text: str, hint: str) -> str:
    """Return the beginning of a text and the hint. A cut command would do something else, so it is left out whole."""
    kept = text[: LINE_LIMIT - len(hint)]
    kept = kept.rpartition("`")[0] if kept.count("`") % 2 else kept.rpartition(" ")[0]
    return " ".join(kept.replace("`", "").split()).rstrip(" :;,.") + hint


def _chosen(code: int, reason: Reason | None, step: Step | None, names: Names) -> tuple[str, ...]:
    return (reason is not None and reason_actions(reason, step, names)) or general_actions(code)


def first_action(code: int) -> str:
    """Return the first action that adds to a probe's outcome; empty if there is none. Raises KeyError for an unknown code."""
    return next(iter(general_actions(code)), "")


def general_actions(code: int) -> tuple[str, ...]:
    """Return the actions of a code, without a first one that only requests the probe just made.

    Raises KeyError for an unknown code.
    """
    general = BY_CODE[code].actions
    return general[1:] if len(general) > 1 and general[0].endswith(f": {PROBE}.") else general


def reason_actions(reason: Reason, step: Step | None, names: Names) -> tuple[str, ...]:
    """Return the actions of a reason, before names are filled in; empty if its codes have them."""
    if names.staged_usable and step is Step.TOKEN and reason in CREDENTIAL_REFUSED:
        return switch(names)
    row = reason.row
    if row.by_address is not None and (names.client_address or names.vantage is Vantage.SQL_HOST):
        if is_private(names.client_address or ""):
            return row.by_address.private
        return row.by_address.sql_host if names.vantage is Vantage.SQL_HOST else row.by_address.other_host
    of_kind = row.by_kind.get(names.kind) if names.kind is not None and step in (Step.TOKEN, None) else None
    at_sign_in = row.at_sign_in.actions if step is Step.TOKEN else ()
    on_hsm = row.on_hsm if HSM_DOMAIN in names.vault else ()
    return of_kind or at_sign_in or on_hsm or row.actions


# First actions for a code that a SQL Server logged itself: pages and alerts have the same words.


class ServerAction(NamedTuple):
    """What to do, without a full stop, with the name of its script; and, for pages alone, how, and then, while databases are open."""

    what: str
    how: str = ""
    then: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.how}" if self.how else f"{self.what}."


_COMPARE: Final = ServerAction(
    "Compare identity and key with those of the probe (`verify.sql`)", "`ekm-exporter script verify.sql` has the queries."
)
# By the category of the code, with names to fill in. The codes of other categories have no action of their own.
SERVER_ACTIONS: Final[Mapping[Category, ServerAction]] = {
    Category.IDENTITY: ServerAction(
        "Write the present secret with `alter-credential.sql`",
        "`ekm-exporter script alter-credential.sql` prints it. On {server}, run it and the statements that it writes.",
        "Then repeat a log backup.",
    ),
    Category.NETWORK: ServerAction("Test the network path from {server} to the vault, with the proxy of its service account"),
    Category.PERMISSION: _COMPARE,
    Category.MISSING: _COMPARE,
    Category.HOST: ServerAction(
        "Run `ekm-exporter doctor {target}` on the host of {server}",
        "it tests the registry rights of SQL Server's service account and the DLL.",
    ),
    Category.THROTTLED: ServerAction("Repeat the log backups of {server} after ten minutes without 429"),
}

# The cause of a failed step as text, and its team.

# Only the operators of this host repair these.
_HOST_REASONS: Final = (Reason.CLOCK_SKEW, Reason.TOKEN_EXPIRED, Reason.IDENTITY_KEY_UNREADABLE)
# Another device responds, connects or rewrites the response.
_ROUTE_REASONS: Final = (
    Reason.CLIENT_ERROR,
    Reason.OUTDATED_TLS,
    Reason.METHOD_CHANGED,
    Reason.ANSWER_INCOMPLETE,
    Reason.ANSWER_MALFORMED,
)


def meaning(result: StepResult, of_code: str) -> str:
    """Return what happened: the meaning of the reason. `of_code`, that of the code, stands without a reason only.

    Many answers share a code, and a proxy or a gateway sends some of them.
    """
    return of_code if result.reason is None else result.reason.row.meaning_at(result.step)


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
