"""The results as text for a terminal and as JSON data.

For: lines of 80 columns, one for each check, with what to do below those that did not pass; commands are never broken.
Not for: deciding anything, printing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from exporter.config.model import Target
from exporter.core.catalogue import both_numbers
from exporter.core.catalogue.render import WIDTH, wrap
from exporter.core.doctor.model import CheckResult, Moment, Verdict
from exporter.core.doctor.table import BY_NAME

_OUTCOME, _TITLE = 8, 28
_BELOW = " " * _OUTCOME
_COUNTED = (
    (Verdict.FAIL, "failed"),
    (Verdict.WARN, "warned"),
    (Verdict.PASS, "passed"),
    (Verdict.SKIPPED, "skipped"),
    (Verdict.UNKNOWN, "not to be seen from here"),
)
_ADVICE = "Until this is mended, do not restart or fail over SQL Server: its encrypted databases might not open."
_ADVICE_FOR_WRAP = "Databases that are encrypted still open. Until this is mended, none can be encrypted anew, nor its encryption key be changed."


def is_ok(results: Sequence[CheckResult]) -> bool:
    """Whether no check failed."""
    return all(result.outcome is not Verdict.FAIL for result in results)


def as_data(target: Target, results: Sequence[CheckResult]) -> dict[str, Any]:
    """The shape of `doctor --json`. Fields may be added; none may go."""
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
    """The whole list, ending with a line break."""
    head = (("target", target.name), ("vault", target.vault), ("key", target.key), ("as", target.credential))
    lines = [f"{label:<{_OUTCOME}}{value}" for label, value in head]
    for result in results:
        lines += _lines(result)
    return "\n".join([*lines[:4], "", *lines[4:], "", *_summary(results)]) + "\n"


def _lines(result: CheckResult) -> Iterator[str]:
    check = BY_NAME[result.check]
    yield wrap(
        result.detail,
        WIDTH,
        first=f"{result.outcome.value:<{_OUTCOME}}{check.title:<{_TITLE}}",
        rest=" " * (_OUTCOME + _TITLE),
    )
    if result.code is not None and result.outcome in (Verdict.FAIL, Verdict.WARN):
        yield wrap(f"SQL Server would show {both_numbers(result.code)} {_moment(result)}.", WIDTH, first=_BELOW, rest=_BELOW)
    for line in result.fix:
        yield f"{_BELOW}{line}" if line.startswith("  ") else wrap(line, WIDTH, first=_BELOW, rest=_BELOW)


def _summary(results: Sequence[CheckResult]) -> Iterator[str]:
    numbers = [(sum(result.outcome is verdict for result in results), word) for verdict, word in _COUNTED]
    yield ", ".join(f"{number} {word}" for number, word in numbers if number) + "."
    failures = [result for result in results if result.outcome is Verdict.FAIL]
    if not failures:
        yield wrap("Nothing that can be seen from here would stop SQL Server.", WIDTH)
        return
    shown = next((result for result in failures if result.code is not None), None)
    if shown is None or shown.code is None:
        yield "SQL Server would show no code for this."
    else:
        yield wrap(f"SQL Server would show {both_numbers(shown.code)} {_moment(shown)}.", WIDTH)
        yield f"More about it: ekm-exporter explain {shown.code}"
    yield wrap(_ADVICE_FOR_WRAP if all(_moment(one) is Moment.WRAP for one in failures) else _ADVICE, WIDTH)


def _moment(result: CheckResult) -> Moment:
    return result.moment or BY_NAME[result.check].moment
