"""`Advice`, what to say of one failure of one target. Pages, `probe`, `doctor`, tickets, labels and `explain` show parts of it.

Its texts are those of the reason; a reason without any has those of its code. Names are filled in, in `code` spans; no words change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final, NamedTuple

from exporter.core.names import is_private
from exporter.core.values import Step, Vantage
from exporter.knowledge.code_row import (
    CONFIRM,
    DO_NOT_RESTART,
    FIND_OBJECT_ID,
    FIND_REASON,
    IF_PROBE_SUCCEEDS,
    IF_SQL_SERVER_SHOWS_IT,
    NEW_SECRET,
    NOT_FOR_TONIGHT,
    NOT_IN_WAVES,
    PROBE,
    REPEAT,
    SAME_ADDRESS,
    SET_ONLINE,
    UNDO,
    WITHOUT_WRAP,
    WRITE_SECRET,
    Category,
    Owner,
    for_dba,
)
from exporter.knowledge.codes import BY_CODE
from exporter.knowledge.names import HSM_DOMAIN, Names, fill_names
from exporter.knowledge.reason_row import Link, Reply
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import StepResult
from exporter.knowledge.verdict import CREDENTIAL_REFUSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What happened, as one sentence; what it means for SQL Server, empty if nothing fails; who acts; and the actions in order.

    Texts have `code` spans. An action knows another reader than the owner, see `reader_of`.
    """

    happened: str
    means: str
    owner: Owner
    actions: tuple[str, ...]

    @property
    def then(self) -> str:
        """What makes a new secret, the first action, of use to SQL Server; empty after any other action."""
        is_new = bool(self.actions) and self.actions[0].startswith(NEW_SECRET.partition("`")[0])
        write = WRITE_SECRET[0]
        return f"Then {write[0].lower()}{write[1:]}" if is_new and write in self.actions else ""


def advise(failure: StepResult, names: Names, *, ready: bool | None, several: bool = False) -> Advice:
    """Return the advice for a failed step with a code.

    `ready` is the verdict, and `several` whether the same cause has several vaults, keys or credentials. Raises KeyError for an unknown code.
    """
    code = failure.code or 0
    row, wraps = BY_CODE[code], failure.step is Step.WRAP_KEY
    # A file that the exporter may not read may stop the exporter alone.
    effect = IF_SQL_SERVER_SHOWS_IT if failure.reason is Reason.IDENTITY_KEY_UNREADABLE else row.effect
    return Advice(
        happened=happened(failure),
        means=(f"{WITHOUT_WRAP} {NOT_FOR_TONIGHT}" if wraps else "") if ready else effect,
        owner=owner_of_failure(failure, row.owner),
        actions=actions(code, failure.reason, ready=ready, names=names, step=failure.step, several=several),
    )


def happened(failure: StepResult) -> str:
    """Return what happened at a failed step, as one sentence. Raises KeyError for an unknown code."""
    return BY_CODE[failure.code or 0].summary if failure.reason is None else failure.reason.row.meaning_at(failure.step)


# Actions for a credential that is refused or expires soon while another one, NEXT, is staged.

_SET = f"In the configuration, set `credential: NEXT`, remove `next_credential`, and test it: {PROBE}."


def switch(names: Names) -> tuple[str, ...]:
    """Return the actions that make the staged credential the current one, after its round trip."""
    usable, (write, what) = f"The staged credential {names.staged} is usable.", WRITE_SECRET
    is_of_sql_server = _is_of_sql_server(names)
    return (for_dba(f"{usable} {write}"), what, _SET, DO_NOT_RESTART, SET_ONLINE) if is_of_sql_server else (f"{usable} {_SET}",)


def prove_and_switch(names: Names) -> tuple[str, ...]:
    """Return the actions that test the staged credential and make it the current one."""
    test = f"The credential {names.staged} is staged. Test it first, on every SQL Server host: `ekm-exporter probe TARGET --credential NEXT`."
    return (test, *(WRITE_SECRET if _is_of_sql_server(names) else ()), _SET)


