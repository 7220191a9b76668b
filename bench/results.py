"""The file of figures, and the comparison of two trees."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from bench.figures import COLUMNS, Figure, ratios, short
from bench.parts import PARTS, Outcome

BEFORE = "before: "  # begins the text that names the commit of the column before
MACHINE = "machine"  # the part of the rows with a text in place of a figure; their `how` lists the parts that the text is about


def write(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """Write rows of `COLUMNS` with their head."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows((COLUMNS, *rows))


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a file. There are none without a file."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def update(path: Path, after: Mapping[str, Outcome], before: Mapping[str, Outcome], texts: Iterable[str]) -> None:
    """Replace the rows of the measured parts. Rows of other parts stay, with the texts about their run."""
    old, about = read(path), dict[str, list[str]]()
    for row in old:
        if row["part"] == MACHINE:
            about[row["what"]] = [name for name in row["how"].split() if name not in after]
    for text in texts:
        about[text] = [*about.get(text, ()), *after]
    rows = [tuple(row.get(column) or "" for column in COLUMNS) for row in old if row["part"] not in after]
    for name, outcome in after.items():
        rows += [figure.row(name, other) for figure, other in _paired(outcome, before.get(name))]
    write(path, [*_machine(about), *sorted((row for row in rows if row[0] in PARTS), key=lambda row: [*PARTS].index(row[0]))])


def _machine(about: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, ...]]:
    for text, names in about.items():
        if names:
            filled = {"part": MACHINE, "what": text, "how": " ".join(name for name in PARTS if name in names)}
            yield tuple(filled.get(column, "") for column in COLUMNS)


def _paired(after: Outcome, before: Outcome | None) -> Iterator[tuple[Figure, Figure | None]]:
    known = {figure.what: figure for figure in before.figures} if before else {}
    yield from ((figure, known.get(figure.what)) for figure in after.figures)


def compared(before: Mapping[str, Outcome], after: Mapping[str, Outcome], revision: str) -> Iterator[str]:
    """The rows of a table with the figures of both trees. Programs other than the exporter show how steady the machine was."""
    yield f"\n| what | {revision} | this tree | ratio | lowest to highest |\n| --- | --- | --- | --- | --- |"
    for name, outcome in after.items():
        for figure, other in _paired(outcome, before[name]):
            if other is not None and len(other.runs) == len(figure.runs) and all(other.runs):
                runs = ratios(figure.runs, other.runs)
                amounts = f"{short(other.median)} {figure.unit} | {short(figure.median)} {figure.unit}"
                ratio = short(figure.median / other.median)
                yield f"| {figure.what} | {amounts} | {ratio} | {short(min(runs))} to {short(max(runs))} |"
    yield from (f"bench: {revision}: FAILED: {name} ({outcome.reason})" for name, outcome in before.items() if outcome.reason)
