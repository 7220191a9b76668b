"""The tables of docs/maintainers/performance.md, from the figures in performance.csv there, which `./dev bench` writes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path

from bench.parts import PARTS as BENCH_PARTS
from bench.results import MACHINE, read
from docs.generators.pages import GeneratedPart, table

FIGURES = Path(__file__).parents[1] / "maintainers" / "performance.csv"
# A question, the names of its figures, and a text with a place for each.
QUESTIONS = (
    (
        "processor time of a probe",
        ("a probe: 20 targets per credential", "a probe, 20 targets per credential, against blackbox_exporter"),
        "{} (20 targets per credential): {} that of `blackbox_exporter`",
    ),
    (
        "yardstick for this machine",
        ("a probe: blackbox_exporter, five URLs per target", "a probe: bare aiohttp, shared token, same handshakes"),
        "a probe costs `blackbox_exporter` {}, and the bare script {}",
    ),
    ("5,000 targets every 60 s", ("5,000 targets every 60 s: processor time",), "{}"),
    (
        "memory of 5,000 targets",
        ("5,000 targets every 60 s: resident memory", "memory a target, 5,000 targets"),
        "{}, {} a target",
    ),
    ("a scrape of 5,000 targets", ("a scrape",), "{} in text, at level `full`"),
    (
        "the status page of 5,000 targets in three causes",
        tuple(f"status page of 5,000 targets in three causes: {what}" for what in ("time", "size", "longest pause")),
        "{}, {}, longest pause for a probe {}",
    ),
    ("start of the process to its first probe", ("process start to first probe",), "{}"),
)
# The figures with a goal.
GOALS = (
    "a probe, one token for all, against bare aiohttp",
    "a probe, 20 targets per credential, against blackbox_exporter",
    "a probe, each target its own credential, against blackbox_exporter",
    "5,000 targets every 60 s: processor time, against a probe of blackbox_exporter",
    "process start to first probe, beyond the import of aiohttp, azure.identity and azure.keyvault.keys",
    "explain 3303, against `python -c pass`",
    "--version, against `python -c pass`",
    "check, against `python -c pass`",
    "error of a step, against blackbox_exporter",
    "status page of 5,000 targets in three causes: longest pause",
    "5,000 targets every 60 s: resident memory",
)


def figures() -> dict[str, dict[str, str]]:
    """Return the rows of the file by the names of their figures."""
    return {row["what"]: row for row in read(FIGURES)}


def amount(found: Mapping[str, Mapping[str, str]], name: str) -> str:
    return f"{found[name]['median']} {found[name]['unit']}".strip()


def answers() -> str:
    """Return the table of what a user wants to know."""
    found, rows = figures(), []
    for question, names, text in QUESTIONS:
        known = all(name in found for name in names)
        rows.append((question, text.format(*(amount(found, name) for name in names)) if known else "not measured"))
    return table(("what", "this run"), rows)


def goals() -> str:
    """Return the table of the goals."""
    found, rows = figures(), []
    for name in GOALS:
        row = found.get(name, {"aim": "", "commit": ""})
        goal, _, met = (row["aim"] or row["commit"]).partition(": ")
        now = amount(found, name) if name in found else "not measured"
        rows.append((name, now, goal, met.replace("not met", "**no**").replace("met", "yes")))
    return table(("what", "now", "goal", "met"), rows)


def bounds() -> str:
    """Return the table of the figures with a bound, without the goals and those of docs/sizing.md."""
    rows = []
    for name, row in figures().items():
        if (row["commit"] or row["aim"]) and row["part"] != "failing" and name not in GOALS:
            limits = (row[bound].replace("not met", "**not met**") for bound in ("commit", "aim"))
            rows.append((name, amount({name: row}, name), f"{row['lowest']} to {row['highest']}", *limits))
    return table(("what", "median", "lowest to highest", "commit", "aim"), rows)


def machine() -> str:
    """Return the texts about the machine. If a text is not about all parts, it names the parts or those that are left out."""
    rows = figures().values()
    measured, lines = dict.fromkeys(row["part"] for row in rows if row["part"] != MACHINE), []
    for row in (row for row in rows if row["part"] == MACHINE):
        about = [f"`{name}`" for name in measured if name in row["how"].split()]
        others = [f"`{name}`" for name in measured if name not in row["how"].split()]
        names = "" if not others else f"{', '.join(about)}: " if len(about) <= len(others) else f"all but {', '.join(others)}: "
        lines.append(f"- {names}{row['what']}")
    return "\n".join(lines)


def parts() -> str:
    """Return the table of the parts: the docstrings of their modules."""
    words = {name: " ".join((inspect.getdoc(inspect.getmodule(measure)) or "").split()) for name, measure in BENCH_PARTS.items()}
    return table(("part", "measures"), ((f"`{name}`", text) for name, text in words.items()))


PARTS = (
    GeneratedPart("answers", answers),
    GeneratedPart("goals", goals),
    GeneratedPart("machine", machine),
    GeneratedPart("bounds", bounds),
    GeneratedPart("parts of the benchmark", parts),
)
