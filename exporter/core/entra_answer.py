"""The answer of Entra ID about the expiry of a credential, held against the dates of all sources.

Entra ID decides: a date that contradicts its answer is wrong, whichever source it comes from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from exporter.core.credential_expiry import CredentialExpiry, Source
from exporter.core.durations import moment
from exporter.core.model import Outcome, Step, StepResult
from exporter.core.reasons import refusing
from exporter.core.reasons.row import Refused

_EXPIRED: Final = refusing(Refused.EXPIRED_CREDENTIAL)
# Seconds for which a date may have passed although Entra ID accepts the credential: a declared date means the start of its day,
# and a token may be older than the probe that uses it.
_DATE_TOLERANCE: Final = 86400.0
REFUSED: Final = "wrong: Entra ID refuses the credential as expired"
ACCEPTED: Final = "wrong: Entra ID accepted the credential after that date"


_ADJECTIVES: Final[Mapping[Source, str]] = {
    Source.DECLARED: "declared",
    Source.CERTIFICATE: "certificate's",
    Source.GRAPH: "Graph",
    Source.KEY_VAULT: "Key Vault",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EntraAnswer:
    """The newest answer of Entra ID to a credential, as Unix times.

    `expired_since` is the first of the refusals in a row that call it expired; None if a token was issued.
    """

    at: float
    expired_since: float | None = None


def entra_answer(steps: Sequence[StepResult], at: float, before: EntraAnswer | None = None) -> EntraAnswer | None:
    """Return the answer after a probe with these steps at `at`; `before` if the probe has none about the expiry."""
    token = next((each for each in steps if each.step is Step.TOKEN), None)
    if token is not None and token.outcome is Outcome.OK:
        return EntraAnswer(at=at)
    if token is None or token.reason not in _EXPIRED:
        return before
    since = None if before is None else before.expired_since
    return EntraAnswer(at=at, expired_since=at if since is None else since)


def mark_wrong_dates(
    credential: str, expiries: Iterable[CredentialExpiry], answer: EntraAnswer | None
) -> tuple[CredentialExpiry, ...]:
    """Return the dates of a credential with the wrong ones marked, and the date of Entra ID itself if it calls the credential expired."""
    if answer is None:
        return tuple(expiries)
    since = answer.expired_since
    if since is None:
        latest = answer.at - _DATE_TOLERANCE
        return tuple(
            replace(expiry, wrong=ACCEPTED) if expiry.expires_at is not None and expiry.expires_at < latest else expiry
            for expiry in expiries
        )
    own = CredentialExpiry(credential=credential, source=Source.ENTRA, expires_at=since, looked_up_at=answer.at)
    return (*(replace(expiry, wrong=REFUSED) if _is_later(expiry, answer.at) else expiry for expiry in expiries), own)


def wrong_dates(expiries: Iterable[CredentialExpiry]) -> str:
    """Return which dates Entra ID contradicts, such as `the declared date 2027-03-01 is wrong`; empty without any."""
    dates = (
        ("(none)" if expiry.expires_at is None else moment(expiry.expires_at)[:10], expiry.source)
        for expiry in expiries
        if expiry.wrong
    )
    return ", ".join(f"the {_ADJECTIVES.get(source, source)} date {day} is wrong" for day, source in dates)


def _is_later(expiry: CredentialExpiry, at: float) -> bool:
    """Whether a source reports a later date, or that there is none."""
    if expiry.expires_at is None:
        return expiry.looked_up_at is not None and not expiry.failure
    return expiry.expires_at > at
