"""The matrix of scenarios: kinds of fault, patterns in time, intervals, modes and exporters, and the page that each must cause.

Literal tables, and the scenarios that follow from them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from tests.system.alerts.timeline import Exporter, Failed, Target

MINUTE = 60
LEAD, AFTER = 30 * MINUTE, 65 * MINUTE
LASTS = {15: 40 * MINUTE, 60: 60 * MINUTE, 300: 150 * MINUTE}  # how long a fault lasts, by interval
SCRAPE = {15: 60, 60: 60, 300: 100}  # seconds; a probe ends at a scrape

ON_HOST = {"vantage": "sql_host"}
MODES: Mapping[str, Mapping[str, str]] = {
    "full": ON_HOST,
    "read_only": {**ON_HOST, "mode": "read_only"},
    "canary": {**ON_HOST, "mode": "canary"},
    "unpinned": {**ON_HOST, "pin": "none"},
}
# Which probes fail, by their number since the fault began.
PATTERNS: Mapping[str, Callable[[int], bool]] = {
    "once": lambda number: number == 0,
    "sustained": lambda _: True,
    "one in three": lambda number: number % 3 == 0,
    "every other": lambda number: number % 2 == 0,
}


@dataclass(frozen=True)
class Kind:
    """A kind of fault, and its page."""

    name: str
    fault: Failed
    page: str


KINDS = (
    Kind("the vault throttles", Failed("get_key", 3011, "throttled"), "EkmThrottledSpike"),
    Kind("the vault forbids", Failed("get_key", 3077, "forbidden_rbac"), "EkmForbiddenSpike"),
    Kind("the key is not found", Failed("get_key", 3076, "key_not_found"), "EkmVaultSideNotReady"),
    Kind("the host name is gone", Failed("challenge", 3900, "dns_not_found"), "EkmVaultHostNameGone"),
    Kind("Entra ID refuses the credential", Failed("token", 3303, "secret_wrong"), "EkmCredentialRefused"),
    Kind("Entra ID throttles", Failed("token", 3011, "throttled"), "EkmEntraTurnsAway"),
)


@dataclass(frozen=True)
class Scenario:
    kind: Kind
    pattern: str
    interval: int
    mode: str
    exporters: int

    @property
    def name(self) -> str:
        return f"{self.place}-{self.exporters}"

    @property
    def place(self) -> str:
        """The name of its target, and of its exporters without their numbers: a scenario of one has the first of two."""
        return f"{KINDS.index(self.kind)}-{self.pattern.replace(' ', '-')}-{self.interval}-{self.mode}"

    @property
    def begin(self) -> int:
        return -(-LEAD // self.interval) * self.interval

    @property
    def recovery(self) -> int:
        """When the first good probe after the last bad one ends."""
        bad = [number for number in range(self._count) if PATTERNS[self.pattern](number)]
        return self.begin + (bad[-1] + 1) * self.interval

    @property
    def _count(self) -> int:
        return LASTS[self.interval] // self.interval

    @property
    def expected(self) -> str:
        """The alert of the one page; empty if there must be none."""
        return "" if self.pattern == "once" else self.kind.page

    def exported(self) -> Iterator[Exporter]:
        bad = [self.kind.fault if PATTERNS[self.pattern](number) else None for number in range(self._count)]
        probes = [*[None] * (self.begin // self.interval), *bad, *[None] * (AFTER // self.interval)]
        target = Target(
            name=self.place,
            vault=f"{self.place}.vault.azure.net",
            interval=self.interval,
            probes=probes,
            credential=self.place,
            info=MODES[self.mode],
            instances=(),
        )
        return (Exporter(targets=[target], instance=f"{self.place}-x{number}") for number in range(self.exporters))


def scenarios() -> list[Scenario]:
    """All combinations; two exporters see the same targets in mode full."""
    one = [Scenario(*parts, 1) for parts in product(KINDS, PATTERNS, LASTS, MODES)]
    two = [Scenario(*parts, "full", 2) for parts in product(KINDS, PATTERNS, LASTS)]
    return [*one, *two]
