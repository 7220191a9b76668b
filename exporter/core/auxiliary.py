"""Auxiliary probes: kinds, results, and the rule usable or not usable.

No auxiliary probe changes the verdict of the target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from exporter.core.durations import moment
from exporter.core.model import KeyFacts, Outcome, Step, StepResult
from exporter.core.reasons import refusing
from exporter.core.reasons.row import Refused


class AuxiliaryKind(StrEnum):
    """What an auxiliary probe tests."""

    NEXT = "next"  # the staged credential, through the whole round trip
    RETAINED = "retained"  # a key version that old backups need
    RECOVERY = "recovery"  # the vault that holds the restored key
    NEWEST = "newest"  # which version of the key is the newest


Identity = tuple[AuxiliaryKind, str, str]  # its kind, its name, the vault

# Entra or the connector refuses the credential. After any other failure, it may still be valid.
CREDENTIAL_REFUSED = refusing(Refused.CREDENTIAL, Refused.EXPIRED_CREDENTIAL)
# The vault refuses the caller.
CALLER_REFUSED = refusing(Refused.TOKEN, Refused.PERMISSION)
# The vault refuses the key: missing, not active, or another key than the one that encrypted the bytes.
KEY_REFUSED = refusing(Refused.KEY, Refused.KEY_STATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuxiliaryResult:
    """The result of one auxiliary probe.

    `at` is a Unix time. `usable` is None if unknown or not tested in this mode. `name` is unique among those of one target:
    the credential's name, the key version as NAME/VERSION, the recovery vault's host, or the key's name. `key` is the key
    version that was read.
    """

    kind: AuxiliaryKind
    name: str
    vault: str
    credential: str
    at: float
    usable: bool | None
    steps: tuple[StepResult, ...]
    key: KeyFacts | None = None

    @property
    def failure(self) -> StepResult | None:
        """The first failed step that counts."""
        return first_failure(self.kind, self.steps)

    @property
    def identity(self) -> Identity:
        """Equal for all auxiliary probes of the same credential, version or vault."""
        return self.kind, self.name, self.vault


def first_failure(kind: AuxiliaryKind, steps: Sequence[StepResult]) -> StepResult | None:
    """Return the first failed step that counts for this auxiliary probe.

    A refused wrap only counts for a staged credential, and only if the caller is refused: an expired key does not wrap either.
    """
    return next((result for result in steps if result.outcome is Outcome.FAILED and _counts(kind, result)), None)


def assess(kind: AuxiliaryKind, steps: Sequence[StepResult], key: KeyFacts | None = None, *, at: float = 0.0) -> bool | None:
    """Return whether the tested credential, version or vault is usable, or None. `key` was read at `at`, a Unix time."""
    failure = first_failure(kind, steps)
    if failure is not None:
        refused = CREDENTIAL_REFUSED | CALLER_REFUSED | (frozenset() if kind is AuxiliaryKind.NEXT else KEY_REFUSED)
        return False if failure.reason in refused else None
    if kind is AuxiliaryKind.NEWEST and version_fault(key, at):
        return False
    last = Step.GET_KEY if kind is AuxiliaryKind.NEWEST else Step.UNWRAP_KEY
    return True if any(result.step is last and result.outcome is Outcome.OK for result in steps) else None


def version_fault(key: KeyFacts | None, at: float) -> str:
    """Return why a key version that was read cannot be used at a Unix time; empty if it can, or if none was read."""
    if key is None:
        return ""
    if key.enabled is False:
        return "the version is disabled"
    if key.expires is not None and key.expires <= at:
        return f"the version expired at {moment(key.expires)}"
    if key.not_before is not None and key.not_before > at:
        return f"the version is not valid before {moment(key.not_before)}"
    return ""


def _counts(kind: AuxiliaryKind, result: StepResult) -> bool:
    return result.step is not Step.WRAP_KEY or (kind is AuxiliaryKind.NEXT and result.reason in CALLER_REFUSED)
