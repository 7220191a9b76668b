"""When a credential ends: the sources that may know, what each of them answered, and which of several secrets is ours.

For: literal tables and pure choices over what Microsoft Graph and Key Vault list. A secret is compared here and nowhere kept.
Not for: asking anybody (see `exporter.clients`), when to ask (see `exporter.expiry`), metrics, or the ends of keys.
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
    """Who may know when a credential ends; the values of the label `source`."""

    DECLARED = "declared"  # the configuration
    CERTIFICATE = "certificate"  # notAfter of the certificate file
    GRAPH = "graph"  # what Microsoft Graph lists of the application
    KEY_VAULT = "key_vault"  # attributes of the Key Vault secret in which the credential is kept


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialExpiry:
    """What one source last said about one credential. Unix times.

    `expires_at` is None where the source knows of no end, or has not answered yet; `looked_up_at` is when it last answered, None
    where it never did (what is declared is looked up nowhere). `failure` is why the newest look-up failed, or why its answer
    says nothing of this credential; masked, empty where all is well. After a failure the last known `expires_at` stands.
    """

    credential: str
    source: Source
    expires_at: float | None = None
    looked_up_at: float | None = None
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupResult:
    """What one look-up brought: an answer (which may know of no end), or, where `answered` is False, only a reason in `note`.

    `note` of an answer says why it knows nothing of this credential. It is masked.
    """

    answered: bool
    expires_at: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedCredential:
    """One secret or certificate as it is listed. `mark` is its hint, or its thumbprint in lower-case hex; None: not told.

    `expires` is a Unix time, None for one that never ends.
    """

    mark: str | None
    expires: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppCredentials:
    """What Graph lists of an application or a service principal."""

    secrets: tuple[ListedCredential, ...] = ()
    certificates: tuple[ListedCredential, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretVersion:
    """One version of a Key Vault secret, without its value. Unix times."""

    version: str
    enabled: bool
    created: float | None = None
    expires: float | None = None


@dataclass(frozen=True, slots=True)
class GraphEndpoint:
    """Where an identity signs in and where Graph is, in one cloud."""

    authority: str
    graph: str


# Microsoft's own pages contradict each other about Graph outside of the public cloud: some give graph.chinacloudapi.cn for
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
    """Where to sign in and where Graph is, for a credential that is used with this vault; the configured authority decides first."""
    named = _CLOUD_OF_ENTRA.get((authority_host or "").lower().rstrip("/"))
    cloud = cloud_of(vault)
    return _GRAPH[named or (cloud.name if cloud is not None else "public")]


def start_of(day: date) -> float:
    """Midnight UTC at the day's start, as a Unix time: how a declared day is read."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


def choose_secret(listed: Sequence[ListedCredential], secret: str, now: float) -> LookupResult:
    """The end of our secret among those of an application, told by their first characters.

    A list without hints can only be about ours if there is one secret alone.
    """
    ours = [one for one in listed if one.mark is not None and one.mark == secret[:HINT_LENGTH]]
    if not ours and len(listed) == 1 and listed[0].mark is None:
        ours = list(listed)
    return _soonest(ours, now, "the application lists no secret that begins like the configured one")


def choose_certificate(listed: Sequence[ListedCredential], thumbprint: str, now: float) -> LookupResult:
    """The end of our certificate among those of an application; `thumbprint` is its SHA-1 in lower-case hex."""
    ours = [one for one in listed if one.mark == thumbprint]
    return _soonest(ours, now, "the application does not list the configured certificate")


def _soonest(ours: Iterable[ListedCredential], now: float, nothing: str) -> LookupResult:
    """Of several the earliest end that is yet to come, else the last that is past: one that never ends comes last of all."""
    ends = sorted(math.inf if one.expires is None else one.expires for one in ours)
    if not ends:
        return LookupResult(answered=True, note=nothing)
    end = next((end for end in ends if end > now), ends[-1])
    return LookupResult(answered=True, expires_at=None if end == math.inf else end)


def choose_version(versions: Sequence[SecretVersion], wanted: str | None) -> LookupResult:
    """The end of the version that is wanted, else of the newest one that is enabled."""
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
