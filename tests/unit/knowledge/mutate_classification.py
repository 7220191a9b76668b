"""Change every row of the classification's tables in turn, and check the promises: `./dev mutate`.

A change removes a row, or gives it another code, another reason, more or fewer statuses, steps or markers. A change is
- detected if it breaks a promise;
- void if every input is still classified as before (for example the end of a range that an earlier row covers);
- a survivor otherwise: no expectation fails.
The exit code is 1 if there is a survivor. The promises are in `promised`.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice, product
from typing import Any

from exporter.core.values import Facts, Fault, Step
from exporter.knowledge import classify as classify_module
from exporter.knowledge import reasons
from exporter.knowledge.classify import Classification, StatusRule, classify
from exporter.knowledge.reasons import Reason, ReasonRule
from tests.support.values import replace
from tests.unit.knowledge.promised import PROMISED, aadsts_with

TABLES = ("STATUS_RULES", "ENTRA_REASONS", "VAULT_REASONS", "FAULT_RULES")
STEPS = frozenset(Step)
EVERYDAY_WORDS = ("invalid_client", "forbidden", "notfound", "akv10000")  # no row may match them
SOME_STATUSES = (400, 401, 403, 404, 429, 500, 503)  # added to a row, or removed from it


@dataclass(frozen=True, slots=True)
class Mutant:
    """One table with one changed row; `row` is the new row, None if it is removed."""

    table: str
    index: int
    row: Any
    what: str

    def rows(self) -> tuple[Any, ...]:
        rows = getattr(classify_module, self.table)
        return (*rows[: self.index], *(() if self.row is None else (self.row,)), *rows[self.index + 1 :])

    def __str__(self) -> str:
        return f"{self.table}[{self.index}] {self.what}: {getattr(classify_module, self.table)[self.index]}"


def mutants() -> Iterator[Mutant]:
    for table in TABLES:
        for index, row in enumerate(getattr(classify_module, table)):
            yield Mutant(table, index, None, "removed")
            for what, other in _changes(row):
                yield Mutant(table, index, other, what)


def _changes(row: Any) -> Iterator[tuple[str, Any]]:
    for name, variants in _VARIANTS.items():
        if hasattr(row, name):
            for value in variants(row):
                if value != getattr(row, name):
                    yield f"{name}={_short(value)}", replace(row, **{name: value})


def _short(value: object) -> str:
    return f"({len(value)} of them)" if isinstance(value, tuple) and len(value) > 9 else str(value)


def _codes(row: Any) -> Iterable[int]:
    known = sorted({rule.code for rule in (*classify_module.STATUS_RULES, *classify_module.FAULT_RULES)})
    return {classify_module.UNKNOWN, known[(known.index(row.code) + 1) % len(known)], row.code + 1}


def _reasons(row: Any) -> Iterable[Reason]:
    reasons = list(Reason)
    return dict.fromkeys((Reason.INTERNAL, reasons[(reasons.index(row.reason) + 1) % len(reasons)]))


def _steps(row: Any) -> Iterable[tuple[Step, ...] | None]:
    """No restriction, one step more, one step less, each step alone."""
    now = STEPS if row.steps is None else frozenset(row.steps)
    sets = [now ^ {step} for step in STEPS] + [frozenset({step}) for step in STEPS]
    return [None, *(tuple(step for step in Step if step in some) for some in sets if some not in (now, STEPS))]


def _markers(row: Any) -> Iterable[tuple[str, ...]]:
    """One marker less, no markers (a status row then matches any body), one marker more."""
    without = [tuple(marker for marker in row.markers if marker != left_out) for left_out in row.markers]
    return [*without, (), *((*row.markers, word) for word in EVERYDAY_WORDS)]


def _statuses(row: ReasonRule) -> Iterable[tuple[int, ...]]:
    """Any status, each status alone, one status more or less."""
    now = set(row.statuses or range(1000))
    others = (now ^ {number} for number in SOME_STATUSES)
    return [(), *((number,) for number in SOME_STATUSES), *(tuple(sorted(other)) for other in others if other)]


_VARIANTS: Mapping[str, Callable[[Any], Iterable[Any]]] = {
    "code": _codes,
    "reason": _reasons,
    "first": lambda row: (row.first - 1, row.first + 1),
    "last": lambda row: (row.last - 1, row.last + 1),
    "statuses": _statuses,
    "steps": _steps,
    "markers": _markers,
    "fault": lambda row: [list(Fault)[(list(Fault).index(row.fault) + 1) % len(Fault)]],
}


@contextmanager
def applied(mutant: Mutant) -> Iterator[None]:
    """Apply the change to the tables while the context is open."""
    before = {name: getattr(classify_module, name) for name in (mutant.table, "_FAULT_RULES")}
    rows = mutant.rows()
    setattr(classify_module, mutant.table, rows)
    if mutant.table == "FAULT_RULES":
        classify_module._FAULT_RULES = {fault: tuple(rule for rule in rows if rule.fault is fault) for fault in Fault}
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(classify_module, name, value)


def _promised() -> Mapping[bool, list[tuple[Step, Facts, Classification]]]:
    """Return every promised case, by whether it has a status: the table of faults and the three of statuses are independent."""
    cases: dict[bool, list[tuple[Step, Facts, Classification]]] = {True: [], False: []}
    for promise in PROMISED:
        for step, facts in promise.cases():
            cases[facts.fault in _WITH_STATUS].append((step, facts, Classification(promise.code, promise.reason)))
    return cases


_WITH_STATUS = (Fault.HTTP_STATUS, Fault.PROXY_STATUS)
_CASES = _promised()


def breaks_promise(table: str) -> bool:
    """Return whether a promise that depends on this table is broken now."""
    return any(classify(step, facts) != classification for step, facts, classification in _CASES[table != "FAULT_RULES"])


def _everything() -> list[tuple[Step, Facts]]:
    """Return every input that the tables can distinguish: each fault, and each status with each word, at each step."""
    rules: tuple[StatusRule | ReasonRule, ...] = (*classify_module.STATUS_RULES, *reasons.ENTRA_REASONS, *reasons.VAULT_REASONS)
    words = sorted({marker for rule in rules for marker in rule.markers} | set(EVERYDAY_WORDS))
    bodies: list[dict[str, Any]] = [{}, *(_body_with(word) for word in words)]
    return [
        *((step, Facts(fault=fault)) for step, fault in product(Step, Fault)),
        *(
            (step, Facts(fault=kind, status=status, **body))
            for step, kind, status, body in product(Step, _WITH_STATUS, _edges(), bodies)
        ),
    ]


def _edges() -> list[int]:
    """Return the statuses at the ends of ranges and those around them; no row distinguishes other statuses."""
    ends = {end for rule in classify_module.STATUS_RULES for end in (rule.first, rule.last)}
    return sorted({number + by for number in ends | set(SOME_STATUSES) for by in (-2, -1, 0, 1, 2)})


def _body_with(word: str) -> dict[str, Any]:
    if word.startswith("aadsts"):
        return {"aadsts": aadsts_with(word)}
    if word.startswith("akv"):
        return {"akv": int(word.removeprefix("akv"))}
    if word == "body:page":
        return {"has_page": True}
    return {"key_state": word[4:]} if word.startswith("key:") else {"service_code": word}


@dataclass(slots=True)
class Changes:
    detected: list[Mutant] = field(default_factory=list)
    void: list[Mutant] = field(default_factory=list)
    survived: list[Mutant] = field(default_factory=list)


def classify_changes(every: int = 1) -> Changes:
    """Apply every change of every row, or each `every`-th one, and sort the changes by their effect."""
    if any(breaks_promise(table) for table in TABLES):
        raise AssertionError("a promise is broken without any change")
    inputs = _everything()
    before = [classify(step, facts) for step, facts in inputs]
    changes = Changes()
    for mutant in islice(mutants(), 0, None, every):
        with applied(mutant):
            if breaks_promise(mutant.table):
                changes.detected.append(mutant)
            elif all(classify(step, facts) == old for (step, facts), old in zip(inputs, before, strict=True)):
                changes.void.append(mutant)
            else:
                changes.survived.append(mutant)
    return changes


def main() -> int:
    changes = classify_changes()
    rows = sum(len(getattr(classify_module, table)) for table in TABLES)
    count = len(changes.detected) + len(changes.void) + len(changes.survived)
    print(f"{rows} rows, {count} changes, {sum(len(cases) for cases in _CASES.values())} promised cases")
    print(f"{len(changes.detected)} detected, {len(changes.void)} void, {len(changes.survived)} survived")
    for name in ("void", "survived"):
        for mutant in getattr(changes, name):
            print(f"  {name}: {mutant}")
    return 1 if changes.survived else 0


if __name__ == "__main__":
    sys.exit(main())
