"""Checks of the key, its permissions and the round trip.

One function per check turns evidence into a finding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from exporter.core.auxiliary import AuxiliaryKind, AuxiliaryResult
from exporter.core.checks.check_owner import owner_of
from exporter.core.checks.finding import Finding, blocked, failed, passed, skipped, unknown, warned
from exporter.core.checks.model import CheckOutcome, FailureMoment
from exporter.core.connector_secret import KEY_NAME_UNUSABLE, key_name_findings
from exporter.core.faults import Fault
from exporter.core.model import Outcome, Step
from exporter.core.reasons import Reason
from exporter.doctor.check_sign_in import EXPIRY_WARN
from exporter.doctor.evidence import Evidence
from exporter.doctor.finding import day, failed_at, owned, step_finding

_FORBIDDEN = 403
_NO_KEY = "the key was not read"
_SUPPORTED = "the connector supports RSA and RSA-HSM of 2048 and 3072 bits"
_OPERATIONS = {Step.WRAP_KEY: "wrapKey", Step.UNWRAP_KEY: "unwrapKey"}


def key_name(evidence: Evidence) -> Finding:
    findings = key_name_findings(evidence.target.key_name)
    if findings:
        text = "; ".join(finding.text for finding in findings)
        return failed(text, code=KEY_NAME_UNUSABLE, reason=Reason.KEY_NAME_TOO_LONG)
    return owned(evidence, "key_name") or passed(evidence.target.key_name)


def permission_get(evidence: Evidence) -> Finding:
    found = step_finding(evidence, Step.GET_KEY, "permission_get")
    key_was_read = found is not None and found.blocked_by in ("key_version", "key_type", "key_name")
    return passed("allowed") if found is None or key_was_read else found


def key_version(evidence: Evidence) -> Finding:
    found = step_finding(evidence, Step.GET_KEY, "key_version")
    if found is not None and found.blocked_by != "key_type":
        return found
    version = "there" if evidence.report.key is None else evidence.report.key.version
    return passed(version if evidence.target.key_version else f"newest is {version}; none is pinned")


def key_type(evidence: Evidence) -> Finding:
    key = evidence.report.key
    if key is None:
        return step_finding(evidence, Step.GET_KEY, "key_type") or unknown(_NO_KEY)
    text = f"{key.kty} {key.size_bits}" if key.size_bits else key.kty
    return passed(text) if key.supported else failed(f"{text}: {_SUPPORTED}", reason=Reason.KEY_UNSUPPORTED)


def key_enabled(evidence: Evidence) -> Finding:
    key = evidence.report.key
    refused = owned(evidence, "key_enabled")
    if key is None:
        return refused or unknown(_NO_KEY)
    if key.enabled is False:
        return failed("the version is disabled", code=None if refused is None else refused.code, reason=Reason.KEY_DISABLED)
    return refused or passed("enabled")


def key_dates(evidence: Evidence) -> Finding:
    """Warn outside of the key's dates, where it still unwraps.

    Fail if the vault refused more than wrap.
    """
    key, refused = evidence.report.key, owned(evidence, "key_dates")
    wrap = evidence.report.step(Step.WRAP_KEY)
    if refused is not None and (wrap is None or wrap.outcome is not Outcome.FAILED):
        return replace(refused, moment=FailureMoment.UNWRAP)
    if key is not None and key.expires is not None and key.expires <= evidence.now:
        return warned(
            f"expired on {day(key.expires)}: databases still open, wrapping fails", code=3077, reason=Reason.KEY_EXPIRED
        )
    if key is not None and key.not_before is not None and key.not_before > evidence.now:
        text = f"not valid before {day(key.not_before)}: databases still open, wrapping fails"
        return warned(text, code=3077, reason=Reason.KEY_NOT_YET_VALID)
    if refused is not None:
        return replace(refused, outcome=CheckOutcome.WARN, moment=None)
    return unknown(_NO_KEY) if key is None else passed("the key is valid today")


def key_ops(evidence: Evidence) -> Finding:
    key, refused = evidence.report.key, owned(evidence, "key_ops")
    if key is None or not key.key_ops:
        return refused or unknown(_NO_KEY if key is None else "the vault lists none")
    missing = [name for name in _OPERATIONS.values() if name not in key.key_ops]
    if not missing:
        return refused or passed("wrapKey and unwrapKey")
    found = failed(f"{' and '.join(missing)} missing", reason=Reason.KEY_OPERATION_FORBIDDEN)
    # With unwrap alone databases still open.
    return found if _OPERATIONS[Step.UNWRAP_KEY] in missing else replace(found, moment=FailureMoment.WRAP)


def permission(step: Step, check: str) -> Callable[[Evidence], Finding]:
    """Return the check of the permission for one operation with the key."""

    def run(evidence: Evidence) -> Finding:
        key, operation = evidence.report.key, _OPERATIONS[step]
        if key is not None and key.key_ops and operation not in key.key_ops:
            return blocked("key_ops")
        found = step_finding(evidence, step, check)
        # Different bytes after a round trip are no permission failure.
        return passed("allowed") if found is None or found.blocked_by == "round_trip" else found

    return run


def permission_list(evidence: Evidence) -> Finding:
    facts = evidence.listing
    if facts is None:
        return step_finding(evidence, Step.TOKEN, "permission_list") or unknown("no request was sent")
    if facts.fault is Fault.NONE:
        return passed("allowed")
    if owned(evidence, "firewall") is not None:
        return blocked("firewall")
    if facts.status == _FORBIDDEN:
        return warned("not allowed; the connector does not need it")
    return unknown(facts.fault.replace("_", " "))


def round_trip(evidence: Evidence) -> Finding:
    found = step_finding(evidence, Step.UNWRAP_KEY, "round_trip")
    if found is not None:
        return found
    wrapped = evidence.report.step(Step.WRAP_KEY)
    here = wrapped is not None and wrapped.outcome is not Outcome.OK
    return passed(
        "unwrap returned equal bytes; wrap failed, so they were encrypted locally" if here else "the bytes came back equal"
    )


def retained_versions(evidence: Evidence) -> Finding:
    results = [one for one in evidence.auxiliary if one.kind is AuxiliaryKind.RETAINED]
    if not results:
        return skipped("none were probed" if evidence.target.retained_versions else "none are declared")
    owner = next((name for one in results if (name := _owner_of_same(evidence, one)) is not None), None)
    unusable = [(one, one.failure) for one in results if one.usable is False and _owner_of_same(evidence, one) is None]
    for bad, failure in unusable:
        if failure is not None:
            found = failed_at(failure)
            return replace(found, detail=f"{bad.name}: {failure.step} {found.detail}", subject=bad)
    if owner is not None:
        return blocked(owner)
    unsure = [one.name for one in results if one.usable is None]
    return unknown(f"not known for {', '.join(unsure)}") if unsure else passed(f"{len(results)} can be used")


def _owner_of_same(evidence: Evidence, result: AuxiliaryResult) -> str | None:
    """Return the check that reports the same failure of the same credential or vault."""
    first, failure = evidence.report.first_failure, result.failure
    if first is None or failure is None or (first.step, first.reason) != (failure.step, failure.reason):
        return None
    same = result.credential == evidence.target.credential if first.step is Step.TOKEN else result.vault == evidence.target.vault
    return owner_of(first.step, first.reason) if same else None


def newest_version(evidence: Evidence) -> Finding:
    pinned = evidence.target.key_version
    if pinned is None:
        return skipped("no version is pinned")
    newest = next((one.key for one in evidence.auxiliary if one.kind is AuxiliaryKind.NEWEST and one.key is not None), None)
    if newest is None:
        return unknown("the newest version was not read")
    return passed("the pinned one") if newest.version == pinned else warned(f"{newest.version} is newer than the pinned one")


def key_expiry(evidence: Evidence) -> Finding:
    key = evidence.report.key
    if key is None:
        return unknown(_NO_KEY)
    if key.expires is None:
        return passed("the key does not expire")
    if key.expires <= evidence.now:
        return blocked("key_dates")
    text = f"expires on {day(key.expires)}"
    return warned(text) if key.expires - evidence.now < EXPIRY_WARN else passed(text)
