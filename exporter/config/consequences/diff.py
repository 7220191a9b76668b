"""Differences between two configurations, by target.

Names are not enough: a credential or module may have changed under its name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from exporter.config.consequences.usage import credentials_in_use
from exporter.config.settings import Config, Target

_Facts = tuple[object, ...]


def changed_targets(before: Config, after: Config) -> set[str]:
    """Names of the targets that are new or whose configuration differs in anything."""
    return {name for name in after.targets if _differs(before, after, name, _all_of)}


def changed_verdicts(before: Config, after: Config) -> set[str]:
    """Names of the targets that are new or whose earlier verdict no longer applies."""
    return {name for name in after.targets if _differs(before, after, name, _verdict_of)}


def _differs(before: Config, after: Config, name: str, of: Callable[[Config, Target], _Facts]) -> bool:
    known = before.targets.get(name)
    return known is None or of(before, known) != of(after, after.targets[name])


def _all_of(config: Config, target: Target) -> _Facts:
    in_use = credentials_in_use(replace(config, targets={target.name: target}))
    credentials = tuple(config.credentials[name] for name in sorted(in_use))
    return target, credentials, *_surroundings(config, target)


def _verdict_of(config: Config, target: Target) -> _Facts:
    """The key, the credential without its expiry, and the network path."""
    credential = replace(
        config.credentials[target.credential],
        expires_on=None,
        graph_credential=None,
        key_vault_secret=None,
        key_vault_credential=None,
    )
    return target.vault, target.key, credential, *_surroundings(config, target)


def _surroundings(config: Config, target: Target) -> _Facts:
    return config.modules[target.module], config.settings.vantage
