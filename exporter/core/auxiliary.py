"""What is looked at beside the main probe: the staged credential, retained key versions, the recovery vault, the newest version.

For: the value that one look is, and the rule by which its steps say yes, no, or nothing.
Not for: making a look (see `exporter.probing.auxiliary_plan`), the verdict about the target (see `readiness`): no look ever changes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from exporter.core.faults import Reason
from exporter.core.model import KeyFacts, Outcome, Step, StepResult


class AuxiliaryKind(StrEnum):
    """What a look is about."""

    NEXT = "next"  # the staged credential, through the whole round trip
    RETAINED = "retained"  # a key version that old backups need
    RECOVERY = "recovery"  # the vault that holds the restored key
    NEWEST = "newest"  # which version of the key is the newest


Identity = tuple[AuxiliaryKind, str, str]  # what, its name, the vault

# Entra, or the connector itself, says no to the credential. Any other failure leaves open whether it would have been taken.
CREDENTIAL_REFUSED: frozenset[Reason] = frozenset(
    {
        Reason.SECRET_EXPIRED,
        Reason.SECRET_WRONG,
        Reason.CREDENTIALS_REFUSED,
        Reason.CERTIFICATE_UNKNOWN,
        Reason.CERTIFICATE_EXPIRED,
        Reason.FEDERATION_UNMATCHED,
        Reason.APPLICATION_UNKNOWN,
        Reason.APPLICATION_NOT_IN_TENANT,
        Reason.APPLICATION_ID_INVALID,
        Reason.APPLICATION_DISABLED,
        Reason.CONDITIONAL_ACCESS,
        Reason.TENANT_UNKNOWN,
        Reason.SECRET_TOO_SHORT,
        Reason.CERTIFICATE_UNUSABLE,
    }
)

# The vault says no to who asks.
CALLER_REFUSED: frozenset[Reason] = frozenset(
    {
        Reason.TOKEN_REJECTED,
        Reason.TOKEN_WRONG_AUDIENCE,
        Reason.TOKEN_WRONG_ISSUER,
        Reason.TOKEN_REVOKED,
        Reason.FORBIDDEN_POLICY,
        Reason.FORBIDDEN_RBAC,
        Reason.FORBIDDEN,
    }
)

# The vault says no to the key: it is not there, not in use, or not the one that the bytes were encrypted under.
KEY_REFUSED: frozenset[Reason] = frozenset(
    {
        Reason.KEY_NOT_FOUND,
        Reason.KEY_SOFT_DELETED,
        Reason.NOT_FOUND,
        Reason.KEY_DISABLED,
        Reason.KEY_EXPIRED,
        Reason.KEY_NOT_YET_VALID,
        Reason.KEY_UNSUPPORTED,
        Reason.KEY_NAME_TOO_LONG,
        Reason.BAD_REQUEST,
        Reason.BYTES_DIFFER,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuxiliaryResult:
    """One look. `at` is a Unix time; `usable` is None where no answer was had, or the mode does not allow the test.

    `name` tells looks of one target apart: the credential's name, the key version as NAME/VERSION, the recovery vault's host,
    or the key's name. `key` is the key version that was read.
    """

    what: AuxiliaryKind
    name: str
    vault: str
    credential: str
    at: float
    usable: bool | None
    steps: tuple[StepResult, ...]
    key: KeyFacts | None = None

    @property
    def failure(self) -> StepResult | None:
        """The step that stood in the way."""
        return first_failure(self.what, self.steps)

    @property
    def identity(self) -> Identity:
        """The same for every look at the same thing."""
        return self.what, self.name, self.vault


def first_failure(what: AuxiliaryKind, steps: Sequence[StepResult]) -> StepResult | None:
    """The first failed step that counts for this look.

    A refused wrap counts for a staged credential alone, and only where it is the caller that is refused: an expired key, too,
    wraps no more.
    """
    failed = [result for result in steps if result.outcome is Outcome.FAILED]
    return next((result for result in failed if _counts(what, result)), None)


def assess(what: AuxiliaryKind, steps: Sequence[StepResult]) -> bool | None:
    """Whether what was looked at can be used; None where nobody said so."""
    failure = first_failure(what, steps)
    if failure is not None:
        refused = CREDENTIAL_REFUSED | CALLER_REFUSED | (frozenset() if what is AuxiliaryKind.NEXT else KEY_REFUSED)
        return False if failure.reason in refused else None
    last = Step.GET_KEY if what is AuxiliaryKind.NEWEST else Step.UNWRAP_KEY
    return True if any(result.step is last and result.outcome is Outcome.OK for result in steps) else None


def _counts(what: AuxiliaryKind, result: StepResult) -> bool:
    return result.step is not Step.WRAP_KEY or (what is AuxiliaryKind.NEXT and result.reason in CALLER_REFUSED)
