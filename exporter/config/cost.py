"""The requests of a configuration, what they cost a month, and their share of the vaults' limits, as if nothing failed.

Covers the probes and auxiliary probes of every target, the expiry lookups, and how many statements SQL Servers answer. Prices are left out: they differ by contract and region.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import NamedTuple

from exporter.config.settings import Config, Module, Target
from exporter.config.usage import credentials_in_use, list_auxiliary_probes
from exporter.core import counted, durations
from exporter.core.limits import DATABASE_TOKEN_SECONDS, JITTER, KEY_LIMITS, LOOKUP_SECONDS, WINDOW_SECONDS
from exporter.core.names import cloud_of
from exporter.core.values import KEY_STEPS, STEPS_WITH_KEY, Step, has_limits, operation_limit, operations_of
from exporter.knowledge.verdict import AuxiliaryKind

# The dates of a Key Vault secret: a challenge and the list of versions, which is billed like reading a key.
_SECRET_DATES = (Step.CHALLENGE, Step.GET_KEY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One repeated exchange with a vault, of a probe or an auxiliary probe.

    `every` and `key_every` are the seconds between two exchanges, and between two operations with the key.
    """

    target: Target
    module: Module
    credential: str
    vault: str
    operations: tuple[Step, ...]
    every: float
    key_every: float
    auxiliary: bool = True

    def rates(self) -> Iterator[tuple[Step, float]]:
        """Yield each operation with its requests per second."""
        for operation in self.operations:
            yield operation, 1 / (self.key_every if operation in STEPS_WITH_KEY else self.every)


def streams(config: Config, today: date) -> Iterator[Stream]:
    """Yield the exchanges of all probes and auxiliary probes."""
    for target in config.targets.values():
        module = config.modules[target.module]
        yield Stream(
            target=target,
            module=module,
            credential=target.credential,
            vault=target.vault,
            operations=operations_of(module.mode),
            every=target.interval,
            key_every=max(target.interval, module.round_trip_interval),
            auxiliary=False,
        )
        yield from _auxiliary_probes(target, module, today)


def expiry_lookups(config: Config) -> Iterator[tuple[str, tuple[Step, ...]]]:
    """Yield the hourly expiry lookups of all credentials in use: the credential that looks up, and its operations in a vault."""
    for name in sorted(credentials_in_use(config)):
        credential = config.credentials[name]
        if credential.graph_credential is not None:
            yield credential.graph_credential, ()
        if credential.key_vault_secret is not None:
            yield credential.key_vault_lookup_credential, _SECRET_DATES


def _auxiliary_probes(target: Target, module: Module, today: date) -> Iterator[Stream]:
    """Yield the auxiliary probes of a target. They follow its probes, so they are never more frequent.

    Only the staged credential wraps; the others unwrap bytes that the exporter encrypts itself.
    """
    whole = operations_of(module.mode)
    unwraps = tuple(step for step in whole if step is not Step.WRAP_KEY)
    operations = {AuxiliaryKind.NEXT: whole, AuxiliaryKind.NEWEST: (Step.CHALLENGE, Step.GET_KEY)}
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


MONTH_SECONDS = 30 * 86400.0

_COLUMNS = ("credential", "targets", "requests", "billable operations", "vault log rows", "sign-ins")
_EXPLAINED = """\
The numbers cover probes, auxiliary probes and the hourly expiry lookups. Requests go to vaults and to Microsoft Graph. Each request
to a vault, even the first one without a token, adds a row to the vault's audit log. Each sign-in adds a row to Entra's sign-in log.
A managed HSM is paid by the hour, so its operations are not billable. The host of a managed identity caches tokens, so the real
number of its sign-ins is lower.
"""
_LIMITS = f"""\
Share of a vault's limit that the exporter uses. A vault allows in {WINDOW_SECONDS:g} seconds, for requests about a key:
{KEY_LIMITS}. The lowest is assumed here.
"""
_MOST_VAULTS = 5
STATEMENTS = 23  # of one reading: the options of the session, and a statement for each section (a file of the error log, mostly)
_READINGS = """\
{servers}, each read every {every}: {each} readings of each, {readings} in all, with {statements} statements. A reading is one
connection with one login and {of_one} statements. On Windows, one or two follow for each entry of the connector in the registry.
"""


class Monthly(NamedTuple):
    """Numbers per month of 30 days, of one credential or of all."""

    targets: frozenset[str] = frozenset()
    requests: float = 0.0
    billable: float = 0.0
    log_rows: float = 0.0
    sign_ins: float = 0.0

    @classmethod
    def total(cls, parts: Sequence[Monthly]) -> Monthly:
        """Return the numbers of all parts together."""
        return cls(
            frozenset().union(*(part.targets for part in parts)), *map(sum, zip(*(part[1:] for part in parts), strict=True))
        )


@dataclass(slots=True)
class Share:
    """Share of a vault's limit for the slowest kind of key, and its targets."""

    ratio: float
    targets: list[str]