def _is_of_sql_server(names: Names) -> bool:
    """Return whether SQL Server has this secret. With another kind of credential, SQL Server has a secret of its own."""
    return names.kind is None or names.kind.has_secret


LINE_LIMIT = 300  # characters of `action_line`
# What a reader has who knows a reason or a code alone, such as that of `explain`.
NOBODY: Final = Names(target="", vault="", key="", version=None)


def actions(
    code: int, reason: Reason | None, *, ready: bool | None, names: Names, step: Step | None = None, several: bool = False
) -> tuple[str, ...]:
    """Return the actions in order, as texts with `code` spans.

    The result is empty only for a code without actions. With the verdict ready, what concerns closed databases is left out.
    `step` is the failed one. One change is the likely cause of `several` failures. Raises KeyError for an unknown code.
    """
    found = chosen(code, reason, names, step=step, ready=ready)
    seen = names.client_address or ""
    is_one_address = reason is Reason.FORBIDDEN_FIREWALL and seen and not is_private(seen)
    first = ((SAME_ADDRESS, UNDO) if is_one_address else (UNDO,)) if several and UNDO in found else ()
    return tuple(fill_names(each, names) for each in (*first, *(each for each in found if each not in first)))


def chosen(
    code: int | None, reason: Reason | None, names: Names = NOBODY, *, step: Step | None = None, ready: bool | None = None
) -> tuple[str, ...]:
    """Return the actions of a failure, before names are filled in. Those of a reason have the proof. Raises KeyError for an unknown code."""
    found = (reason is not None and reason_actions(reason, step, names)) or (() if code is None else BY_CODE[code].actions)
    is_proven = any(each.startswith(REPEAT) or each in (_SET, NOT_IN_WAVES) for each in found)
    if reason is not None and found and not is_proven:
        last = found.index(DO_NOT_RESTART) if DO_NOT_RESTART in found else len(found)
        found = (*found[:last], REPEAT, *found[last:])
    return kept(found, names, reason=reason, ready=ready)


def kept(texts: Iterable[str], names: Names, *, reason: Reason | None, ready: bool | None = None) -> tuple[str, ...]:
    """Return the actions without those that are done or have no object: a known id is not to be looked up.

    A SQL Server host needs no probe of another one, and the local roles of a Managed HSM are in no activity log.
    """
    spared = {
        **dict.fromkeys(CONFIRM, names.vantage is Vantage.SQL_HOST),
        DO_NOT_RESTART: ready,
        SET_ONLINE: ready,
        FIND_OBJECT_ID: names.object_id,
        FIND_REASON: reason,
        IF_PROBE_SUCCEEDS: reason,
        UNDO: HSM_DOMAIN in names.vault,
    }
    return tuple(each for each in texts if not spared.get(each))


# An action that says what a word of the step before it means, or what that step brings: no step of its own.
_NOTES: Final = (
    "OBJECT_ID is ",
    "That change invalidates ",
    "The response names ",
    "The secret there is ",
    "Trusted Azure services are ",
    "Without `/keys/",
)


def steps(actions: Iterable[str]) -> list[list[str]]:
    """Return the actions as steps, each with the notes about it."""
    found: list[list[str]] = []
    for each in actions:
        if found and each.startswith(_NOTES):
            found[-1].append(each)
        else:
            found.append([each])
    return found


def action_line(code: int, reason: Reason | None, names: Names, *, step: Step | None = None) -> str:
    """Return the first action as one line of at most 300 characters, without backticks; empty if there is none.

    It fits a label: what a server reported (object id, address, number of Entra ID) stays a capital word. If the line is
    too long, it ends before the word or command that does not fit, and a hint follows. Raises KeyError for an unknown code.
    """
    first = next(iter(chosen(code, reason, names, step=step)), "")
    text = fill_names(first, replace(names, object_id=None, client_address=None, aadsts=None))
    line = " ".join(text.replace("`", "").split())
    if len(line) <= LINE_LIMIT:
        return line
    hint = f"... All of it: ekm-exporter explain {reason or code}"
    cut = text[: LINE_LIMIT - len(hint)]
    # A cut command would do something else, so it is left out whole.
    cut = cut.rpartition("`")[0] if cut.count("`") % 2 else cut.rpartition(" ")[0]
    return " ".join(cut.replace("`", "").split()).rstrip(" :;,.") + hint


