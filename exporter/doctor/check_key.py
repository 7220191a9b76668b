"""Checks of the key: name, permissions, version, type, state, dates, operations, round trip, other versions.

For: one small function per check, from what was observed to what it means.
Not for: looking anything up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from exporter.core.auxiliary import AuxiliaryKind, AuxiliaryResult
from exporter.core.checks.model import FailureMoment
from exporter.core.checks.routing import owner_of
from exporter.core.connector_secret import KEY_NAME_UNUSABLE, key_name_findings
from exporter.core.faults import Fault, Reason
from exporter.core.model import Outcome, Step
from exporter.doctor.check_identity import EXPIRY_WARN
from exporter.doctor.evidence import Evidence
from exporter.doctor.finding import Finding, blocked, day, failed, in_words, of_step, owned, passed, skipped, unknown, warned

_FORBIDDEN = 403
_NO_KEY = "the key was not read"
_OPERATIONS = {Step.WRAP_KEY: "wrapKey", Step.UNWRAP_KEY: "unwrapKey"}


def key_name(seen: Evidence) -> Finding:
    findings = key_name_findings(seen.target.key_name)
    if findings:
        return failed("; ".join(finding.text for finding in findings), code=KEY_NAME_UNUSABLE)
    return owned(seen, "key_name") or passed(seen.target.key_name)


def permission_get(seen: Evidence) -> Finding:
    found = of_step(seen, Step.GET_KEY, "permission_get")
    told_by_the_key = found is not None and found.because in ("key_version", "key_type", "key_name")
    return passed("allowed") if found is None or told_by_the_key else found


def key_version(seen: Evidence) -> Finding:
    found = of_step(seen, Step.GET_KEY, "key_version")
    if found is not None and found.because != "key_type":
        return found
    version = "there" if seen.report.key is None else seen.report.key.version
    return passed(version if seen.target.key_version else f"newest is {version}; none is pinned")


def key_type(seen: Evidence) -> Finding:
    key = seen.report.key
    if key is None:
        return of_step(seen, Step.GET_KEY, "key_type") or unknown(_NO_KEY)
    said = f"{key.kty} {key.size_bits}" if key.size_bits else key.kty
    return passed(said) if key.supported else failed(f"{said}: the connector takes RSA and RSA-HSM of 2048 and 3072 bits")


def key_enabled(seen: Evidence) -> Finding:
    key = seen.report.key
    refused = owned(seen, "key_enabled")
    if key is None:
        return refused or unknown(_NO_KEY)
    if key.enabled is False:
        return failed("the version is disabled", code=None if refused is None else refused.code)
    return refused or passed("enabled")


def key_dates(seen: Evidence) -> Finding:
    """Outside of its dates a key still unwraps: a warning, unless the vault refused more than to wrap."""
    key, refused = seen.report.key, owned(seen, "key_dates")
    wrap = seen.report.step(Step.WRAP_KEY)
    if refused is not None and (wrap is None or wrap.outcome is not Outcome.FAILED):
        return replace(refused, moment=FailureMoment.UNWRAP)
    if key is not None and key.expires is not None and key.expires <= seen.now:
        return warned(
            f"expired on {day(key.expires)}: databases still open, wrapping fails", code=3077, reason=Reason.KEY_EXPIRED
        )
    if key is not None and key.not_before is not None and key.not_before > seen.now:
        said = f"not valid before {day(key.not_before)}: databases still open, wrapping fails"
        return warned(said, code=3077, reason=Reason.KEY_NOT_YET_VALID)
    if refused is not None:
        return warned(refused.detail, code=refused.code, reason=refused.reason)
    return unknown(_NO_KEY) if key is None else passed("within them")


def key_ops(seen: Evidence) -> Finding:
    key = seen.report.key
    if key is None or not key.key_ops:
        return unknown(_NO_KEY if key is None else "the vault names none")
    missing = [name for name in _OPERATIONS.values() if name not in key.key_ops]
    if not missing:
        return passed("wrapKey and unwrapKey")
    found = failed(f"{' and '.join(missing)} missing")
    # What only unwraps still opens databases.
    return found if _OPERATIONS[Step.UNWRAP_KEY] in missing else replace(found, moment=FailureMoment.WRAP)


def permission(step: Step, check: str) -> Callable[[Evidence], Finding]:
    """The permission for one operation with the key, as far as the vault's answer to it can show it."""

    def judge(seen: Evidence) -> Finding:
        key, operation = seen.report.key, _OPERATIONS[step]
        if key is not None and key.key_ops and operation not in key.key_ops:
            return blocked("key_ops")
        found = of_step(seen, step, check)
        # That what was wrapped does not come back is no matter of permissions.
        return passed("allowed") if found is None or found.because == "round_trip" else found

    return judge


