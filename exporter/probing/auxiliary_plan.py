"""What is looked at beside a target's main probe, and when: orders for looks, and which of them are due.

For: from a configuration and what is known of the key to a list of orders, each a probe with another credential, key or vault.
Not for: making them (see `prober`), tasks (see `auxiliary_runner`), saying yes or no (see `core.auxiliary`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date

from exporter.config.auxiliary import is_needed
from exporter.config.model import Config, CredentialKind, Module, Target
from exporter.core.auxiliary import AuxiliaryKind, AuxiliaryResult, Identity
from exporter.core.model import KeyFacts, Mode, Vantage
from exporter.probing.round_trip import ProbeRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class AuxiliaryProbe:
    """One look to be made. `name` is that of the look (see `core.auxiliary.Look`)."""

    what: AuxiliaryKind
    name: str
    order: ProbeRequest

    @property
    def identity(self) -> Identity:
        return self.what, self.name, self.order.target.vault

    @property
    def of_another_host(self) -> bool:
        """Whether what is staged is the SQL Server host's own identity, and this exporter has another one under that name."""
        managed = self.order.credential.kind is CredentialKind.MANAGED_IDENTITY
        return self.what is AuxiliaryKind.NEXT and managed and self.order.vantage is Vantage.CENTRAL


def auxiliary_probes(config: Config, target: Target, key: KeyFacts | None, today: date) -> tuple[AuxiliaryProbe, ...]:
    """Every look that belongs to a target. `key` is what is known of the primary's key: without it nothing can be recovered."""
    module = config.modules[target.module]
    return (*_next(config, target, module), *_retained(config, target, module, today), *_of_key(config, target, module, key))


def is_due(last: AuxiliaryResult | None, interval: float, now: float) -> bool:
    """Whether it is time: never looked, something stood in the way, or `interval` seconds have passed (`now` is a Unix time)."""
    return last is None or last.failure is not None or not 0 <= now - last.at < interval


def _next(config: Config, target: Target, module: Module) -> Iterator[AuxiliaryProbe]:
    """The whole round trip, wrap included: SQL Server will need it, too."""
    if target.next_credential is not None:
        staged = replace(target, credential=target.next_credential)
        yield AuxiliaryProbe(what=AuxiliaryKind.NEXT, name=target.next_credential, order=_order(config, staged, module))


def _retained(config: Config, target: Target, module: Module, today: date) -> Iterator[AuxiliaryProbe]:
    for old in target.retained_versions:
        if not is_needed(old, today):
            continue
        kept = replace(target, vault=old.vault, key_name=old.key_name, key_version=old.key_version, credential=old.credential)
        yield AuxiliaryProbe(what=AuxiliaryKind.RETAINED, name=kept.key, order=replace(_order(config, kept, module), wrap=False))


def _of_key(config: Config, target: Target, module: Module, key: KeyFacts | None) -> Iterator[AuxiliaryProbe]:
    if target.key_version is not None:
        newest = replace(target, key_version=None)
        yield AuxiliaryProbe(
            what=AuxiliaryKind.NEWEST,
            name=target.key_name,
            order=_order(config, newest, replace(module, mode=Mode.READ_ONLY)),
        )
    if target.recovery_vault is not None and key is not None:
        restored = replace(
            target,
            vault=target.recovery_vault,
            key_version=target.key_version or key.version,
            credential=target.recovery_credential or target.credential,
        )
        order = replace(_order(config, restored, module), wrap=False, under=key)
        yield AuxiliaryProbe(what=AuxiliaryKind.RECOVERY, name=target.recovery_vault, order=order)


def _order(config: Config, target: Target, module: Module) -> ProbeRequest:
    credential = config.credentials[target.credential]
    return ProbeRequest(
        target=target, module=module, credential=credential, vantage=config.settings.vantage, timeout=target.timeout
    )
