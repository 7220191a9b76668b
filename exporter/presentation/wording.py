"""Sentences that the target page and the command `probe` share.

They cover auxiliary probes, key, network path and expiry. All values were masked when they were read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from exporter.config.consequences.names import names_of, names_of_auxiliary
from exporter.config.consequences.usage import configured_auxiliary
from exporter.config.settings import ExpectPath, Target
from exporter.core.auxiliary import KEY_REFUSED, AuxiliaryKind, AuxiliaryResult, Identity, version_fault
from exporter.core.codes import BY_CODE, both_numbers
from exporter.core.codes.actions import actions
from exporter.core.codes.cause_text import open_detail
from exporter.core.codes.names import fill_names
from exporter.core.credential_expiry import CredentialExpiry, Source
from exporter.core.durations import moment
from exporter.core.model import KeyFacts, Outcome, Step, StepResult, VaultHeaders
from exporter.core.readiness import WHY, deciding_failure
from exporter.presentation.probe_text import Line
from exporter.state.records import TargetRecord, unsteady_at

ANSWERS: Mapping[bool | None, str] = {True: "yes", False: "no", None: "unknown"}
_DAY = 86400.0
_RECOVER = "`az keyvault key recover --vault-name VAULT --name KEY`"
_SWITCH_TEXTS = ("ALTER CREDENTIAL", "STRING is")  # no advice for a refused staged credential
_SAME_CAUSE = "The cause and its actions are stated above."
# The consequence of an unusable result.
_CONSEQUENCES: Mapping[AuxiliaryKind, str] = {
    AuxiliaryKind.NEXT: "Do not give it to SQL Server yet.",
    AuxiliaryKind.RETAINED: "Backups that need this key version could not be restored.",
    AuxiliaryKind.RECOVERY: "It could not replace a lost vault.",
    AuxiliaryKind.NEWEST: "",
}
_MARKS: Mapping[AuxiliaryKind, str] = {
    AuxiliaryKind.NEXT: "staged credential refused",
    AuxiliaryKind.RETAINED: "retained version unusable",
    AuxiliaryKind.RECOVERY: "recovery vault unusable",
}


@dataclass(frozen=True, slots=True)
class ExpiryLine:
    """Expiry of a credential from one source.

    `when` is a text, `looked_up_at` a Unix time.
    """

    credential: str
    source: str
    when: str
    looked_up_at: float | None
    note: str


def auxiliary_results(target: Target, record: TargetRecord, *, now: float) -> tuple[tuple[Identity, AuxiliaryResult | None], ...]:
    """Return the configured auxiliary probes, each with its last result."""
    today = datetime.fromtimestamp(now, UTC).date()
    return tuple((identity, record.auxiliary.get(identity)) for identity in configured_auxiliary(target, today))


def title(target: Target, identity: Identity) -> str:
    """Return the subject of an auxiliary probe.

    An example is `retained version Key0/0123 in old.vault.azure.net`.
    """
    kind, name, vault = identity
    if kind is AuxiliaryKind.RECOVERY:
        return f"recovery vault {name}"
    if kind is AuxiliaryKind.NEWEST:
        return f"newest version of {name}"
    noun = "staged credential" if kind is AuxiliaryKind.NEXT else "retained version"
    return f"{noun} {name}" + ("" if vault == target.vault else f" in {vault}")


def answer(result: AuxiliaryResult | None) -> str:
    """Return whether the probed thing can be used: `yes`, `no` or `unknown`."""
    return ANSWERS[None if result is None else result.usable]


def reason_text(record: TargetRecord, identity: Identity, result: AuxiliaryResult | None) -> str:
    """Return why the result is `no` or `unknown`; empty after `yes`."""
    if result is None:
        waits = identity[0] is AuxiliaryKind.RECOVERY and record.key is None
        return "the key that the recovery vault must hold is not read yet" if waits else "not probed yet"
    if result.failure is not None:
        return failed(result.failure)
    if result.usable:
        return ""
    if result.usable is False:  # no step failed: the version itself cannot be used
        return version_fault(result.key, result.at)
    unwrapped = any(step.step is Step.UNWRAP_KEY and step.outcome is Outcome.OK for step in result.steps)
    return WHY["identity_of_another_host"] if unwrapped else "unwrap was not tested"


def failed(failure: StepResult) -> str:
    """Return a failed step as one line.

    An example is `step token failed with 3303 ErrorGetTokenBadCredentials, reason secret_expired`.
    """
    entry = None if failure.code is None else BY_CODE.get(failure.code)
    code = "" if failure.code is None else f" with {both_numbers(failure.code)}"
    symbol = "" if entry is None else f" {entry.symbol}"
    reason = "" if failure.reason is None else f", reason {failure.reason.value}"
    detail = open_detail(failure)
    return f"step {failure.step.value} failed{code}{symbol}{reason}" + (f": {detail}" if detail else "")


def recommended_actions(target: Target, result: AuxiliaryResult) -> tuple[str, ...]:
    """Return the actions in their order, with real names in commands.

    The result is empty without a failure. An auxiliary probe never keeps a database closed.
    """
    failure = result.failure
    if failure is None:
        return ()
    first = [_CONSEQUENCES[result.kind]] if result.usable is False and _CONSEQUENCES[result.kind] else []
    if failure.code is None:
        return tuple(first)
    advice = actions(failure.code, failure.reason, ready=True, names=names_of_auxiliary(target, result), step=failure.step)
    if result.kind is AuxiliaryKind.NEXT:
        advice = tuple(each for each in advice if not any(words in each for words in _SWITCH_TEXTS))
    return (*first, *advice)


def auxiliary_actions(
    target: Target, record: TargetRecord, results: Iterable[tuple[Identity, AuxiliaryResult | None]]
) -> Iterator[tuple[Identity, AuxiliaryResult | None, tuple[str, ...]]]:
    """Yield each auxiliary probe with its actions.

    If the same cause was stated before, a reference replaces the actions.
    """
    failure = None if record.last is None else deciding_failure(record.last)
    stated = set() if failure is None else {_cause(failure, target.vault, target.credential, target.key)}
    for identity, result in results:
        if result is None or result.failure is None:
            yield identity, result, ()
            continue
        cause = _cause(result.failure, result.vault, result.credential, result.name)
        advice = recommended_actions(target, result)
        if cause in stated:
            advice = (*(each for each in advice if each == _CONSEQUENCES[result.kind]), _SAME_CAUSE)
        stated.add(cause)
        yield identity, result, advice


def _cause(failure: StepResult, vault: str, credential: str, key: str) -> tuple[str | None, ...]:
    """Return a key that equal causes share.

    The key contains the reason, the vault or credential, and the key's name if the reason is about one.
    """
    of_the_credential = failure.step is Step.TOKEN
    of_the_caller = failure.step not in (Step.CHALLENGE, Step.TOKEN)
    of_the_key = of_the_caller and failure.reason in KEY_REFUSED
    return (
        failure.reason,
        None if of_the_credential else vault,
        credential if of_the_credential or of_the_caller else None,
        key if of_the_key else None,
    )


def key_lines(key: KeyFacts) -> Iterator[Line]:
    """Yield the last known facts about the key version."""
    yield "key", key.name
    yield "version", key.version
    yield "type", f"{key.kty}, {key.size_bits} bits" + ("" if key.supported else ", not supported by the connector")
    if key.enabled is not None:
        yield "enabled", ANSWERS[key.enabled]
    if key.key_ops:
        yield "operations", ", ".join(key.key_ops)
    for label, date in (("not before", key.not_before), ("expires", key.expires)):
        if date is not None:
            yield label, moment(date)


def version_lines(target: Target, record: TargetRecord) -> Iterator[Line]:
    """Yield the newest version, the scheduled purge and the last recovery, if known."""
    if record.newest_version is not None:
        pending = " (not the pinned one: a rotation is pending)" if record.rotation_pending else ""
        yield "newest version", record.newest_version + pending
    if record.purge_at is not None:
        yield "deleted", f"purged at {moment(record.purge_at)}; recover it before then: {recover_command(target)}"
    if record.proof_at is not None and target.recovery_vault is not None:
        yield "recovery test", f"{moment(record.proof_at)}, successful unwrap in {target.recovery_vault}"


def path_lines(vault: VaultHeaders, expected: ExpectPath) -> Iterator[Line]:
    """Yield region, service version and network path of the vault, if known."""
    named = (("region", vault.region), ("service version", vault.service_version), ("path", vault.connection))
    yield from ((label, value) for label, value in named if value)
    if expected is not ExpectPath.ANY:
        yield "as expected", f"{ANSWERS[expected.met_by(vault.connection)]}: expect_path is {expected.value}"


def recover_command(target: Target) -> str:
    """Return the command that recovers a deleted key, as a `code` span."""
    return fill_names(_RECOVER, names_of(target, ()))


def expiry_lines(expiries: Mapping[str, Sequence[CredentialExpiry]], *, now: float) -> Iterator[ExpiryLine]:
    """Yield expiries by credential and source, and credentials without a source.

    `now` is a Unix time.
    """
    for name, each in expiries.items():
        for expiry in each:
            note = ". ".join(filter(None, (expiry.wrong, expiry.failure)))
            yield ExpiryLine(name, expiry.source.value, _when(expiry, now), expiry.looked_up_at, note)
        if not each:
            yield ExpiryLine(name, "none", "unknown", None, "no source of its expiry is configured")


def _when(expiry: CredentialExpiry, now: float) -> str:
    if expiry.expires_at is None:
        return "no expiry" if expiry.looked_up_at is not None and not expiry.failure else "unknown"
    if expiry.source is Source.ENTRA:
        return f"has expired: Entra ID refuses it since {moment(expiry.expires_at)}"
    days = int(abs(expiry.expires_at - now) // _DAY)
    span = f"{days} day{'' if days == 1 else 's'}"
    return f"{moment(expiry.expires_at)}, " + (f"in {span}" if expiry.expires_at > now else f"expired {span} ago")


def target_warnings(target: Target, record: TargetRecord | None, expected: ExpectPath, *, now: float) -> tuple[str, ...]:
    """Return the marks of a target in a list, as short texts.

    They do not depend on the target's verdict.
    """
    if record is None:
        return ()
    refused = dict.fromkeys(
        _MARKS[kind]
        for (kind, _, _), result in auxiliary_results(target, record, now=now)
        if kind in _MARKS and result is not None and result.usable is False
    )
    others = {
        "rotation pending": record.rotation_pending,
        "key deleted": record.purge_at is not None,
        "unexpected path": expected.met_by(record.vault.connection) is False,
    }
    unsteady = unsteady_at(record, now)
    return (*((str(unsteady),) if unsteady else ()), *refused, *(mark for mark, wrong in others.items() if wrong))
