"""The file of figures, and the comparison of two trees."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from bench.figures import COLUMNS, ratios, short
from bench.parts import PARTS, Outcome

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


def update(path: Path, outcomes: Mapping[str, Outcome], texts: Iterable[str]) -> None:
    """Replace the rows of the measured parts. Rows of other parts stay, with the texts about their run."""
    about, rows = dict[str, list[str]](), list[tuple[str, ...]]()
    for row in read(path):
        if row["part"] == MACHINE:
            about[row["what"]] = [name for name in row["how"].split() if name not in outcomes]
        elif row["part"] not in outcomes:
            rows.append(tuple(row.values()))
    for text in texts:
        about[text] = [*about.get(text, ()), *outcomes]
    for name, outcome in outcomes.items():
        rows += [figure.row(name) for figure in outcome.figures]
    order, blank = [*PARTS], [""] * (len(COLUMNS) - 3)
    machine = [(MACHINE, text, *blank, " ".join(sorted(names, key=order.index))) for text, names in about.items() if names]
    write(path, [*machine, *sorted(rows, key=lambda row: order.index(row[0]))])


def compared(before: Mapping[str, Outcome], after: Mapping[str, Outcome], revision: str) -> Iterator[str]:
    """The rows of a table with the figures of both trees. Programs other than the exporter show how steady the machine was."""
    yield f"\n| what | {revision} | this tree | ratio | lowest to highest |\n| --- | --- | --- | --- | --- |"
    for name, outcome in after.items():
        known = {figure.what: figure for figure in before[name].figures}
        for figure in outcome.figures:
            other = known.get(figure.what)
            if other is not None and len(other.runs) == len(figure.runs) and all(other.runs):
                runs = ratios(figure.runs, other.runs)
                amounts = f"{short(other.median)} {figure.unit} | {short(figure.median)} {figure.unit}"
                ratio = short(figure.median / other.median)
                yield f"| {figure.what} | {amounts} | {ratio} | {short(min(runs))} to {short(max(runs))} |"
    yield from (f"bench: {revision}: FAILED: {name} ({outcome.reason})" for name, outcome in before.items() if outcome.reason)