def reason_actions(reason: Reason, step: Step | None, names: Names) -> tuple[str, ...]:
    """Return the actions of a reason, before names are filled in; empty if its codes have them."""
    row, at_sign_in = reason.row, step is Step.TOKEN
    if names.staged_usable and at_sign_in and reason in CREDENTIAL_REFUSED:
        return switch(names)
    if row.if_private and is_private(names.client_address or ""):
        return row.if_private
    if row.if_page and names.has_page:
        return row.if_page
    return (
        (row.by_kind.get(names.kind, ()) if names.kind is not None and (at_sign_in or step is None) else ())
        or (row.at_sign_in.actions if at_sign_in else ())
        or (row.on_hsm if HSM_DOMAIN in names.vault else ())
        or row.actions
    )


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
        "Write the present secret with `ekm-exporter script alter-credential.sql`",
        "on {server}, run what it prints, and the statements that this writes. They alter SQL Server's own credential, that of the key's login in `sys.credentials`.",
        "Then repeat a log backup.",
    ),
    Category.NETWORK: ServerAction("Test the network path from {server} to the vault, with the proxy of its service account"),
    Category.PERMISSION: _COMPARE,
    Category.MISSING: _COMPARE,
    Category.HOST: ServerAction(
        "Run `ekm-exporter doctor {target}` on the host of {server}",
        "it tests the registry rights of SQL Server's service account and the DLL.",
    ),
    Category.THROTTLED: ServerAction(
        "Stop the caller that `callers.kql` shows, and repeat the log backups of {server} after ten minutes without 429"
    ),
}

# The cause of a failed step as text, and its team.

# Another device responds, connects or rewrites the response.
_ROUTE_REASONS: Final = (
    Reason.CLIENT_ERROR,
    Reason.OUTDATED_TLS,
    Reason.METHOD_CHANGED,
    Reason.ANSWER_INCOMPLETE,
    Reason.ANSWER_MALFORMED,
)


def open_detail(result: StepResult) -> str:
    """Return the masked detail of a failure without a specific reason; else empty."""
    is_open = result.reason is not None and result.reason.row.is_open
    return result.facts.detail if is_open and result.facts is not None else ""


def owner_of_reason(reason: Reason, step: Step) -> Owner | None:
    """Return the team for a reason; None if its code decides."""
    reply, link = reason.row.reply_at(step), reason.row.link_at(step)
    if reason in (Reason.CLOCK_SKEW, Reason.TOKEN_EXPIRED, Reason.IDENTITY_KEY_UNREADABLE) or reply is Reply.NOT_TESTED:
        return Owner.EXPORTER
    return Owner.NETWORK if reply is Reply.NONE or link is Link.PROXY or reason in _ROUTE_REASONS else None


def owner_of_failure(result: StepResult, owner: Owner) -> Owner:
    """Return the team for a failure: `owner` of its code, unless its reason shows another one.

    A code stands for a status, which a proxy or Entra ID sends as well as the vault.
    """
    facts, reason = result.facts, result.reason
    if reason is None:
        return owner
    if (own := owner_of_reason(reason, result.step)) is not None:
        return own
    if is_page_of_device(result):
        return Owner.NETWORK
    if facts is None or facts.status is None or facts.status < HTTPStatus.BAD_REQUEST:
        return owner
    return Owner.IDENTITY if result.step is Step.TOKEN else Owner.VAULT if owner is Owner.DBA else owner


def is_page_of_device(result: StepResult) -> bool:
    """Whether a page, a text or other JSON came in place of the service's response, or with an error as a gateway sends it."""
    of_gateway = result.reason in (Reason.ANSWER_NOT_JSON, Reason.SERVER_ERROR, Reason.ENTRA_UNAVAILABLE)
    return result.facts is not None and result.facts.has_page and of_gateway


def cause(reason: Reason | None, step: Step) -> str:
    """Return the text of the reason why `step` failed."""
    return "the reason is not known" if reason is None else reason.row.text_at(step)
