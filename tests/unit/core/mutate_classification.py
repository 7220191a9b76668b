"""Changes every row of the classification's tables in turn, and asks the promises whether they notice: `./dev mutate`.

A row is taken out, given another code, another reason, more or fewer statuses, steps or markers. A change is
- noticed, where a promise is broken;
- void, where no input at all is judged otherwise (the end of a range, where a row above it decides anyway);
- a survivor otherwise: somebody could make it, and no expectation would fail.
Exit code 1 where there is a survivor.
Not for: what is promised (see `promised`), nor the function that reads the tables, which the tests cover by themselves.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from exporter.core import classify as module
from exporter.core.classify import Classification, ReasonRule, StatusRule, classify
from exporter.core.faults import Fault, Reason
from exporter.core.model import Facts, Step
from tests.unit.core.promised import PROMISED

TABLES = ("STATUS_RULES", "ENTRA_REASONS", "VAULT_REASONS", "FAULT_RULES")
STEPS = frozenset(Step)
EVERYDAY_WORDS = ("invalid_client", "forbidden", "notfound", "akv10000")  # what no row should listen to
SOME_STATUSES = (400, 401, 403, 404, 429, 500, 503)  # worth leaving out of a row, or adding to one


@dataclass(frozen=True, slots=True)
class Mutant:
    """One table with one row changed; `row` is what becomes of it, None where it is gone."""

    table: str
    index: int
    row: Any
    what: str

    def rows(self) -> tuple[Any, ...]:
        rows = getattr(module, self.table)
        return (*rows[: self.index], *(() if self.row is None else (self.row,)), *rows[self.index + 1 :])

    def __str__(self) -> str:
        return f"{self.table}[{self.index}] {self.what}: {getattr(module, self.table)[self.index]}"


def mutants() -> Iterator[Mutant]:
    for table in TABLES:
        for index, row in enumerate(getattr(module, table)):
            yield Mutant(table, index, None, "taken out")
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
    known = sorted({rule.code for rule in (*module.STATUS_RULES, *module.FAULT_RULES)})
    return {module.UNKNOWN, known[(known.index(row.code) + 1) % len(known)], row.code + 1}


def _reasons(row: Any) -> Iterable[Reason]:
    reasons = list(Reason)
    return dict.fromkeys((Reason.INTERNAL, reasons[(reasons.index(row.reason) + 1) % len(reasons)]))


def _steps(row: Any) -> Iterable[tuple[Step, ...] | None]:
    """None, one step more, one less, each alone."""
    now = STEPS if row.steps is None else frozenset(row.steps)
    sets = [now ^ {step} for step in STEPS] + [frozenset({step}) for step in STEPS]
    return [None, *(tuple(step for step in Step if step in some) for some in sets if some not in (now, STEPS))]


def _markers(row: Any) -> Iterable[tuple[str, ...]]:
    """Each left out, all left out (which a status row takes for any body), one too many."""
    without = [tuple(marker for marker in row.markers if marker != left_out) for left_out in row.markers]
    return [*without, (), *((*row.markers, word) for word in EVERYDAY_WORDS)]


def _statuses(row: ReasonRule) -> Iterable[tuple[int, ...]]:
    """Any, each alone, and one more or one less."""
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
    """The tables as the mutant has them, while inside."""
    before = {name: getattr(module, name) for name in (mutant.table, "_BY_FAULT")}
    rows = mutant.rows()
    setattr(module, mutant.table, rows)
    if mutant.table == "FAULT_RULES":
        module._BY_FAULT = {fault: tuple(rule for rule in rows if rule.fault is fault) for fault in Fault}
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)


def _promised() -> Mapping[bool, list[tuple[Step, Facts, Classification]]]:
    """Every promised case, by whether a status is judged: the one table for faults and the three for statuses never meet."""
    cases: dict[bool, list[tuple[Step, Facts, Classification]]] = {True: [], False: []}
    for promise in PROMISED:
        for step, facts in promise.cases():
            cases[facts.fault in _WITH_STATUS].append((step, facts, Classification(promise.code, promise.reason)))
    return cases


_WITH_STATUS = (Fault.HTTP_STATUS, Fault.PROXY_STATUS)
_CASES = _promised()


def noticed(table: str) -> bool:
    """Whether a promise is broken now that rests on this table."""
    return any(classify(step, facts) != classification for step, facts, classification in _CASES[table != "FAULT_RULES"])


def _everything() -> list[tuple[Step, Facts]]:
    """Every input that the tables can tell apart: each fault, and each status with each word, at each step."""
    rules: tuple[StatusRule | ReasonRule, ...] = (*module.STATUS_RULES, *module.ENTRA_REASONS, *module.VAULT_REASONS)
    words = sorted({marker for rule in rules for marker in rule.markers} | set(EVERYDAY_WORDS))
    said: list[dict[str, Any]] = [{}, *(_saying(word) for word in words)]
    return [
        *((step, Facts(fault=fault)) for step, fault in product(Step, Fault)),
        *(
            (step, Facts(fault=kind, status=status, **words))
            for step, kind, status, words in product(Step, _WITH_STATUS, _edges(), said)
        ),
    ]


def _edges() -> list[int]:
    """The statuses at which something may change, and those around them: no row, changed or not, tells others apart."""
    ends = {end for rule in module.STATUS_RULES for end in (rule.first, rule.last)}
    return sorted({number + by for number in ends | set(SOME_STATUSES) for by in (-2, -1, 0, 1, 2)})


def _saying(word: str) -> dict[str, Any]:
    for name, prefix in (("aadsts", "aadsts"), ("akv", "akv")):
        if word.startswith(prefix):
            return {name: int(word.removeprefix(prefix))}
    return {"key_state": word[4:]} if word.startswith("key:") else {"service_code": word}


@dataclass(slots=True)
class Verdict:
    noticed: list[Mutant] = field(default_factory=list)
    void: list[Mutant] = field(default_factory=list)
    survived: list[Mutant] = field(default_factory=list)


def judged() -> Verdict:
    """Every change of every row, sorted by who noticed it."""
    if any(noticed(table) for table in TABLES):
        raise AssertionError("a promise is broken before anything was changed")
    inputs = _everything()
    before = [classify(step, facts) for step, facts in inputs]
    verdict = Verdict()
    for mutant in mutants():
        with applied(mutant):
            if noticed(mutant.table):
                verdict.noticed.append(mutant)
            elif all(classify(step, facts) == old for (step, facts), old in zip(inputs, before, strict=True)):
                verdict.void.append(mutant)
            else:
                verdict.survived.append(mutant)
    return verdict


def main() -> int:
    verdict = judged()
    rows = sum(len(getattr(module, table)) for table in TABLES)
    changes = len(verdict.noticed) + len(verdict.void) + len(verdict.survived)
    print(f"{rows} rows, {changes} changes, {sum(len(cases) for cases in _CASES.values())} promised cases")
    print(f"{len(verdict.noticed)} noticed, {len(verdict.void)} void, {len(verdict.survived)} survived")
    for name in ("void", "survived"):
        for mutant in getattr(verdict, name):
            print(f"  {name}: {mutant}")
    return 1 if verdict.survived else 0


if __name__ == "__main__":
    sys.exit(main())
