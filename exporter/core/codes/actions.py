"""Actions for one failure of one target: by reason, with the target's own names.

Pages and the output of `probe` use it. A reason without a row gets the actions of its code.
"""

from __future__ import annotations

from dataclasses import replace

from exporter.core.addresses import is_private
from exporter.core.auxiliary import CREDENTIAL_REFUSED
from exporter.core.codes import BY_CODE
from exporter.core.codes.action_texts import COMPARE_HOSTS, FIND_OBJECT_ID, PROBE
from exporter.core.codes.names import HSM_DOMAIN, Names, fill_names
from exporter.core.codes.shared import DO_NOT_RESTART, SET_ONLINE
from exporter.core.codes.staged_actions import switch
from exporter.core.model import Step, Vantage
from exporter.core.reasons import Reason
from exporter.core.reasons.row import ByAddress

_ONLY_PROBE = f": {PROBE}."  # the end of an action that only requests the probe just made
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
    """Return the first action that adds to a probe's outcome; empty if there is none.

    Raises KeyError for an unknown code.
    """
    return next(iter(general_actions(code)), "")


def general_actions(code: int) -> tuple[str, ...]:
    """Return the actions of a code, without a first one that only requests the probe just made.

    Raises KeyError for an unknown code.
    """
    general = BY_CODE[code].actions
    return general[1:] if len(general) > 1 and general[0].endswith(_ONLY_PROBE) else general


def reason_actions(reason: Reason, step: Step | None, names: Names) -> tuple[str, ...]:
    """Return the actions of a reason, before names are filled in; empty if its codes have them."""
    if names.staged_usable and step is Step.TOKEN and reason in CREDENTIAL_REFUSED:
        return switch(names)
    row = reason.row
    if row.by_address is not None and (names.client_address or names.vantage is Vantage.SQL_HOST):
        return _address_actions(row.by_address, names.client_address or "", names.vantage)
    of_kind = row.by_kind.get(names.kind) if names.kind is not None and step in (Step.TOKEN, None) else None
    at_sign_in = row.at_sign_in.actions if step is Step.TOKEN else ()
    on_hsm = row.on_hsm if HSM_DOMAIN in names.vault else ()
    return of_kind or at_sign_in or on_hsm or row.actions


def _address_actions(actions: ByAddress, address: str, vantage: Vantage) -> tuple[str, ...]:
    if is_private(address):
        return actions.private
    return actions.sql_host if vantage is Vantage.SQL_HOST else actions.other_host