def permission_list(seen: Evidence) -> Finding:
    facts = seen.listing
    if facts is None:
        return of_step(seen, Step.TOKEN, "permission_list") or unknown("it was not asked")
    if facts.fault is Fault.NONE:
        return passed("allowed")
    if owned(seen, "firewall") is not None:
        return blocked("firewall")
    if facts.status == _FORBIDDEN:
        return warned("not allowed; the connector does without")
    return unknown(facts.fault.replace("_", " "))


def round_trip(seen: Evidence) -> Finding:
    found = of_step(seen, Step.UNWRAP_KEY, "round_trip")
    if found is not None:
        return found
    wrapped = seen.report.step(Step.WRAP_KEY)
    here = wrapped is not None and wrapped.outcome is not Outcome.OK
    return passed("equal; encrypted here, as the vault did not wrap" if here else "the bytes came back equal")


def retained_versions(seen: Evidence) -> Finding:
    looks = [look for look in seen.looks if look.what is AuxiliaryKind.RETAINED]
    if not looks:
        return skipped("none were looked at" if seen.target.retained_versions else "none are declared")
    told = next((owner for look in looks if (owner := _told_already(seen, look)) is not None), None)
    bad = next((look for look in looks if look.usable is False and _told_already(seen, look) is None), None)
    if bad is not None:
        failure = bad.failure
        why = "" if failure is None else f": {failure.step} {in_words(failure)}"
        return failed(f"{bad.name}{why}", code=None if failure is None else failure.code)
    if told is not None:
        return blocked(told)
    unsure = [look.name for look in looks if look.usable is None]
    return unknown(f"nobody said so of {', '.join(unsure)}") if unsure else passed(f"{len(looks)} can be used")


def _told_already(seen: Evidence, look: AuxiliaryResult) -> str | None:
    """The check that has told of the very same failure: of the same credential at Entra, or at the same vault."""
    first, failure = seen.report.first_failure, look.failure
    if first is None or failure is None or (first.step, first.reason) != (failure.step, failure.reason):
        return None
    same = look.credential == seen.target.credential if first.step is Step.TOKEN else look.vault == seen.target.vault
    return owner_of(first.step, first.reason) if same else None


def newest_version(seen: Evidence) -> Finding:
    pinned = seen.target.key_version
    if pinned is None:
        return skipped("no version is pinned")
    newest = next((look.key for look in seen.looks if look.what is AuxiliaryKind.NEWEST and look.key is not None), None)
    if newest is None:
        return unknown("the newest version was not read")
    return passed("the pinned one") if newest.version == pinned else warned(f"{newest.version} is newer than the pinned one")


def key_expiry(seen: Evidence) -> Finding:
    key = seen.report.key
    if key is None:
        return unknown(_NO_KEY)
    if key.expires is None:
        return passed("it has none")
    if key.expires <= seen.now:
        return blocked("key_dates")
    end = f"ends on {day(key.expires)}"
    return warned(end) if key.expires - seen.now < EXPIRY_WARN else passed(end)
