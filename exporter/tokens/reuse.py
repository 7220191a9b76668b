"""How long a shared token answer serves: the pace of the targets that share a credential and a way to Entra.

For: reading that pace off a configuration.
Not for: tokens themselves (see `cache`).
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from exporter.config.model import Config, Credential, Module, Target
from exporter.core.timing import JITTER


@dataclass(frozen=True, slots=True)
class ReuseWindow:
    """The shortest interval and the longest timeout, in seconds, among the targets that share a token."""

    interval: float
    timeout: float

    def reusable_for(self, module: Module, *, granted: bool) -> float:
        """Seconds from the start of the probe that fetched an answer, within which it serves probes that start.

        The shortest gap that jitter leaves between two probes of one target: so none gets the same answer twice, unless the
        module lets tokens grow older. A refusal never does: it is asked about again in each cycle.
        """
        gap = self.interval * (1 - JITTER)
        return max(gap, module.token_max_age) if granted else gap


class TokenReusePolicy:
    """The cycle of each credential on each way to Entra; call it with a credential and a module."""

    def __init__(self, config: Config) -> None:
        self._default = ReuseWindow(config.settings.interval, config.settings.timeout)
        self._cycles: dict[Hashable, ReuseWindow] = {}
        for target in config.targets.values():
            way = config.modules[target.module].way_to_entra
            for credential in _credentials_of(target):
                known = self._cycles.get((credential, way), ReuseWindow(target.interval, target.timeout))
                shared = ReuseWindow(min(known.interval, target.interval), max(known.timeout, target.timeout))
                self._cycles[credential, way] = shared

    def __call__(self, credential: Credential, module: Module) -> ReuseWindow:
        """That of `global` for a pair no target uses, as when a person asks with another credential."""
        return self._cycles.get((credential.name, module.way_to_entra), self._default)


def _credentials_of(target: Target) -> set[str]:
    retained = (version.credential for version in target.retained_versions)
    named = (target.credential, target.next_credential, target.recovery_credential, *retained)
    return {name for name in named if name is not None}
