"""What is looked at beside a target's main probe, and when: orders for looks, and which of them are due.

For: from a configuration and what is known of the key to a list of orders, each a probe with another credential, key or vault.
Not for: making them (see `prober`), tasks (see `looker`), saying yes or no (see `core.beside`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date

from exporter.config.model import Config, Module, Retained, Target
from exporter.core.beside import Beside, Look
from exporter.core.model import KeyFacts, Mode
from exporter.probe import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One look to be made. `name` is that of the look (see `core.beside.Look`)."""

    what: Beside
    name: str
    order: Order

    @property
    def identity(self) -> tuple[Beside, str, str]:
        return self.what, self.name, self.order.target.vault


def plans(config: Config, target: Target, key: KeyFacts | None, today: date) -> tuple[Plan, ...]:
    """Every look that belongs to a target. `key` is what is known of the primary's key: without it nothing can be recovered."""
    module = config.modules[target.module]
    return (*_next(config, target, module), *_retained(config, target, module, today), *_of_key(config, target, module, key))


def still_declared(target: Target, look: Look, today: date) -> bool:
    """Whether a look that was once made still belongs to the target, as it is configured now."""
    if look.what is Beside.NEXT:
        return look.name == target.next_credential
    if look.what is Beside.RETAINED:
        return any(
            _needed(old, today) and (f"{old.key_name}/{old.key_version}", old.vault) == look.identity[1:]
            for old in target.retained
        )
    if look.what is Beside.RECOVERY:
        return look.vault == target.recovery_vault
    return target.key_version is not None and (look.name, look.vault) == (target.key_name, target.vault)


def due(last: Look | None, interval: float, now: float) -> bool:
    """Whether it is time: never looked, something stood in the way, or `interval` seconds have passed (`now` is a Unix time)."""
    return last is None or last.failure is not None or not 0 <= now - last.at < interval


def _next(config: Config, target: Target, module: Module) -> Iterator[Plan]:
    """The whole round trip, wrap included: SQL Server will need it, too."""
    if target.next_credential is not None:
        staged = replace(target, credential=target.next_credential)
        yield Plan(what=Beside.NEXT, name=target.next_credential, order=_order(config, staged, module))


def _retained(config: Config, target: Target, module: Module, today: date) -> Iterator[Plan]:
    for old in target.retained:
        if old.key_version is None or not _needed(old, today):
            continue
        kept = replace(target, vault=old.vault, key_name=old.key_name, key_version=old.key_version, credential=old.credential)
        yield Plan(what=Beside.RETAINED, name=kept.key, order=replace(_order(config, kept, module), wrap=False))


def _needed(old: Retained, today: date) -> bool:
    return old.until is None or old.until >= today


def _of_key(config: Config, target: Target, module: Module, key: KeyFacts | None) -> Iterator[Plan]:
    if target.key_version is not None:
        newest = replace(target, key_version=None)
        yield Plan(
            what=Beside.NEWEST,
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
        yield Plan(what=Beside.RECOVERY, name=target.recovery_vault, order=order)


def _order(config: Config, target: Target, module: Module) -> Order:
    credential = config.credentials[target.credential]
    return Order(target=target, module=module, credential=credential, vantage=config.settings.vantage, timeout=target.timeout)
