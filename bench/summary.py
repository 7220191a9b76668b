"""The first table of docs/performance.md: what a user wants to know, from the figures of the run."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from bench.table import Figure, short


@dataclass(frozen=True, slots=True)
class Row:
    """A question, the beginning of the names of its figures, and a text with a place for each."""

    question: str
    figures: tuple[str, ...]
    text: str


ROWS = (
    Row(
        "processor time of a probe",
        ("a probe: 20 targets per credential", "a probe, 20 targets per credential, against blackbox_exporter"),
        "{} (20 targets per credential): {} that of `blackbox_exporter`",
    ),
    Row(
        "yardstick for this machine",
        ("a probe: blackbox_exporter, five URLs per target", "a probe: bare aiohttp, shared token, same handshakes"),
        "a probe costs `blackbox_exporter` {}, and the bare script {}",
    ),
    Row("5,000 targets every 60 s", ("5,000 targets every 60 s: processor time",), "{}"),
    Row(
        "10,000 targets every 60 s in 2 shards",
        tuple(f"10,000 targets every 60 s in 2 shards: {what}" for what in ("processor time of a shard", "start lag, p99")),
        "{} for each shard, start lag {} (p99)",
    ),
    Row(
        "memory of 5,000 targets",
        ("5,000 targets every 60 s: resident memory", "memory a target, 5,000 targets"),
        "{}, {} a target",
    ),
    Row(
        "series of a target",
        tuple(f"series of a target, level `{level}`" for level in ("minimal", "default", "full")),
        "{} at level `minimal`, {} at `default`, {} at `full`",
    ),
    Row(
        "a scrape of 5,000 targets",
        ("5,000 targets, plain, text: time", "5,000 targets, gzip, text: time"),
        "{} in text, {} in text with gzip, at level `full`",
    ),
    Row(
        "a day",
        ("24 hours of 60 probes a target: resident memory, the last third",),
        "memory at its end {} that of its beginning",
    ),
    Row("start of the process to its first probe", ("process start to first probe",), "{}"),
)


def amount(figures: Iterable[Figure], name: str) -> str:
    """The median of the first figure whose name begins like this, otherwise `not measured`."""
    for figure in figures:
        if re.match(rf"{re.escape(name)}(?![\w ])|{re.escape(name)}$|{re.escape(name)} of the day", figure.what.strip("*")):
            return f"{short(figure.median)}{figure.unit}"
    return "not measured"


def summary(figures: list[Figure]) -> str:
    lines = ["| what | this run |", "| --- | --- |"]
    lines += [f"| {row.question} | {row.text.format(*(amount(figures, name) for name in row.figures))} |" for row in ROWS]
    missed = [figure.what.strip("*") for figure in figures if not figure.reached]
    broken = [figure.what.strip("*") for figure in figures if not figure.met]
    lines.append(f"| bounds (*commit*) that were not kept | {'; '.join(broken) or 'none'} |")
    lines.append(f"| aims (*aim*) that were missed | {'; '.join(missed) or 'none'} |")
    return "\n".join(lines) + "\n"
