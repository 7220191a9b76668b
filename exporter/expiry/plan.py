"""Which credentials are watched, which sources are asked about each of them, and over which way.

For: reading all that off a configuration.
Not for: asking (see `asking`), when to ask (see `pace` and `desk`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from exporter.config.build import probing_credentials
from exporter.config.model import Config, Credential, CredentialKind, Module, Target
from exporter.core.credential_expiry import Source

# Who can be asked about a credential of each kind. What is declared needs no asking; the identities of a host and of a pod have
# nothing that ends, and what the default chain will find is not known.
_SOURCES: Final[Mapping[CredentialKind, tuple[Source, ...]]] = {
    CredentialKind.CLIENT_SECRET: (Source.GRAPH, Source.KEY_VAULT),
    CredentialKind.CONNECTOR_SECRET: (Source.GRAPH, Source.KEY_VAULT),
    CredentialKind.CLIENT_CERTIFICATE: (Source.CERTIFICATE, Source.GRAPH, Source.KEY_VAULT),
    CredentialKind.MANAGED_IDENTITY: (),
    CredentialKind.WORKLOAD_IDENTITY: (),
    CredentialKind.DEFAULT: (),
}
OVER_THE_NETWORK: Final = frozenset({Source.GRAPH, Source.KEY_VAULT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One credential, the sources to ask about it, who asks them, and the first target that uses it: its module is the way."""

    credential: Credential
    sources: tuple[Source, ...]
    askers: Mapping[Source, Credential]
    target: str
    vault: str
    module: Module


def watched(config: Config) -> dict[str, Watched]:
    """Every credential that a target uses, directly or to have another one looked up, by name."""
    found: dict[str, Watched] = {}
    for target in config.targets.values():
        waiting = list(probing_credentials(target))
        while waiting:
            name = waiting.pop()
            if name not in found:
                found[name] = watch(config, name, target)
                waiting += config.credentials[name].askers
    return found


def watch(config: Config, name: str, target: Target) -> Watched:
    """One credential, as it is used by that target."""
    credential = config.credentials[name]
    names = {Source.GRAPH: credential.graph_credential}
    if credential.key_vault_secret is not None:
        names[Source.KEY_VAULT] = credential.asks_key_vault_as
    askers = {source: config.credentials[asker] for source, asker in names.items() if asker is not None}
    possible = _SOURCES[credential.kind]
    return Watched(
        credential=credential,
        sources=tuple(source for source in possible if source is Source.CERTIFICATE or source in askers),
        askers=askers,
        target=target.name,
        vault=target.vault,
        module=config.modules[target.module],
    )


def subject(credential: Credential, source: Source) -> tuple[str, ...]:
    """What an answer of that source is about: what is known of one subject says nothing about another."""
    told = {
        Source.DECLARED: (),
        Source.CERTIFICATE: (credential.certificate_file,),
        Source.GRAPH: (credential.tenant_id, credential.client_id, credential.secret, credential.certificate_file),
        Source.KEY_VAULT: (credential.key_vault_secret,),
    }
    return (str(credential.kind), *("" if part is None else str(part) for part in told[source]))
