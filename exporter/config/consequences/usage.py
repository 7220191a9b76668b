"""What targets use: credentials, vaults and auxiliary probes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

from exporter.config.settings import Config, Target
from exporter.core.auxiliary import AuxiliaryKind, Identity


def credentials_in_use(config: Config) -> set[str]:
    """Names of the credentials that targets use, lookup credentials included."""
    return with_lookup_credentials(config, {name for target in config.targets.values() for name in probing_credentials(target)})


def with_lookup_credentials(config: Config, names: Iterable[str]) -> set[str]:
    """Return these names of credentials, and those of the credentials that look up when they expire."""
    pending, used = set(names), set[str]()
    while pending:
        name = pending.pop()
        used.add(name)
        pending |= set(config.credentials[name].lookup_credentials) - used
    return used


def probing_credentials(target: Target) -> tuple[str, ...]:
    """Names of the credentials that a target's probe and auxiliary probes use."""
    return tuple(name for name, _ in credential_uses(target))


def credential_uses(target: Target) -> Iterator[tuple[str, str]]:
    """Yield the names of these credentials, each with its use: one credential may have several uses."""
    uses = ((target.credential, "current"), (target.next_credential, "next"), (target.recovery_credential, "recovery vault"))
    yield from ((name, use) for name, use in uses if name is not None)
    yield from ((retained.credential, "retained version") for retained in target.retained_versions)


def probed_vaults(target: Target) -> set[str]:
    """Hosts that a target's probe and auxiliary probes send requests to."""
    return {vault for vault in (target.vault, target.recovery_vault) if vault is not None} | {
        old.vault for old in target.retained_versions
    }


def configured_auxiliary(target: Target, today: date) -> tuple[Identity, ...]:
    """Return the identities of a target's auxiliary probes.

    Results of other identities are obsolete.
    """
    return tuple(identity for identity, _ in list_auxiliary_probes(target, today))


def list_auxiliary_probes(target: Target, today: date) -> Iterator[tuple[Identity, str]]:
    """Yield the identity and the credential of each auxiliary probe of a target."""
    if target.next_credential is not None:
        yield (AuxiliaryKind.NEXT, target.next_credential, target.vault), target.next_credential
    for old in target.retained_versions:
        if old.is_needed(today):
            yield (AuxiliaryKind.RETAINED, f"{old.key_name}/{old.key_version}", old.vault), old.credential
    if target.key_version is not None:
        yield (AuxiliaryKind.NEWEST, target.key_name, target.vault), target.credential
    if target.recovery_vault is not None:
        credential = target.recovery_credential or target.credential
        yield (AuxiliaryKind.RECOVERY, target.recovery_vault, target.recovery_vault), credential
