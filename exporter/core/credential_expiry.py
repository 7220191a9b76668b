"""Credential expiry: sources, results, and the choice among listed secrets.

The choices are pure functions over the lists of Microsoft Graph and Key Vault. A secret is compared here and never stored.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Final

from exporter.core.endpoints import cloud_of

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
    """Return the hosts for a credential of this vault.

    The configured authority takes precedence.
    """
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
    matching = [one for one in listed if one.mark is not None and one.mark == secret[:HINT_LENGTH]]
    if not matching and len(listed) == 1 and listed[0].mark is None:
        matching = list(listed)
    return _soonest(matching, now, "the application lists no secret that begins like the configured one")


def choose_certificate(listed: Sequence[ListedCredential], thumbprint: str, now: float) -> LookupResult:
    """Return the expiry of the configured certificate.

    `thumbprint` is its SHA-1 in lower-case hex.
    """
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
    if wanted is not None:
        named = next((one for one in versions if one.version == wanted.lower()), None)
        if named is None:
            return LookupResult(answered=True, note="the vault lists no such version of the secret")
        return LookupResult(answered=True, expires_at=named.expires)
    usable = [one for one in versions if one.enabled]
    if not usable:
        return LookupResult(answered=True, note="the vault lists no version of the secret that is enabled")
    newest = max(usable, key=lambda one: -math.inf if one.created is None else one.created)
    return LookupResult(answered=True, expires_at=newest.expires)
