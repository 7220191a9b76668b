"""What a configuration says of a target, put so that it can be compared with what another configuration says of it.

For: which targets a reload changes, and of which of them a verdict does not speak any more. Names are not enough: a credential or
a module may be another one under the name that it had.
Not for: what follows from a change (see `app.service`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from exporter.config.build import credentials_in_use
from exporter.config.model import Config, Target

_Said = tuple[object, ...]


def changes(before: Config, after: Config) -> set[str]:
    """Names of the targets that are new, or of which anything differs that the configuration says of them."""
    return {name for name in after.targets if _differs(before, after, name, _said_of)}


def with_other_verdict(before: Config, after: Config) -> set[str]:
    """Names of the targets that are new, or of which a verdict would now be about something else."""
    return {name for name in after.targets if _differs(before, after, name, _judged_of)}


def _differs(before: Config, after: Config, name: str, of: Callable[[Config, Target], _Said]) -> bool:
    known = before.targets.get(name)
    return known is None or of(before, known) != of(after, after.targets[name])


def _said_of(config: Config, target: Target) -> _Said:
    in_use = credentials_in_use(replace(config, targets={target.name: target}))
    credentials = tuple(config.credentials[name] for name in sorted(in_use))
    return target, credentials, *_around(config, target)


def _judged_of(config: Config, target: Target) -> _Said:
    """The key, and what opens it from where; when the credential ends, and who knows that, is no part of it."""
    credential = replace(
        config.credentials[target.credential],
        expires_on=None,
        graph_credential=None,
        key_vault_secret=None,
        key_vault_credential=None,
    )
    return target.vault, target.key, credential, *_around(config, target)


def _around(config: Config, target: Target) -> _Said:
    return config.modules[target.module], config.settings.vantage
