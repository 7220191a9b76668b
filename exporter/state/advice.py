"""What to do about a failure of a target: the advice of its reason with the target's own names."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.config.model import Target
from exporter.core.auxiliary import CREDENTIAL_REFUSED, AuxiliaryKind
from exporter.core.codes.actions import Names, action_line, actions, filled, one_line
from exporter.core.codes.advice_texts import ALTER, CRED_AND_STRING
from exporter.core.codes.shared import DO_NOT_RESTART, SET_ONLINE
from exporter.core.model import ProbeReport, Step, StepResult
from exporter.core.readiness import deciding_failure
from exporter.core.steadiness import Unsteady
from exporter.state.records import TargetRecord

# If the current credential is refused and the staged one is proven. NEXT is the name of the staged credential.
_SWITCH = (
    f"The staged credential NEXT is usable. Give its secret to SQL Server, on every replica: {ALTER}.",
    CRED_AND_STRING,
    "In the configuration, set `credential: NEXT`, remove `next_credential` and repeat the probe: `ekm-exporter probe TARGET`.",
    DO_NOT_RESTART,
    SET_ONLINE,
)
# The same for a credential that is no secret: SQL Server has a secret of its own.
_SWITCH_HERE = ("The staged credential NEXT is usable.", _SWITCH[2])


def recommended_actions(target: Target, report: ProbeReport, record: TargetRecord | None = None) -> tuple[str, ...]:
    """Return the actions for the deciding failure, with the target's own names.

    The result is empty if no step has a code. `record` has the auxiliary results, which may prove a staged credential.
    """
    failure = deciding_failure(report)
    if failure is None or failure.code is None:
        return ()
    names = names_of(target, report.steps, failure)
    if switch := _switch(target, record, failure, names):
        return tuple(filled(each, names) for each in switch)
    return actions(failure.code, failure.reason, ready=report.readiness.ready, names=names, step=failure.step)


def first_action(target: Target, report: ProbeReport, record: TargetRecord | None) -> str:
    """Return the first of the recommended actions as the value of a label; empty if there is none. See `action_line`."""
    failure = deciding_failure(report)
    if failure is None or failure.code is None:
        return ""
    names = names_of(target, report.steps, failure)
    if switch := _switch(target, record, failure, names):
        return one_line(switch[0], names, f"... All of it: ekm-exporter explain {failure.code}")
    return action_line(failure.code, failure.reason, names, step=failure.step)


def _switch(target: Target, record: TargetRecord | None, failure: StepResult, names: Names) -> Sequence[str]:
    """Return how to switch to the staged credential, if the current one is refused and the staged one is proven."""
    refused = failure.step is Step.TOKEN and failure.reason in CREDENTIAL_REFUSED
    if not (refused and _is_staged_usable(target, record)):
        return ()
    switch = _SWITCH if names.kind is None or names.kind.has_secret else _SWITCH_HERE
    return [each.replace("NEXT", target.next_credential or "") for each in switch]


def unsteady_actions(target: Target, report: ProbeReport, unsteady: Unsteady) -> tuple[str, ...]:
    """Return the actions for the most frequent failure of an unsteady target; empty if it has no code."""
    step, code, reason = unsteady.most
    return () if code is None else actions(code, reason, ready=True, names=names_of(target, report.steps), step=step)


def names_of(target: Target, steps: Sequence[StepResult], failure: StepResult | None = None) -> Names:
    """Return the names for commands: those of the target, its sign-in and the failed step.

    A target without `config_file`, as in a support bundle, gets no paths.
    """
    facts = [result.facts for result in steps if result.facts is not None]
    return Names(
        target=target.name,
        vault=target.vault,
        key=target.key_name,
        version=target.key_version,
        client_id=next((each.client_id for each in facts if each.client_id), None),
        kind=next((each.credential_kind for each in facts if each.credential_kind), None),
        aadsts=next((each.aadsts for each in facts if each.aadsts), None),
        client_address=next((each.client_address for each in facts if each.client_address), None),
        config_file=None if target.config_file is None else str(target.config_file),
        host=None if failure is None or failure.facts is None else failure.facts.endpoint,
        proxy=next((each.proxy for each in facts if each.proxy), None),
        secret_file=next((each.secret_file for each in facts if each.secret_file and target.config_file), None),
        object_id=next((each.object_id for each in facts if each.object_id), None),
        vantage=target.vantage,
    )


def _is_staged_usable(target: Target, record: TargetRecord | None) -> bool:
    results = () if record is None else record.auxiliary.values()
    return any(
        each.what is AuxiliaryKind.NEXT and each.credential == target.next_credential and each.usable is True for each in results
    )
