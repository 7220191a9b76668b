"""The expiry sources of each credential, and the intervals of lookups.

Intervals are a literal table. The caller passes the random draw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from exporter.config.consequences.usage import probing_credentials
from exporter.config.settings import Config, Credential, Module, Target
from exporter.core.credential_expiry import Source
from exporter.core.model import CredentialKind
from exporter.core.probe_starts import JITTER

# The sources for each kind of credential. A declared date needs no lookup. The identities of a host and of a pod do not expire.
# The credential that the default chain finds is unknown.
_SOURCES: Final[Mapping[CredentialKind, tuple[Source, ...]]] = {
    CredentialKind.CLIENT_SECRET: (Source.GRAPH, Source.KEY_VAULT),
    CredentialKind.CONNECTOR_SECRET: (Source.GRAPH, Source.KEY_VAULT),
    CredentialKind.CLIENT_CERTIFICATE: (Source.CERTIFICATE, Source.GRAPH, Source.KEY_VAULT),
    CredentialKind.MANAGED_IDENTITY: (),
    CredentialKind.WORKLOAD_IDENTITY: (),
    CredentialKind.DEFAULT: (),
}
NETWORK_SOURCES: Final = frozenset({Source.GRAPH, Source.KEY_VAULT})


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoredCredential:
    """One credential, its sources, and the first target that uses it.

    Lookups use the route of that target's module.
    """

    credential: Credential
    sources: tuple[Source, ...]
    lookup_credentials: Mapping[Source, Credential]
    target: str
    vault: str
    module: Module


def monitored_credentials(config: Config) -> dict[str, MonitoredCredential]:
    """Return every used credential by name, lookup credentials included."""
    found: dict[str, MonitoredCredential] = {}
    for target in config.targets.values():
        waiting = list(probing_credentials(target))
        while waiting:
            name = waiting.pop()
            if name not in found:
                found[name] = monitored_credential(config, name, target)
                waiting += config.credentials[name].lookup_credentials
    return found


def monitored_credential(config: Config, name: str, target: Target) -> MonitoredCredential:
    """Return one credential as that target uses it."""
    credential = config.credentials[name]
    names = {Source.GRAPH: credential.graph_credential}
    if credential.key_vault_secret is not None:
        names[Source.KEY_VAULT] = credential.key_vault_lookup_credential
    lookup_credentials = {source: config.credentials[one] for source, one in names.items() if one is not None}
    possible = _SOURCES[credential.kind]
    return MonitoredCredential(
        credential=credential,
        sources=tuple(source for source in possible if source is Source.CERTIFICATE or source in lookup_credentials),
        lookup_credentials=lookup_credentials,
        target=target.name,
        vault=target.vault,
        module=config.modules[target.module],
    )


def subject(credential: Credential, source: Source) -> tuple[str, ...]:
    """Return the subject of an answer of that source.

    An answer applies to no other subject.
    """
    parts = {
        Source.DECLARED: (),
        Source.CERTIFICATE: (credential.certificate_file,),
        Source.GRAPH: (credential.tenant_id, credential.client_id, credential.secret, credential.certificate_file),
        Source.KEY_VAULT: (credential.key_vault_secret,),
    }
    return (str(credential.kind), *("" if part is None else str(part) for part in parts[source]))


SECRET_SECONDS: Final = 10.0  # between two checks whether a secret has changed
CONCURRENT_LOOKUPS: Final = 4  # concurrent lookups
LOOKUP_SECONDS: Final = 30.0  # for one lookup, its token included
TOKEN_SECONDS: Final = 300.0  # for which lookups share one token
_FIRST, _SPACING, _SPREAD = 5.0, 0.25, 60.0


@dataclass(frozen=True, slots=True)
class LookupIntervals:
    """Seconds until the next lookup: after an answer, and after the first failure.

    `failed` doubles with each further failure, up to `answered`.
    """

    answered: float
    failed: float


INTERVALS: Final[Mapping[Source, LookupIntervals]] = {
    Source.CERTIFICATE: LookupIntervals(60.0, 60.0),  # a small local file
    Source.GRAPH: LookupIntervals(3600.0, 300.0),
    Source.KEY_VAULT: LookupIntervals(3600.0, 300.0),
}


def next_delay(source: Source, failures: int, draw: float) -> float:
    """Return the seconds to the next lookup after so many failures in a row.

    `draw` is uniform in [0, 1].
    """
    intervals = INTERVALS[source]
    doubled = intervals.failed * 2.0 ** min(failures - 1, 16)
    return (min(doubled, intervals.answered) if failures else intervals.answered) * (1 - JITTER + 2 * JITTER * draw)


def first_delay(source: Source, credentials: int, draw: float) -> float:
    """Return the seconds from the start to the first lookup, for so many credentials.

    A file is read at once. A network lookup waits until the first probes have found the tenant and completed their handshakes.
    """
    if source is Source.CERTIFICATE:
        return 0.0
    return _FIRST + draw * min(_SPREAD, _SPACING * credentials)
