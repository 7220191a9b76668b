"""The check that reports a failed step of the round trip.

Exactly one check reports it, so each cause appears once.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from exporter.core.model import Step
from exporter.core.reasons import Reason

# The check of a step: it reports a reason that no check of its own shows at this step.
STEP_CHECKS: Mapping[Step, str] = MappingProxyType(
    {
        Step.CHALLENGE: "challenge",
        Step.TOKEN: "token",
        Step.GET_KEY: "vault_answers",
        Step.WRAP_KEY: "vault_answers",
        Step.UNWRAP_KEY: "vault_answers",
    }
)


def owner_of(step: Step, reason: Reason | None) -> str:
    """Return the name of the check that reports this failure."""
    shown = None if reason is None else reason.row.shown_by
    if shown is None or step not in shown.steps:
        return STEP_CHECKS[step]
    return shown.check.format(host="entra" if step is Step.TOKEN else "vault", operation=step.value.removesuffix("_key"))
