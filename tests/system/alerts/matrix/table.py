"""The matrix of scenarios: kinds of fault, patterns in time, intervals, modes and exporters, and the page that each must cause.

Literal tables, and the scenarios that follow from them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from tests.system.alerts.matrix.exposed import Fault, Target

MINUTE = 60
LEAD, AFTER = 30 * MINUTE, 65 * MINUTE
LASTS = {15: 40 * MINUTE, 60: 60 * MINUTE, 300: 150 * MINUTE}  # how long a fault lasts, by interval
SCRAPE = {15: 30, 60: 60, 300: 60}

MODES: Mapping[str, Mapping[str, str]] = {
    "full": {},
    "read_only": {"mode": "read_only"},
    "canary": {"mode": "canary"},
    "unpinned": {"pin": "none"},
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
    """A kind of fault, and its page. `now_and_then` is the page of an intermittent fault, `without` that of a target without a verdict.

    Empty means `page`.
    """

    name: str
    fault: Fault
    page: str
    without: str = ""
    now_and_then: str = ""
    without_now_and_then: str = ""


NOT_READY, FAILS = "EkmVaultSideNotReady", "EkmProbeFails"
KINDS = (
    Kind("the vault throttles", Fault("get_key", 3011, "throttled"), "EkmThrottledSpike"),
    Kind("the vault forbids", Fault("get_key", 3077, "forbidden_rbac"), "EkmForbiddenSpike"),
    Kind("the key is not found", Fault("get_key", 3076, "key_not_found"), NOT_READY, FAILS),
    Kind("the host name is gone", Fault("challenge", 3900, "dns_not_found"), "EkmVaultHostNameGone", "", NOT_READY, FAILS),
    Kind("Entra ID refuses the credential", Fault("token", 3303, "secret_wrong"), "EkmCredentialRefused"),
    Kind("Entra ID throttles", Fault("token", 3011, "throttled"), "EkmEntraTurnsAway"),
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
        return f"{KINDS.index(self.kind)}-{self.pattern.replace(' ', '-')}-{self.interval}-{self.mode}-{self.exporters}"

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
        if self.pattern == "once":
            return ""
        has_verdict = self.mode in ("full", "read_only")
        kind = self.kind
        if self.pattern == "sustained":
            return kind.page if has_verdict else kind.without or kind.page
        return (kind.now_and_then if has_verdict else kind.without_now_and_then or kind.without) or kind.page

    def targets(self) -> Iterator[Target]:
        bad = [self.kind.fault if PATTERNS[self.pattern](number) else None for number in range(self._count)]
        probes: Sequence[Fault | None] = [*[None] * (self.begin // self.interval), *bad, *[None] * (AFTER // self.interval)]
        for number in range(self.exporters):
            yield Target(
                instance=f"{self.name}-x{number}",
                name=self.name,
                interval=self.interval,
                probes=probes,
                credential=self.name,
                **MODES[self.mode],  # type: ignore[arg-type]
            )


def scenarios() -> list[Scenario]:
    """All combinations; two exporters see the same targets in mode full."""
    one = [Scenario(*parts, 1) for parts in product(KINDS, PATTERNS, LASTS, MODES)]
    two = [Scenario(*parts, "full", 2) for parts in product(KINDS, PATTERNS, LASTS)]
    return [*one, *two]
