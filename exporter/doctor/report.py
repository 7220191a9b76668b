"""The results as text of 80 columns for a terminal, and as JSON data.

Commands are never wrapped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from exporter.config.settings import Target
from exporter.core.checks.model import CheckOutcome, CheckResult, FailureMoment
from exporter.core.checks.table import BY_NAME
from exporter.core.codes import both_numbers
from exporter.core.codes.shared import WATCH_THE_LOG
from exporter.explain.render import wrap

_OUTCOME, _TITLE, _LABEL = 8, 28, 12
_BELOW = " " * _OUTCOME
_COUNTED = (
    (CheckOutcome.FAIL, "failed"),
    (CheckOutcome.WARN, "warned"),
    (CheckOutcome.PASS, "passed"),
    (CheckOutcome.SKIPPED, "skipped"),
    (CheckOutcome.UNKNOWN, "not visible from this host"),
)
_ADVICE = (
    "Until this is fixed, do not restart or fail over SQL Server: its encrypted databases might not open. Backups may fail, log backups "
    f"too. {WATCH_THE_LOG}"
)
_STOPS_OPENING = (
    FailureMoment.SESSION,
    FailureMoment.KEY,
    FailureMoment.UNWRAP,
)  # with a code: a failure without one does not stop SQL Server
# The effect of other failures with a code. Without one, the check has it.
_MOMENT_TEXTS: Mapping[FailureMoment, str] = MappingProxyType(
    {
        FailureMoment.WRAP: (
            "Encrypted databases still open. Until this is fixed, no other database can be encrypted, and no encryption key can be changed."
        ),
        FailureMoment.RESTORE: "Until this is fixed, backups that need that key version cannot be restored. A database in use needs it only for old parts of its log.",
        FailureMoment.SETUP: "This fails only when a credential or a key is created: SQL Server rejects such a key, so no database depends on it.",
    }
)


def is_ok(results: Sequence[CheckResult]) -> bool:
    """Return whether no check failed."""
    return all(result.outcome is not CheckOutcome.FAIL for result in results)


def as_data(target: Target, results: Sequence[CheckResult]) -> dict[str, Any]:
    """Return the document of `doctor --json`.

    Fields may be added; none may be removed.
    """
    return {
        "target": target.name,
        "vault": target.vault,
        "key": target.key,
        "credential": target.credential,
        "ok": is_ok(results),
        "checks": [
            {
                "check": result.check,
                "outcome": result.outcome.value,
                "code": result.code,
                "detail": result.detail,
                "fix": "\n".join(result.fix) or None,
                "title": BY_NAME[result.check].title,
            }
            for result in results
        ],
    }


def as_text(target: Target, results: Sequence[CheckResult]) -> str:
    """Return the whole list, with a final line break."""
    head = (("target", target.name), ("vault", target.vault), ("key", target.key), ("credential", target.credential))
    lines = [f"{label:<{_LABEL}}{value}" for label, value in head]
    for result in results:
        lines += _lines(result)
    return "\n".join([*lines[:4], "", *lines[4:], "", *_summary(results)]) + "\n"


def _lines(result: CheckResult) -> Iterator[str]:
    check = BY_NAME[result.check]
    yield wrap(
        result.detail,
        first=f"{result.outcome.value:<{_OUTCOME}}{check.title:<{_TITLE}}",
        rest=" " * (_OUTCOME + _TITLE),
    )
    if result.code is not None and result.outcome in (CheckOutcome.FAIL, CheckOutcome.WARN):
        when = "From that day on, " if (result.check, result.outcome) == ("credential_expiry", CheckOutcome.WARN) else ""
        yield wrap(f"{when}SQL Server would show {both_numbers(result.code)} {_moment(result)}.", first=_BELOW, rest=_BELOW)
    for line in result.fix:
        yield f"{_BELOW}{line}" if line.startswith("  ") else wrap(line, first=_BELOW, rest=_BELOW)


def _summary(results: Sequence[CheckResult]) -> Iterator[str]:
    numbers = [(sum(result.outcome is verdict for result in results), word) for verdict, word in _COUNTED]
    yield ", ".join(f"{number} {word}" for number, word in numbers if number) + "."
    failures = [result for result in results if result.outcome is CheckOutcome.FAIL]
    if not failures:
        yield wrap("Nothing visible from this host would stop SQL Server.")
        return
    own = {result.check: result.detail for result in failures if result.check in ("sql_closed", "sql_proof")}
    shown = next((result for result in failures if result.code is not None), None)
    if "sql_closed" in own:
        yield wrap(f"{own['sql_closed']}.")
    if shown is None or shown.code is None:
        if not own:  # SQL Server shows what it fails at
            yield "SQL Server would show no code for this."
    else:
        yield wrap(f"SQL Server would show {both_numbers(shown.code)} {_moment(shown)}.")
        yield f"More about it: ekm-exporter explain {shown.code}"
    for advice in _advice(failures):
        yield wrap(advice)


def _advice(failures: Sequence[CheckResult]) -> Iterable[str]:
    """Return the warning against a restart, or else the effect of each failure."""
    if any(one.code is not None and _moment(one) in _STOPS_OPENING for one in failures):
        return (_ADVICE,)
    effects = (_MOMENT_TEXTS.get(_moment(one)) if one.code is not None else BY_NAME[one.check].effect for one in failures)
    return dict.fromkeys(each for each in effects if each)


def _moment(result: CheckResult) -> FailureMoment:
    return result.moment or BY_NAME[result.check].moment
