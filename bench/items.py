"""What a part yields: figures, pairs of this tree and another, and the mark after the warm-up. Each is one line of JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from bench.table import Figure, ratios, short

HEADER = ("what", "{revision}", "this tree", "ratio", "lowest to highest", "pairs", "how it was measured")


class Mark(StrEnum):
    """A point in a part. After `WARM`, a part waits until the machine is quiet."""

    WARM = "warm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A cost of another tree (`before`) and of this one (`after`), measured in turn; lower is better."""

    what: str
    unit: str
    before: Sequence[float]
    after: Sequence[float]
    how: str

    @property
    def ratios(self) -> list[float]:
        """The costs of this tree, divided by those of the other, pair by pair."""
        return ratios(self.after, self.before)

    def figure(self) -> Figure:
        return Figure(what=self.what, runs=self.ratios, unit=" times", how=self.how)

    def line(self) -> str:
        ratio = self.figure()
        before, after = (Figure(what="", runs=runs, unit=self.unit, how="").median for runs in (self.before, self.after))
        spread = f"{short(min(ratio.runs))} to {short(max(ratio.runs))}"
        amounts = f"{short(before)}{self.unit} | {short(after)}{self.unit}"
        return f"| {self.what} | {amounts} | **{short(ratio.median)}** | {spread} | {len(ratio.runs)} | {self.how} |"


@dataclass(frozen=True, slots=True)
class Broken:
    """A part ended early."""

    reason: str


Item = Figure | Pair | Broken | Mark
_KINDS: dict[str, type[Figure | Pair | Broken]] = {"figure": Figure, "pair": Pair, "broken": Broken}


def encoded(item: Item) -> str:
    if isinstance(item, Mark):
        return json.dumps({"kind": "mark", "name": item})
    kind = next(name for name, of_kind in _KINDS.items() if isinstance(item, of_kind))
    return json.dumps({"kind": kind, **asdict(item)})


def decoded(line: str) -> Item:
    fields = json.loads(line)
    kind = fields.pop("kind")
    return Mark(fields["name"]) if kind == "mark" else _KINDS[kind](**fields)


def pairs_table(pairs: Sequence[Pair], revision: str) -> str:
    head = [f"| {' | '.join(HEADER).format(revision=revision)} |", "|" + " --- |" * len(HEADER)]
    return "\n".join([*head, *(pair.line() for pair in pairs)]) + "\n"
