"""The requests of a configuration and their rates, when nothing fails.

Covers the probes and auxiliary probes of every target and the expiry lookups. `cost` turns them into numbers per month.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from exporter.config.consequences.usage import credentials_in_use, list_auxiliary_probes
from exporter.config.settings import Config, Module, Target
from exporter.core.auxiliary import AuxiliaryKind
from exporter.core.model import Step
from exporter.core.vault_limits import OPERATIONS, Operation, operations_of

# The dates of a Key Vault secret: a challenge and the list of versions, which is billed like reading a key.
_SECRET_DATES = tuple(operation for operation in OPERATIONS if not operation.with_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One repeated exchange with a vault, of a probe or an auxiliary probe.

    `every` and `key_every` are the seconds between two exchanges, and between two operations with the key.
    """

    target: Target
    module: Module
    credential: str
    vault: str
    operations: tuple[Operation, ...]
    every: float
    key_every: float
    auxiliary: bool = True

    def rates(self) -> Iterator[tuple[Operation, float]]:
        """Yield each operation with its requests per second."""
        for operation in self.operations:
            yield operation, 1 / (self.key_every if operation.with_key else self.every)


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupStream:
    """An hourly expiry lookup, at Microsoft Graph or in a vault."""

    credential: str  # of the lookup, not the one that expires
    operations: tuple[Operation, ...]  # empty for Graph: one request, no vault


def streams(config: Config, today: date) -> Iterator[Stream]:
    """Yield the exchanges of all probes and auxiliary probes."""
    for target in config.targets.values():
        module = config.modules[target.module]
        yield _probe(target, module)
        yield from _auxiliary_probes(target, module, today)


def expiry_lookups(config: Config) -> Iterator[LookupStream]:
    """Yield the expiry lookups of all credentials in use."""
    for name in sorted(credentials_in_use(config)):
        credential = config.credentials[name]
        if credential.graph_credential is not None:
            yield LookupStream(credential=credential.graph_credential, operations=())
        if credential.key_vault_secret is not None:
            yield LookupStream(credential=credential.key_vault_lookup_credential, operations=_SECRET_DATES)


def _probe(target: Target, module: Module) -> Stream:
    return Stream(
        target=target,
        module=module,
        credential=target.credential,
        vault=target.vault,
        operations=operations_of(module.mode),
        every=target.interval,
        key_every=max(target.interval, module.round_trip_interval),
        auxiliary=False,
    )


def _auxiliary_probes(target: Target, module: Module, today: date) -> Iterator[Stream]:
    """Yield the auxiliary probes of a target. They follow its probes, so they are never more frequent.

    Only the staged credential wraps; the others unwrap bytes that the exporter encrypts itself.
    """
    whole = operations_of(module.mode)
    unwraps = tuple(operation for operation in whole if operation.step is not Step.WRAP_KEY)
    reads = tuple(operation for operation in whole if not operation.with_key)
    operations = {AuxiliaryKind.NEXT: whole, AuxiliaryKind.NEWEST: reads}
    every = max(target.interval, module.auxiliary_interval)
    for (kind, _, vault), credential in list_auxiliary_probes(target, today):
        yield Stream(
            target=target,
            module=module,
            credential=credential,
            vault=vault,
            operations=operations.get(kind, unwraps),
            every=every,
            key_every=every,
        )
