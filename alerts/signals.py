"""Intermittent failures: how each kind is counted, and the recording rules that follow from the counts.

The group `ekm-intermittent` of `ekm.rules.template.yml` gets its rules from this table.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from string import Template
from textwrap import indent
from typing import Final

_TARGET: Final = "job, instance, target, vault"
THROTTLED: Final = "3011|3109"
FORBIDDEN: Final = "3077|3113"


def _at_the_vault(codes: str) -> str:
    """Count probes with one of these codes. Wrap and unwrap of one probe count once; a missing step is no error."""
    errors = f'increase(ekm_errors_total{{step=~"get_key|wrap_key|unwrap_key",code=~"{codes}"}}[$window])'
    return f'sum by ({_TARGET}) (max by ({_TARGET}, part) (label_replace({errors}, "part", "trip", "step", "(un)?wrap_key")))'


def _at_sign_in(codes: str) -> str:
    return f'max by ({_TARGET}) (increase(ekm_errors_total{{step="token",code=~"{codes}"}}[$window]))'


def _at_step(step: str) -> str:
    """Count probes that failed at this step, with any code."""
    return f'sum by ({_TARGET}) (max by ({_TARGET}, code) (increase(ekm_errors_total{{step="{step}"}}[$window])))'


def _born_late(codes: str) -> str:
    """Count with counters that first appear above 0: one that was absent before the window counts from 0."""
    errors = f'ekm_errors_total{{step="token",code=~"{codes}"}}'
    absent = f"{errors} unless on ({_TARGET}, step, code) {errors} offset $window"
    return f"max by ({_TARGET}) (({absent}) or increase({errors}[$window]))"


_PROBES: Final = f"max by ({_TARGET}) (increase(ekm_probes_total[$window]))"
_FAILED: Final = f"max by ({_TARGET}) (increase(ekm_probe_failures_total[$window]))"

# By name, PromQL for the failed probes of a window.
SIGNALS: Final[Mapping[str, str]] = {
    "throttled": _at_the_vault(THROTTLED),
    "forbidden": _at_the_vault(FORBIDDEN),
    "turned_away": _born_late(f"{THROTTLED}|{FORBIDDEN}"),
    "refused": _at_sign_in("3303"),
    "not_ready": f'max by ({_TARGET}) (increase(ekm_probe_verdicts_total{{verdict="not_ready"}}[$window]))',
    # Without the probes in which wrap alone failed: databases open by unwrapping.
    "blocked": (
        f"{_FAILED}\n"
        f"- on ({_TARGET}) clamp_min({_at_step('wrap_key')} - on ({_TARGET}) {_at_step('unwrap_key')}, 0)\n"
        f"or on ({_TARGET})\n"
        f"{_FAILED}"
    ),
}
# Excluded because a more specific rule covers them.
_EXCEPT: Final[Mapping[str, str]] = {
    "forbidden": """
unless on (job, instance, target) last_over_time(ekm_last_failure_info{step="wrap_key",reason=~"@{KEY_STATE}"}[@{LONG}])
unless on (job, instance, target) last_over_time(target:ekm_refused_only_centrally:bool[@{LONG}])""",
    "not_ready": """
