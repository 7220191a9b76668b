"""The monthly cost of a configuration, and its share of the vaults' limits.

It is computed from the rates of `traffic`, as if nothing failed. Prices are left out: they differ by contract and region.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from exporter.config.consequences.traffic import LookupStream, Stream, expiry_lookups, streams
from exporter.config.settings import Config
from exporter.core import durations
from exporter.core.endpoints import cloud_of
from exporter.core.probe_starts import DATABASE_TOKEN_SECONDS, JITTER, LOOKUP_SECONDS
from exporter.core.request_limits import KEY_LIMITS, WINDOW_SECONDS
from exporter.core.vault_limits import has_limits, operation_limit

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
STATEMENTS = 19  # of one reading: the options of the session, and a statement for each section
_READINGS = """\
{servers}, each read every {every}: {each} readings of each, {readings} in all, with {statements} statements. A reading is one
connection with one login and {of_one} statements. On Windows, one or two follow for each entry of the connector in the registry.
"""


@dataclass(slots=True)
class Monthly:
    """Numbers per month of 30 days, of one credential or of all."""

    targets: set[str] = field(default_factory=set)
    requests: float = 0.0
    billable: float = 0.0
    log_rows: float = 0.0
    sign_ins: float = 0.0

    def add(self, other: Monthly) -> None:
        """Add the numbers of another one."""
        self.targets |= other.targets
        self.requests += other.requests
        self.billable += other.billable
        self.log_rows += other.log_rows
        self.sign_ins += other.sign_ins


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
    found = {name: Monthly() for name in config.credentials}
    sharing: dict[tuple[object, ...], _Users] = {}
    for stream in streams(config, today):
        found[stream.credential].add(_stream_numbers(stream))
        sharing.setdefault(_token_key(stream), _Users(stream.module.token_max_age)).add(stream)
    for (credential, *_), users in sharing.items():
        found[str(credential)].sign_ins += users.sign_ins() * MONTH_SECONDS
    for lookup in expiry_lookups(config):
        found[lookup.credential].add(_lookup_numbers(lookup))
    every = config.settings.sql_interval
    for name, servers in Counter(server.entra_credential for server in config.sql_servers.values()).items():
        if name is not None:
            found[name].sign_ins += min(servers / every, 1 / DATABASE_TOKEN_SECONDS) * MONTH_SECONDS
    return {name: sums for name, sums in found.items() if sums.requests or sums.sign_ins}


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
    total = Monthly()
    for sums in rows.values():
        total.add(sums)
    lines: list[tuple[str, ...]] = [_COLUMNS]
    lines += [(name, *_numbers(sums)) for name, sums in rows.items()]
    lines.append(("total", *_numbers(total)))
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
            servers=f"{servers} SQL Server{'s' * (servers > 1)}",
            every=durations.write(every),
            each=f"{round(each):,}",
            readings=f"{round(servers * each):,}",
            statements=f"{round(servers * each * STATEMENTS):,}",
            of_one=STATEMENTS,
        )


def _stream_numbers(stream: Stream) -> Monthly:
    requests = sum(rate for _, rate in stream.rates()) * MONTH_SECONDS
    billable = sum(rate for operation, rate in stream.rates() if operation.billable) * MONTH_SECONDS
    cloud = cloud_of(stream.vault)
    by_the_hour = cloud is not None and cloud.managed_hsm
    return Monthly({stream.target.name}, requests, 0.0 if by_the_hour else billable, requests)


def _lookup_numbers(lookup: LookupStream) -> Monthly:
    """Each lookup needs its own token: hourly lookups rarely coincide."""
    rows, billable = len(lookup.operations), sum(operation.billable for operation in lookup.operations)
    requests = rows or 1
    times = MONTH_SECONDS / LOOKUP_SECONDS
    return Monthly(set(), requests * times, billable * times, rows * times, times)


def _token_key(stream: Stream) -> tuple[object, ...]:
    """Return what streams need in common to share tokens.

    It is the credential, the audience of the token, and the route to Entra ID.

    """
    cloud = cloud_of(stream.vault)
    resource = cloud.resource if cloud is not None else stream.vault
    return stream.credential, stream.module.token_max_age, resource, stream.module.entra_route


def _numbers(sums: Monthly) -> tuple[str, ...]:
    counted = (sums.requests, sums.billable, sums.log_rows, sums.sign_ins)
    return str(len(sums.targets)), *(f"{round(number):,}" for number in counted)
