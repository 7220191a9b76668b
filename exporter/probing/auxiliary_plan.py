"""The auxiliary probes of a target, and which of them are due.

Each is a probe with another credential, key version or vault.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date

from exporter.config.auxiliary import is_needed
from exporter.config.model import Config, Credential, CredentialKind, Module, Target
from exporter.core.auxiliary import AuxiliaryKind, AuxiliaryResult, Identity
from exporter.core.model import KeyFacts, Vantage
from exporter.probing.round_trip import ProbeRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class AuxiliaryProbe:
    """One auxiliary probe to make. `name` is that of its result."""

    what: AuxiliaryKind
    name: str
    request: ProbeRequest

    @property
    def identity(self) -> Identity:
        return self.what, self.name, self.request.target.vault

    @property
    def is_of_another_host(self) -> bool:
        """Whether the staged credential is an identity that only the SQL host has."""
        managed = self.request.credential.kind is CredentialKind.MANAGED_IDENTITY
        return self.what is AuxiliaryKind.NEXT and managed and self.request.vantage is Vantage.CENTRAL


def auxiliary_probes(config: Config, target: Target, key: KeyFacts | None, today: date) -> tuple[AuxiliaryProbe, ...]:
    """Return all auxiliary probes of a target.

    `key` are the last facts of the primary's key; without them there is no probe of the recovery vault.
    """
    return (*_next(config, target), *_retained(config, target, today), *_newest_and_recovery(config, target, key))


def is_due(last: AuxiliaryResult | None, interval: float, now: float) -> bool:
    """Return True without a result, after a failure, or after `interval` seconds.

    `now` is a Unix time.
    """
    return last is None or last.failure is not None or not 0 <= now - last.at < interval


def _next(config: Config, target: Target) -> Iterator[AuxiliaryProbe]:
    """Make the whole round trip, including wrap: SQL Server will need it too."""
    if target.next_credential is not None:
        staged = replace(target, credential=target.next_credential)
        yield AuxiliaryProbe(what=AuxiliaryKind.NEXT, name=target.next_credential, request=probe_request(config, staged))


def _retained(config: Config, target: Target, today: date) -> Iterator[AuxiliaryProbe]:
    for old in target.retained_versions:
        if not is_needed(old, today):
            continue
        kept = replace(target, vault=old.vault, key_name=old.key_name, key_version=old.key_version, credential=old.credential)
        yield AuxiliaryProbe(what=AuxiliaryKind.RETAINED, name=kept.key, request=replace(probe_request(config, kept), wrap=False))


def _newest_and_recovery(config: Config, target: Target, key: KeyFacts | None) -> Iterator[AuxiliaryProbe]:
    if target.key_version is not None:
        newest = replace(target, key_version=None)
        request = replace(probe_request(config, newest), round_trip=False)
        yield AuxiliaryProbe(what=AuxiliaryKind.NEWEST, name=target.key_name, request=request)
    if target.recovery_vault is not None and key is not None:
        restored = replace(
            target,
            vault=target.recovery_vault,
            key_version=target.key_version or key.version,
            credential=target.recovery_credential or target.credential,
        )
        request = replace(probe_request(config, restored), wrap=False, under=key)
        yield AuxiliaryProbe(what=AuxiliaryKind.RECOVERY, name=target.recovery_vault, request=request)


def probe_request(
    config: Config, target: Target, module: Module | None = None, credential: Credential | None = None
) -> ProbeRequest:
    """Return the request for one whole probe.

    Module and credential are those of the target by default.
    """
    return ProbeRequest(
        target=target,
        module=module or config.modules[target.module],
        credential=credential or config.credentials[target.credential],
        vantage=config.settings.vantage,
        timeout=target.timeout,
    )
