"""The fix of a check that did not pass: actions of the reason, of the check's row or of the code, as lines.

These are the texts of the pages and of `probe`. A line that starts with two blanks is a command.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from exporter.core.checks.model import Actions, Check, CheckOutcome
from exporter.core.codes.action_texts import FIND_OBJECT_ID, PROBE, REPEAT
from exporter.core.codes.actions import general_actions, reason_actions
from exporter.core.codes.names import HSM_DOMAIN, Names, fill_names
from exporter.core.codes.shared import DO_NOT_RESTART, SET_ONLINE
from exporter.core.codes.staged_actions import prove_and_switch
from exporter.core.model import CredentialKind, Step
from exporter.core.reasons import Reason, refusing
from exporter.core.reasons.row import Refused

_COMMAND = re.compile(r": `([^`]+)`\.(?: (?=[A-Z])|$)")
_EXPIRED = refusing(Refused.EXPIRED_CREDENTIAL)


def check_actions(
    check: Check,
    outcome: CheckOutcome,
    names: Names,
    *,
    code: int | None = None,
    reason: Reason | None = None,
    step: Step | None = None,
) -> Actions:
    """Return the actions, before names are filled in; empty if there are none.

    `code`, `reason` and `step` are those of the failure. A reason is an expiry also if the day is only near.
    """
    if outcome is CheckOutcome.UNKNOWN:
        return _row_actions(check, names) if check.on_host or check.if_unknown else ()
    if outcome is CheckOutcome.WARN and reason in _EXPIRED and names.staged is not None:
        return prove_and_switch(names)
    of_reason = () if reason is None else reason_actions(reason, step, names)
    return of_reason or _row_actions(check, names) or (() if code is None else general_actions(code))


def _row_actions(check: Check, names: Names) -> Actions:
    of_certificate = check.of_certificate if names.kind is CredentialKind.CLIENT_CERTIFICATE else ()
    return of_certificate or (check.on_hsm if HSM_DOMAIN in names.vault else ()) or check.actions


def action_lines(texts: Iterable[str], names: Names, *, ready: bool = False) -> tuple[str, ...]:
    """Return actions as lines with names filled in, each command on lines of its own.

    `again` of the names replaces the probe. The report warns of a restart, so the actions do not. If SQL Server is `ready`, no
    database is to be set online.
    """
    spared = {DO_NOT_RESTART: True, REPEAT: True, SET_ONLINE: ready, FIND_OBJECT_ID: names.object_id}
    return tuple(line for text in texts if not spared.get(text) for line in _lines(text, names))


def _lines(text: str, names: Names) -> list[str]:
    of_the_check = text.replace(f"from {PROBE}", "below").replace("repeat the probe", "repeat this check")
    text = fill_names(of_the_check, names)
    return _COMMAND.sub(lambda found: ":\n  " + found[1].replace("\n", "\n  ") + "\n", text).strip("\n").split("\n")
