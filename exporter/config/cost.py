"""What a configuration asks of Key Vault and Entra: requests, billable operations and sign-ins in a month; shares of limits.

For: `check --cost` and the warning about a vault's limit. Counts the main probe of every target, as it runs when nothing fails.
Not for: prices, which differ by contract and region; what really was sent.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from exporter.config.model import Config, Module, Target
from exporter.core.endpoints import cloud_of
from exporter.core.limits import OTHER_OPERATIONS, WINDOW_SECONDS, key_operations_limit, operations_of
from exporter.core.pace import JITTER

MONTH_SECONDS = 30 * 86400.0

_LOG_ROWS = (
    "Each vault request is one row of the vault's audit log, each sign-in one row of Entra's sign-in log, where these are kept."
)


@dataclass(slots=True)
class Monthly:
    """Of one credential, or of all: per month of 30 days."""

    targets: int = 0
    requests: float = 0.0
    billable: float = 0.0
    sign_ins: float = 0.0

    def add(self, other: Monthly) -> None:
        self.targets += other.targets
        self.requests += other.requests
        self.billable += other.billable
        self.sign_ins += other.sign_ins


@dataclass(slots=True)
class Share:
    """Of what one vault takes in ten seconds, if its keys are of the slowest kind; and whose probes it is."""

    ratio: float
    targets: list[str]


def monthly(config: Config) -> dict[str, Monthly]:
    """By credential, in the order of the configuration; credentials that no target uses are left out."""
    found: dict[str, Monthly] = {name: Monthly() for name in config.credentials}
    sharing: dict[tuple[object, ...], list[float]] = defaultdict(list)
    for target in config.targets.values():
        module = config.modules[target.module]
        probes = _per_second(target, module)
        billable = sum(rate for rate, counted in probes if counted)
        requests = sum(rate for rate, _ in probes)
        found[target.credential].add(Monthly(1, requests * MONTH_SECONDS, billable * MONTH_SECONDS))
        sharing[_token_key(target, module)].append(target.interval)
    for (credential, token_max_age, *_), intervals in sharing.items():
        found[str(credential)].sign_ins += MONTH_SECONDS / max(_cycle(intervals), float(str(token_max_age)))
    return {name: sums for name, sums in found.items() if sums.targets}


def vault_shares(config: Config) -> dict[str, Share]:
    """By vault; the operations are weighted as the vault weighs them."""
    shares: dict[str, Share] = defaultdict(lambda: Share(0.0, []))
    for target in config.targets.values():
        module = config.modules[target.module]
        share = shares[target.vault]
        share.targets.append(target.name)
        for operation in operations_of(module.mode):
            limit = key_operations_limit(target.vault) if operation.with_key else OTHER_OPERATIONS
            share.ratio += WINDOW_SECONDS / _every(target, module, with_key=operation.with_key) / limit
    return dict(shares)


def cost(config: Config) -> str:
    """A table for people."""
    rows = monthly(config)
    total = Monthly()
    for sums in rows.values():
        total.add(sums)
    lines: list[tuple[str, ...]] = [("credential", "targets", "vault requests", "billable operations", "sign-ins")]
    lines += [(name, *_numbers(sums)) for name, sums in rows.items()]
    lines.append(("in total", *_numbers(total)))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines]
    return "\n".join(["In a month of 30 days, when nothing fails:", "", *table, "", _LOG_ROWS, ""])


def _every(target: Target, module: Module, *, with_key: bool) -> float:
    """Seconds between two of a target's operations of that kind."""
    return max(target.interval, module.round_trip_interval) if with_key else target.interval


def _per_second(target: Target, module: Module) -> list[tuple[float, bool]]:
    """(rate, billable) of each operation of a target."""
    operations = operations_of(module.mode)
    return [(1 / _every(target, module, with_key=operation.with_key), operation.billable) for operation in operations]


def _cycle(intervals: list[float]) -> float:
    """Seconds between two sign-ins, at least: with several targets some probe starts as soon as jitter lets a token end."""
    return min(intervals) * (1 - JITTER if len(intervals) > 1 else 1)


def _token_key(target: Target, module: Module) -> tuple[object, ...]:
    """Targets with an equal key share their tokens: credential, what the token is for, and the way to Entra."""
    cloud = cloud_of(target.vault)
    resource = cloud.resource if cloud is not None else target.vault
    return target.credential, module.token_max_age, resource, module.way_to_entra


def _numbers(sums: Monthly) -> tuple[str, ...]:
    return str(sums.targets), *(f"{round(number):,}" for number in (sums.requests, sums.billable, sums.sign_ins))
