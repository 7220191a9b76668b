"""The expiry of a credential: sources, results, the choice among the listed secrets of Graph and Key Vault, and Entra ID's own answer.

A secret is compared here and never stored. Entra ID decides: a date that contradicts its answer is wrong, whichever its source.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Final

from exporter.core.durations import moment
from exporter.core.names import cloud_of
from exporter.core.values import Outcome, Step
from exporter.knowledge.reason_row import Refused
from exporter.knowledge.reasons import refusing
from exporter.knowledge.report import StepResult

HINT_LENGTH: Final = 3  # Graph's `hint` is so many of a secret's first characters


class Source(StrEnum):
    """The sources of a credential's expiry; those of a date are the values of the label `source`."""

    DECLARED = "declared"  # the configuration
    CERTIFICATE = "certificate"  # notAfter of the certificate file
    GRAPH = "graph"  # the list of Microsoft Graph for the application
    KEY_VAULT = "key_vault"  # attributes of the Key Vault secret that holds the credential
    ENTRA = "entra"  # Entra ID refused the credential as expired; pages and JSON only, as it has no date before


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialExpiry:
    """The last result of one source for one credential. Times are Unix times.

    `expires_at` is None if the source has no expiry or no result yet. `looked_up_at` is the time of the last successful lookup,
    None without one (a declared expiry needs none). `failure` is why the newest lookup failed or does not list the credential:
    masked, empty if it succeeded. After a failure, the last known `expires_at` is kept. `wrong` is why Entra ID contradicts it.
    """

    credential: str
    source: Source
    expires_at: float | None = None
    looked_up_at: float | None = None
    failure: str = ""
    wrong: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupResult:
    """The result of one lookup: an expiry, or only a reason in `note`.

    `expires_at` is None without an expiry. `answered` is False if there is only a reason. `note` of a result is why it does
    not list this credential. It is masked.
    """

    answered: bool
    expires_at: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedCredential:
    """One listed secret or certificate.

    `mark` is its hint or its thumbprint in lower-case hex, None if absent. `expires` is a Unix time, None without an expiry.
    """

    mark: str | None
    expires: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppCredentials:
    """Secrets and certificates that Graph lists for an application."""

    secrets: tuple[ListedCredential, ...] = ()
    certificates: tuple[ListedCredential, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretVersion:
    """One version of a Key Vault secret, without its value. Times are Unix times."""

    version: str
    enabled: bool
    created: float | None = None
    expires: float | None = None


@dataclass(frozen=True, slots=True)
class GraphEndpoint:
    """The sign-in host and the Graph host of one cloud."""

    authority: str
    graph: str


# Microsoft's pages contradict each other about Graph outside the public cloud: some give graph.chinacloudapi.cn for
# China and graph.microsoft.com for US Government. These are the hosts of Graph's own page on national clouds.
_GRAPH: Final[dict[str, GraphEndpoint]] = {
    "public": GraphEndpoint("https://login.microsoftonline.com", "graph.microsoft.com"),
    "us_government": GraphEndpoint("https://login.microsoftonline.us", "graph.microsoft.us"),
    "china": GraphEndpoint("https://login.partner.microsoftonline.cn", "microsoftgraph.chinacloudapi.cn"),
}
_CLOUD_OF_ENTRA: Final[dict[str, str]] = {
    "https://login.microsoftonline.com": "public",
    "https://login.windows.net": "public",
    "https://login.microsoftonline.us": "us_government",
    "https://login.chinacloudapi.cn": "china",
    "https://login.partner.microsoftonline.cn": "china",
}


def graph_of(vault: str, authority_host: str | None) -> GraphEndpoint:
    """Return the hosts for a credential of this vault. The configured authority takes precedence."""
    named = _CLOUD_OF_ENTRA.get((authority_host or "").lower().rstrip("/"))
    cloud = cloud_of(vault)
    return _GRAPH[named or (cloud.name if cloud is not None else "public")]


def start_of(day: date) -> float:
    """Return midnight UTC at the start of a declared day, as a Unix time."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


def choose_secret(listed: Sequence[ListedCredential], secret: str, now: float) -> LookupResult:
    """Return the expiry of the configured secret among an application's secrets.

    Without hints, a single listed secret is taken as the configured one.
    """
    is_single = len(listed) == 1 and listed[0].mark is None
    matching = [one for one in listed if is_single or (one.mark is not None and one.mark == secret[:HINT_LENGTH])]
    return _soonest(matching, now, "the application lists no secret that begins like the configured one")


def choose_certificate(listed: Sequence[ListedCredential], thumbprint: str, now: float) -> LookupResult:
    """Return the expiry of the configured certificate. `thumbprint` is its SHA-1 in lower-case hex."""
    matching = [one for one in listed if one.mark == thumbprint]
    return _soonest(matching, now, "the application does not list the configured certificate")


def _soonest(matching: Iterable[ListedCredential], now: float, nothing: str) -> LookupResult:
    """Return the earliest future expiry, else the latest past one, else no expiry."""
    expiries = sorted(math.inf if one.expires is None else one.expires for one in matching)
    if not expiries:
        return LookupResult(answered=True, note=nothing)
    end = next((one for one in expiries if one > now), expiries[-1])
    return LookupResult(answered=True, expires_at=None if end == math.inf else end)


def choose_version(versions: Sequence[SecretVersion], wanted: str | None) -> LookupResult:
    """Return the expiry of the wanted version, or of the newest enabled one."""
    usable = [one for one in versions if (one.enabled if wanted is None else one.version == wanted.lower())]
    if not usable:
        which = "no version of the secret that is enabled" if wanted is None else "no such version of the secret"
        return LookupResult(answered=True, note=f"the vault lists {which}")
    newest = max(usable, key=lambda one: -math.inf if one.created is None else one.created)
    return LookupResult(answered=True, expires_at=newest.expires)


_EXPIRED: Final = refusing(Refused.EXPIRED_CREDENTIAL)
# Seconds for which a date may have passed although Entra ID accepts the credential: a declared date means the start of its day,
# and a token may be older than the probe that uses it.
_DATE_TOLERANCE: Final = 86400.0
REFUSED: Final = "wrong: Entra ID refuses the credential as expired"
ACCEPTED: Final = "wrong: Entra ID accepted the credential after that date"


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
    return EntraAnswer(at=at, expired_since=at if before is None or before.expired_since is None else before.expired_since)


def mark_wrong_dates(
    credential: str, expiries: Iterable[CredentialExpiry], answer: EntraAnswer | None
) -> tuple[CredentialExpiry, ...]:
    """Return the dates of a credential with the wrong ones marked, and the date of Entra ID itself if it calls the credential expired."""
    found = list(expiries)
    if answer is None:
        return tuple(found)
    since, latest = answer.expired_since, answer.at - _DATE_TOLERANCE
    for place, each in enumerate(found):
        at = each.expires_at
        has_no_end = at is None and each.looked_up_at is not None and not each.failure
        if since is not None and (has_no_end or (at is not None and at > answer.at)):
            found[place] = replace(each, wrong=REFUSED)
        elif since is None and at is not None and at < latest:
            found[place] = replace(each, wrong=ACCEPTED)
    if since is not None:
        found.append(CredentialExpiry(credential=credential, source=Source.ENTRA, expires_at=since, looked_up_at=answer.at))
    return tuple(found)


def wrong_dates(expiries: Iterable[CredentialExpiry]) -> str:
    """Return which dates Entra ID contradicts, such as `the declared date 2027-03-01 is wrong`; empty without any."""
    names = {Source.CERTIFICATE: "certificate's", Source.GRAPH: "Graph", Source.KEY_VAULT: "Key Vault"}
    return ", ".join(
        f"the {names.get(each.source, each.source)} date {'(none)' if each.expires_at is None else moment(each.expires_at)[:10]} is wrong"
        for each in expiries
        if each.wrong
    )
