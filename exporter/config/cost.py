"""What a configuration costs: requests, billable operations, log rows and sign-ins in a month; shares of vaults' limits.

For: `check --cost` and the warning about a vault's limit. Counts all that is asked (see `traffic`) as it runs when nothing fails.
Not for: prices, which differ by contract and region; what really was sent.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from exporter.config.model import Config
from exporter.config.traffic import LookUp, Stream, look_ups, streams
from exporter.core.endpoints import cloud_of
from exporter.core.timing import JITTER, LOOK_UP_SECONDS
from exporter.core.vault_limits import OTHER_OPERATIONS, WINDOW_SECONDS, key_operations_limit

MONTH_SECONDS = 30 * 86400.0

_COLUMNS = ("credential", "targets", "requests", "billable operations", "vault log rows", "sign-ins")
_EXPLAINED = """\
Counted are the probes, what is looked at beside them, and the hourly look-ups of when credentials end. Requests go to vaults and
Microsoft Graph. Each one to a vault, the refused one without a token included, is a row of that vault's audit log, and each sign-in
a row of Entra's sign-in log, where these are kept. A managed HSM is paid by the hour, so none of its operations is billable. The
host of a managed identity keeps tokens, which leaves fewer sign-ins.
"""


@dataclass(slots=True)
class Monthly:
    """Of one credential, or of all: per month of 30 days. `targets`: the names of those whose probes or looks use it."""

    targets: set[str] = field(default_factory=set)
    requests: float = 0.0
    billable: float = 0.0
    log_rows: float = 0.0
    sign_ins: float = 0.0

    def add(self, other: Monthly) -> None:
        self.targets |= other.targets
        self.requests += other.requests
        self.billable += other.billable
        self.log_rows += other.log_rows
        self.sign_ins += other.sign_ins


@dataclass(slots=True)
class Share:
    """Of what one vault takes in ten seconds, if its keys are of the slowest kind; and whose probes and looks it is."""

    ratio: float
    targets: list[str]


@dataclass(slots=True)
class _Users:
    """Who shares one token: seconds between two main probes, and between two looks, by target; the shortest interval of all."""

    token_max_age: float
    probes: dict[str, float] = field(default_factory=dict)
    looks: dict[str, float] = field(default_factory=dict)
    shortest: float = float("inf")

    def add(self, stream: Stream) -> None:
        (self.looks if stream.look else self.probes)[stream.target.name] = stream.every
        self.shortest = min(self.shortest, stream.target.interval)

    def sign_ins(self) -> float:
        """A second, at most. The looks of one target share a token, with its main probe if that has the same credential."""
        cycle = min(self.probes.values(), default=float("inf")) * (1 - JITTER if len(self.probes) > 1 else 1)
        lonely = sum(1 / every for target, every in self.looks.items() if target not in self.probes)
        # With several targets some probe starts as soon as jitter lets a token end.
        return min(1 / max(cycle, self.token_max_age) + lonely, 1 / max(self.shortest * (1 - JITTER), self.token_max_age))


def monthly(config: Config, today: date) -> dict[str, Monthly]:
    """By credential, in the order of the configuration; credentials that nobody asks with are left out."""
    found = {name: Monthly() for name in config.credentials}
    sharing: dict[tuple[object, ...], _Users] = {}
    for stream in streams(config, today):
        found[stream.credential].add(_of_stream(stream))
        sharing.setdefault(_token_key(stream), _Users(stream.module.token_max_age)).add(stream)
    for (credential, *_), users in sharing.items():
        found[str(credential)].sign_ins += users.sign_ins() * MONTH_SECONDS
    for look_up in look_ups(config):
        found[look_up.asker].add(_of_look_up(look_up))
    return {name: sums for name, sums in found.items() if sums.requests}


def vault_shares(config: Config, today: date) -> dict[str, Share]:
    """By vault; the operations are weighted as the vault weighs them."""
    shares: dict[str, Share] = defaultdict(lambda: Share(0.0, []))
    for stream in streams(config, today):
        share = shares[stream.vault]
        if stream.target.name not in share.targets[-1:]:
            share.targets.append(stream.target.name)
        for operation, rate in stream.rates():
            limit = key_operations_limit(stream.vault) if operation.with_key else OTHER_OPERATIONS
            share.ratio += WINDOW_SECONDS * rate / limit
    return dict(shares)


def monthly_cost(config: Config, today: date | None = None) -> str:
    """A table for people."""
    rows = monthly(config, today or datetime.now(UTC).date())
    total = Monthly()
    for sums in rows.values():
        total.add(sums)
    lines: list[tuple[str, ...]] = [_COLUMNS]
    lines += [(name, *_numbers(sums)) for name, sums in rows.items()]
    lines.append(("in total", *_numbers(total)))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines]
    return "\n".join(["In a month of 30 days, when nothing fails:", "", *table, "", _EXPLAINED])


def _of_stream(stream: Stream) -> Monthly:
    requests = sum(rate for _, rate in stream.rates()) * MONTH_SECONDS
    billable = sum(rate for operation, rate in stream.rates() if operation.billable) * MONTH_SECONDS
    cloud = cloud_of(stream.vault)
    by_the_hour = cloud is not None and cloud.managed_hsm
    return Monthly({stream.target.name}, requests, 0.0 if by_the_hour else billable, requests)


def _of_look_up(look_up: LookUp) -> Monthly:
    """Each has a token of its own: hourly look-ups seldom meet."""
    rows, billable = len(look_up.operations), sum(operation.billable for operation in look_up.operations)
    requests = rows or 1
    times = MONTH_SECONDS / LOOK_UP_SECONDS
    return Monthly(set(), requests * times, billable * times, rows * times, times)


def _token_key(stream: Stream) -> tuple[object, ...]:
    """Streams with an equal key share their tokens: credential, what the token is for, and the way to Entra."""
    cloud = cloud_of(stream.vault)
    resource = cloud.resource if cloud is not None else stream.vault
    return stream.credential, stream.module.token_max_age, resource, stream.module.way_to_entra


def _numbers(sums: Monthly) -> tuple[str, ...]:
    counted = (sums.requests, sums.billable, sums.log_rows, sums.sign_ins)
    return str(len(sums.targets)), *(f"{round(number):,}" for number in counted)
