"""How long targets with one credential and route reuse a token response."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from exporter.config.consequences.usage import probing_credentials
from exporter.config.settings import Config, Credential, Module
from exporter.core.probe_starts import JITTER


@dataclass(frozen=True, slots=True)
class ReuseWindow:
    """The shortest interval and longest timeout of targets that share a token."""

    interval: float
    timeout: float

    def reusable_for(self, module: Module, *, granted: bool) -> float:
        """Return for how many seconds other probes may reuse the response.

        This is the shortest gap that jitter leaves between two probes of one target. So no target gets the same response twice,
        unless the module allows a greater token age. A refusal is never kept for longer than that gap.
        """
        gap = self.interval * (1 - JITTER)
        return max(gap, module.token_max_age) if granted else gap


class TokenReusePolicy:
    """The reuse window of each credential on each route to Entra.

    Call it with a credential and a module.
    """

    def __init__(self, config: Config) -> None:
        self._default = ReuseWindow(config.settings.interval, config.settings.timeout)
        self._windows: dict[Hashable, ReuseWindow] = {}
        for target in config.targets.values():
            route = config.modules[target.module].entra_route
            for credential in probing_credentials(target):
                known = self._windows.get((credential, route), ReuseWindow(target.interval, target.timeout))
                shared = ReuseWindow(min(known.interval, target.interval), max(known.timeout, target.timeout))
                self._windows[credential, route] = shared

    def __call__(self, credential: Credential, module: Module) -> ReuseWindow:
        """Return the pair's window, or that of `global` for an unused pair."""
        return self._windows.get((credential.name, module.entra_route), self._default)