unless on (job, instance, target) last_over_time(target:ekm_refused_only_centrally:bool[@{LONG}])""",
}
# Enough failures within $window, one of them within $recent. An outage within $window has left failures behind: then $recent alone must
# have enough, so that one random failure after the outage causes no page.
_ENOUGH: Final = """\
target:ekm_{name}_probes:increase@{$window} > @{$least}
and on ({target}) target:ekm_{name}_probes:increase@{$window} / on ({target}) target:ekm_probes:increase@{$window} > @{SPIKE_RATIO}
and on ({target}) (
  (
    target:ekm_{name}_probes:increase@{$recent} > @{AGAIN_FAILURES}
    and on ({target}) target:ekm_{name}_probes:increase@{$recent} / on ({target}) target:ekm_probes:increase@{$recent} > @{SPIKE_RATIO}
  )
  or on ({target})
  (
    target:ekm_{name}_probes:increase@{$recent} > 0
    unless on (job, instance, target) last_over_time(target:ekm_outage:bool[@{$window}])
  )
)"""
_RARELY: Final = """
and on (job, instance, target) ekm_probe_interval_seconds > @{RARELY}
unless on (job, instance, target) last_over_time(target:ekm_outage:bool[@{LONG}])"""
_NEITHER: Final = """
unless on (job, instance, target) last_over_time(target:ekm_run:bool[@{RECENT}])
unless on (job, instance, target) last_over_time(target:ekm_common_cause:bool[@{HOLD_COMMON}])
unless on (job, instance, target) last_over_time(target:ekm_maintenance:bool[@{LONG}])"""


def _arm(window: str, least: str, recent: str, more: str = "") -> str:
    """Return the condition of one window, in parentheses."""
    words = {"$window": window, "$least": least, "$recent": recent}
    query = _ENOUGH + more
    for word, value in words.items():
        query = query.replace(word, value)
    return f"(\n{indent(query, '  ')}\n)"


_ARMS: Final = _arm("LONG", "SPIKE_FAILURES", "RECENT"), _arm("RARE", "RARE_FAILURES", "LONG", _RARELY)
_EITHER: Final = indent("\n".join((_ARMS[0], "or on ({target})", _ARMS[1])), "  ")
_INTERMITTENT: Final = f"(\n{_EITHER}\n){_NEITHER}"


def counts() -> str:
    """Return the rules that count the failed probes of an hour and of the last minutes, by kind."""
    return "\n".join(_counts("LONG", "RECENT"))


def rare_counts() -> str:
    """Return the rules that count the failed probes of several hours, by kind."""
    return "\n".join(_counts("RARE"))


def intermittents() -> str:
    """Return the rules for targets that fail intermittently, by kind."""
    return "\n".join(_rule(f"target:ekm_{name}_probes:intermittent", _intermittent(name)) for name in SIGNALS)


def _counts(*windows: str) -> Iterator[str]:
    for window in windows:
        yield _rule(f"target:ekm_probes:increase@{{{window}}}", _in_window(_PROBES, window))
        for name, query in SIGNALS.items():
            yield _rule(f"target:ekm_{name}_probes:increase@{{{window}}}", _in_window(query, window))


def _in_window(query: str, window: str) -> str:
    return Template(query).substitute(window=f"@{{{window}}}")


def _intermittent(name: str) -> str:
    return _INTERMITTENT.replace("{name}", name).replace("{target}", _TARGET) + _EXCEPT.get(name, "")


def service_level(windows: Iterable[str]) -> str:
    """Return the share of probes with the verdict not ready, for each window of the burn rates."""
    return "\n".join(rule for window in windows for rule in _ratio(window))


def _ratio(window: str) -> Iterator[str]:
    ready, not_ready = (
        f'max by ({_TARGET}) (increase(ekm_probe_verdicts_total{{verdict="{verdict}"}}[{window}]))'
        for verdict in ("ready", "not_ready")
    )
    count = f"target:ekm_not_ready_verdicts:increase{window}"
    yield _rule(count, not_ready)
    yield _rule(f"target:ekm_not_ready_probes:ratio{window}", f"{count} / on ({_TARGET}) ({count} + on ({_TARGET}) {ready})")


def advice(actions: Mapping[str, str]) -> str:
    """Return one static series for each reason, with its first action as a label."""
    return "\n".join(
        indent(
            f"- record: reason:ekm_first_action:info\n  expr: vector(1)\n  labels: {{reason: {reason}, action: {json.dumps(text).replace('@', '@@')}}}",
            "      ",
        )
        for reason, text in actions.items()
    )


def _quoted(text: str) -> str:
    """Return a text in double quotes, with each @ doubled for the template."""
    return json.dumps(text).replace("@", "@@")


def _rule(name: str, expr: str) -> str:
    if "\n" in expr:
        return indent(f"- record: {name}\n  expr: |-\n{indent(expr, '    ')}", "      ")
    return indent(f"- record: {name}\n  expr: {expr}", "      ")
