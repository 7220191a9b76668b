"""What a configuration asks of whom, and how often, when nothing fails: one stream for each thing that is asked again and again.

For: cost and shares of limits (see `cost`): the main probe of every target, each look beside it, and the look-ups of expiry dates.
Not for: making requests; what really was sent (see `exporter.metrics.request_budget`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from exporter.config.build import credentials_in_use
from exporter.config.model import Config, Module, Target
from exporter.core.model import Step
from exporter.core.vault_limits import OPERATIONS, Operation, operations_of

# A Key Vault secret's dates: asked for a challenge, then for the list of versions. The list is billed like the reading of a key.
_SECRET_DATES = tuple(operation for operation in OPERATIONS if not operation.with_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One exchange with a vault, and its repetition. `every` and `key_every` in seconds: of the exchange, and of operations with
    the key in it. `look` is False for a main probe.
    """

    target: Target
    module: Module
    credential: str
    vault: str
    operations: tuple[Operation, ...]
    every: float
    key_every: float
    look: bool = True

    def rates(self) -> Iterator[tuple[Operation, float]]:
        """Each operation with how often a second it is asked for."""
        for operation in self.operations:
            yield operation, 1 / (self.key_every if operation.with_key else self.every)


@dataclass(frozen=True, slots=True, kw_only=True)
class LookUp:
    """Somebody asks, every `core.timing.LOOK_UP_SECONDS`, when a credential ends: at Graph, or at the vault with its secret."""

    asker: str
    operations: tuple[Operation, ...]  # empty for Graph, which is asked once and is no vault


def streams(config: Config, today: date) -> Iterator[Stream]:
    """All that is asked of vaults for the sake of keys."""
    for target in config.targets.values():
        module = config.modules[target.module]
        yield _main(target, module)
        yield from _beside(target, module, today)


def look_ups(config: Config) -> Iterator[LookUp]:
    """All that is asked for the sake of credentials' ends."""
    for name in sorted(credentials_in_use(config)):
        credential = config.credentials[name]
        if credential.graph_credential is not None:
            yield LookUp(asker=credential.graph_credential, operations=())
        if credential.key_vault_secret is not None:
            yield LookUp(asker=credential.key_vault_lookup_credential, operations=_SECRET_DATES)


def _main(target: Target, module: Module) -> Stream:
    return Stream(
        target=target,
        module=module,
        credential=target.credential,
        vault=target.vault,
        operations=operations_of(module.mode),
        every=target.interval,
        key_every=max(target.interval, module.round_trip_interval),
        look=False,
    )


def _beside(target: Target, module: Module, today: date) -> Iterator[Stream]:
    """Looks follow main probes, so that none is more frequent. Bytes for an unwrap are encrypted here: only a staged credential
    is asked to wrap.
    """
    whole = operations_of(module.mode)
    unwraps = tuple(operation for operation in whole if operation.step is not Step.WRAP_KEY)
    if target.next_credential is not None:
        yield _look(target, module, target.next_credential, target.vault, whole)
    for old in target.retained_versions:
        if old.until is None or old.until >= today:
            yield _look(target, module, old.credential, old.vault, unwraps)
    if target.key_version is not None:
        reads = tuple(operation for operation in whole if not operation.with_key)
        yield _look(target, module, target.credential, target.vault, reads)
    if target.recovery_vault is not None:
        yield _look(target, module, target.recovery_credential or target.credential, target.recovery_vault, unwraps)


def _look(target: Target, module: Module, credential: str, vault: str, operations: tuple[Operation, ...]) -> Stream:
    every = max(target.interval, module.auxiliary_interval)
    return Stream(
        target=target,
        module=module,
        credential=credential,
        vault=vault,
        operations=operations,
        every=every,
        key_every=every,
    )
