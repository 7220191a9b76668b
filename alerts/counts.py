"""The recording rule of the error budget, which repeats for each pair of windows of `alerts.slo`."""

from __future__ import annotations

from collections.abc import Iterable
from string import Template
from typing import Final

_T: Final = "job, instance, target, vault"
_BAD: Final = '(increase(ekm_probe_verdicts_total{verdict="not_ready"}[$window]))'
_SHARE: Final = Template(f"sum by ({_T}) {_BAD} / sum by ({_T}) (increase(ekm_probe_verdicts_total[$window]))")
_BURNS: Final = Template(f"""\
      - record: target:ekm_error_budget_burns:ratio
        expr: |-
          $share > $ratio
          and $recent > $ratio
          and max by ({_T}) {_BAD} > $failures
          unless on (job, instance, target) last_over_time(target:ekm_incident:held[$window])
        labels: {{window: $window}}""")


def share(window: str) -> str:
    """Return the share of verdicts "not ready" of each target within a window. A series that is there twice changes no share."""
    return _SHARE.substitute(window=window)


def burns(pairs: Iterable[tuple[str, str, str, str]]) -> str:
    """Return a rule for each long window, short window, share and least number of failures."""
    return "\n".join(
        _BURNS.substitute(window=long, share=share(long), recent=share(short), ratio=ratio, failures=failures)
        for long, short, ratio, failures in pairs
    )
