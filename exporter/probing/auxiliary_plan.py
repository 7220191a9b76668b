"""The auxiliary probes of a target, and which of them are due.

Each is a probe with another credential, key version or vault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import Any

from exporter.config.settings import Config, Credential, Module, Target
from exporter.core.auxiliary import AuxiliaryKind, Identity
from exporter.core.model import KeyFacts, Vantage
from exporter.probing.round_trip import ProbeRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class AuxiliaryProbe:
    """One auxiliary probe to make. `name` is that of its result, `vault` the host that receives its requests."""

    kind: AuxiliaryKind
    name: str
    vault: str
    build: Callable[[], ProbeRequest]  # called if it is due: the list is made after every probe

    @property
    def request(self) -> ProbeRequest:
        return self.build()

    @property
    def identity(self) -> Identity:
        return self.kind, self.name, self.vault

    @property
    def is_of_another_host(self) -> bool:
        """Whether the staged credential is an identity that only the SQL host has."""
        managed = self.request.credential.kind.is_managed
        return self.kind is AuxiliaryKind.NEXT and managed and self.request.vantage is Vantage.CENTRAL


def auxiliary_probes(config: Config, target: Target, key: KeyFacts | None, today: date) -> tuple[AuxiliaryProbe, ...]:
    """Return all auxiliary probes of a target.

    `key` are the last facts of the primary's key; without them there is no probe of the recovery vault.
    """
    return (*_next(config, target), *_retained(config, target, today), *_newest_and_recovery(config, target, key))


def is_due(succeeded_at: float | None, interval: float, now: float) -> bool:
    """Return True `interval` seconds after the last success, and without one: after a failure, or without a result.

    Times are Unix times.
    """
    return succeeded_at is None or not 0 <= now - succeeded_at < interval


def _next(config: Config, target: Target) -> Iterator[AuxiliaryProbe]:
    """Make the whole round trip, including wrap: SQL Server will need it too."""
    name = target.next_credential
    if name is not None:
        yield AuxiliaryProbe(
            kind=AuxiliaryKind.NEXT, name=name, vault=target.vault, build=partial(_request, config, target, {"credential": name})
        )


def _retained(config: Config, target: Target, today: date) -> Iterator[AuxiliaryProbe]:
    for old in target.retained_versions:
        if not old.is_needed(today):
            continue
        kept = {"vault": old.vault, "key_name": old.key_name, "key_version": old.key_version, "credential": old.credential}
        yield AuxiliaryProbe(
            kind=AuxiliaryKind.RETAINED,
            name=f"{old.key_name}/{old.key_version}",
            vault=old.vault,
            build=partial(_request, config, target, kept, wrap=False),
        )


def _newest_and_recovery(config: Config, target: Target, key: KeyFacts | None) -> Iterator[AuxiliaryProbe]:
    if target.key_version is not None:
        yield AuxiliaryProbe(
            kind=AuxiliaryKind.NEWEST,
            name=target.key_name,
            vault=target.vault,
            build=partial(_request, config, target, {"key_version": None}, round_trip=False),
        )
    if target.recovery_vault is not None and key is not None:
        restored = {
            "vault": target.recovery_vault,
            "key_version": target.key_version or key.version,
            "credential": target.recovery_credential or target.credential,
        }
        yield AuxiliaryProbe(
            kind=AuxiliaryKind.RECOVERY,
            name=target.recovery_vault,
            vault=target.recovery_vault,
            build=partial(_request, config, target, restored, wrap=False, public_key=key),
        )


def _request(
    config: Config,
    target: Target,
    changes: Mapping[str, Any],
    *,
    wrap: bool = True,
    round_trip: bool = True,
    public_key: KeyFacts | None = None,
) -> ProbeRequest:
    request = probe_request(config, replace(target, **changes))
    return replace(request, wrap=wrap, round_trip=round_trip, public_key=public_key)


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
