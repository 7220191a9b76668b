"""Recording rules that repeat for several windows: failed probes of intermittent failures, and the service level."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from string import Template
from textwrap import indent
from typing import Final

_T: Final = "job, instance, target, vault"
_PROBES: Final = f"max by ({_T}) (increase(ekm_probes_total[$window]))"
_FAILURES: Final = f"max by ({_T}) (increase(ekm_probe_failures_total[$window]))"
_VERDICTS: Final = f'max by ({_T}) (increase(ekm_probe_verdicts_total{{verdict="$verdict"}}[$window]))'
_ERRORS: Final = f'sum by ({_T}) (max by ({_T}, code) (increase(ekm_errors_total{{step="$step"}}[$window])))'
_WRAP, _UNWRAP = (Template(_ERRORS).safe_substitute(step=step) for step in ("wrap_key", "unwrap_key"))
_FAILED: Final = f"""\
{_FAILURES}
- on ({_T}) clamp_min({_WRAP} - on ({_T}) {_UNWRAP}, 0)
or on ({_T})
{_FAILURES}"""
# Enough failures within $window, one of them within $recent.
_ENOUGH: Final = f"""\
(
  target:ekm_failed_probes:increase$window > $least
  and on ({_T}) target:ekm_failed_probes:increase$window / on ({_T}) target:ekm_probes:increase$window > @{{SPIKE_RATIO}}
  and on ({_T}) (
    target:ekm_failed_probes:increase$recent > 0
    unless on (job, instance, target) last_over_time(target:ekm_outage:bool[$window])
    or on ({_T})
    (
      target:ekm_failed_probes:increase$recent > @{{AGAIN_FAILURES}}
      and on ({_T}) target:ekm_failed_probes:increase$recent / on ({_T}) target:ekm_probes:increase$recent > @{{SPIKE_RATIO}}
    )
  )
  $more
)"""
_RARE: Final = """\
and on (job, instance, target) ekm_probe_interval_seconds > @{RARELY}
  unless on (job, instance, target) last_over_time(target:ekm_outage:bool[@{LONG}])"""


def counts(*windows: str) -> str:
    """Return the rules that count all probes and failed probes within each window."""
    return "\n".join(
        _rule(f"target:ekm_{name}:increase{window}", Template(query).safe_substitute(window=window))
        for window in windows
        for name, query in (("probes", _PROBES), ("failed_probes", _FAILED))
    )


def often() -> str:
    """Return the condition for failures within an hour."""
    return _enough("@{LONG}", "@{SPIKE_FAILURES}", "@{RECENT}", "")


def rarely() -> str:
    """Return the condition for failures of targets that are probed rarely."""
    return _enough("@{RARE}", "@{RARE_FAILURES}", "@{LONG}", _RARE)


def _enough(window: str, least: str, recent: str, more: str) -> str:
    text = Template(_ENOUGH).safe_substitute(window=window, least=least, recent=recent, more=more)
    return indent("\n".join(line for line in text.splitlines() if line.strip()), 12 * " ")


def service_level(windows: Iterable[str], counted: Collection[str]) -> str:
    """Return the share of probes with the verdict not ready, by window, and the number of these probes for `counted` windows."""
    return "\n".join(rule for window in windows for rule in _level(window, counted=window in counted))


def _level(window: str, *, counted: bool) -> Iterable[str]:
    ready, not_ready = (Template(_VERDICTS).substitute(verdict=verdict, window=window) for verdict in ("ready", "not_ready"))
    if counted:
        yield _rule(name := f"target:ekm_not_ready_verdicts:increase{window}", not_ready)
        not_ready = name
    yield _rule(f"target:ekm_not_ready_probes:ratio{window}", f"{not_ready}\n/ on ({_T}) ({not_ready} + on ({_T}) {ready})")


def _rule(name: str, expr: str) -> str:
    return indent(f"- record: {name}\n  expr: |-\n{indent(expr, '    ')}", 6 * " ")