@dataclass(slots=True)
class _Users:
    """Intervals in seconds, by target, of the probes that share one token."""

    token_max_age: float
    probes: dict[str, float] = field(default_factory=dict)
    auxiliary: dict[str, float] = field(default_factory=dict)
    shortest: float = float("inf")

    def add(self, stream: Stream) -> None:
        (self.auxiliary if stream.auxiliary else self.probes)[stream.target.name] = stream.every
        self.shortest = min(self.shortest, stream.target.interval)

    def sign_ins(self) -> float:
        """Return the largest number per second.

        The auxiliary probes of a target share a token, also with its probe if the credential is the same.
        """
        interval = min(self.probes.values(), default=float("inf")) * (1 - JITTER if len(self.probes) > 1 else 1)
        unshared = sum(1 / every for target, every in self.auxiliary.items() if target not in self.probes)
        # With several targets a probe starts as soon as jitter allows a new token.
        return min(1 / max(interval, self.token_max_age) + unshared, 1 / max(self.shortest * (1 - JITTER), self.token_max_age))


def monthly(config: Config, today: date) -> dict[str, Monthly]:
    """Return the numbers by credential, without unused credentials."""
    parts: dict[str, list[Monthly]] = {name: [] for name in config.credentials}
    sharing: dict[tuple[object, ...], _Users] = {}
    for stream in streams(config, today):
        requests, billable = (
            sum(rate for operation, rate in stream.rates() if operation in KEY_STEPS or every) * MONTH_SECONDS
            for every in (True, False)
        )
        cloud = cloud_of(stream.vault)
        by_the_hour = cloud is not None and cloud.managed_hsm
        parts[stream.credential].append(
            Monthly(frozenset({stream.target.name}), requests, 0.0 if by_the_hour else billable, requests)
        )
        # Streams share tokens of one credential, age, audience and route to Entra ID.
        resource = cloud.resource if cloud is not None else stream.vault
        shared = (stream.credential, stream.module.token_max_age, resource, stream.module.entra_route)
        sharing.setdefault(shared, _Users(stream.module.token_max_age)).add(stream)
    for (credential, *_), users in sharing.items():
        parts[str(credential)].append(Monthly(sign_ins=users.sign_ins() * MONTH_SECONDS))
    for name, operations in expiry_lookups(config):
        # One without operations is a request to Graph. Each lookup needs its own token: hourly lookups rarely coincide.
        rows, times = len(operations), MONTH_SECONDS / LOOKUP_SECONDS
        billed = sum(operation in KEY_STEPS for operation in operations) * times
        parts[name].append(Monthly(requests=(rows or 1) * times, billable=billed, log_rows=rows * times, sign_ins=times))
    every = config.settings.sql_interval
    for entra, servers in Counter(server.entra_credential for server in config.sql_servers.values()).items():
        if entra is not None:
            parts[entra].append(Monthly(sign_ins=min(servers / every, 1 / DATABASE_TOKEN_SECONDS) * MONTH_SECONDS))
    return {name: Monthly.total(found) for name, found in parts.items() if found}


def vault_shares(config: Config, today: date) -> dict[str, Share]:
    """Return the share by vault, with the vault's own weights of operations."""
    shares: dict[str, Share] = defaultdict(lambda: Share(0.0, []))
    for stream in streams(config, today):
        share = shares[stream.vault]
        if stream.target.name not in share.targets[-1:]:
            share.targets.append(stream.target.name)
        for operation, rate in stream.rates():
            share.ratio += WINDOW_SECONDS * rate / operation_limit(operation, stream.vault)
    return dict(shares)


def monthly_cost(config: Config, today: date | None = None) -> str:
    """Return the numbers of all credentials as a text table with an explanation."""
    today = today or datetime.now(UTC).date()
    rows = monthly(config, today)
    named = rows | {"total": Monthly.total([*rows.values()] or [Monthly()])}
    lines: list[tuple[str, ...]] = [_COLUMNS]
    for name, sums in named.items():
        numbers = (sums.requests, sums.billable, sums.log_rows, sums.sign_ins)
        lines.append((name, str(len(sums.targets)), *(f"{round(number):,}" for number in numbers)))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines]
    shares = _most_used(vault_shares(config, today))
    return "\n".join(["Per month of 30 days, if nothing fails:", "", *table, "", _EXPLAINED, *shares, *_readings(config)])


def _most_used(shares: Mapping[str, Share]) -> Iterator[str]:
    """Yield the vaults with a published limit that the exporter uses most."""
    limited = {vault: share for vault, share in shares.items() if has_limits(vault)}
    if limited:
        yield _LIMITS
    for vault in sorted(limited, key=lambda each: (-limited[each].ratio, each))[:_MOST_VAULTS]:
        yield f"{limited[vault].ratio:8.2%}  {vault}"
    if limited:
        yield ""


def _readings(config: Config) -> Iterator[str]:
    """Yield what SQL Servers answer per month."""
    if config.sql_servers:
        servers, every = len(config.sql_servers), config.settings.sql_interval
        each = MONTH_SECONDS / every
        yield _READINGS.format(
            servers=counted(servers, "SQL Server"),
            every=durations.write(every),
            each=f"{round(each):,}",
            readings=f"{round(servers * each):,}",
            statements=f"{round(servers * each * STATEMENTS):,}",
            of_one=STATEMENTS,
        )
