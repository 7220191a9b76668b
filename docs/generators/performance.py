"""The tables of docs/maintainers/performance.md, from the figures in performance.csv there, which `./dev bench` writes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path

from bench.parts import PARTS as BENCH_PARTS
from bench.probes import NAMES
from bench.profile import GROUPS
from bench.results import BEFORE, MACHINE, read
from docs.generators.pages import GeneratedPart

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
    (
        "a scrape of 5,000 targets",
        ("5,000 targets, plain, text: time", "5,000 targets, gzip, text: time"),
        "{} in text, {} in text with gzip, at level `full`",
    ),
    (
        "the status page of 5,000 targets in three causes",
        tuple(f"status page of 5,000 targets in three causes: {what}" for what in ("time", "size", "longest pause")),
        "{}, {}, longest pause for a probe {}",
    ),
    (
        "alert rules while 5,000 targets fail",
        ("5,000 failing targets, ekm.rules.yml: processor time of a round of rules",),
        "{} of Prometheus for each evaluation",
    ),
    ("1,250 targets that refused", ("1,250 fail by refusal: well again after",), "well again after {}, with an interval of 15 s"),
    (
        "a day",
        ("24 hours of 60 probes a target: resident memory, the last third of the day against the first",),
        "memory at its end {} that of its beginning",
    ),
    (
        "300 SQL Servers read every 5 min, 30 of them hang",
        tuple(
            f"300 SQL Servers read every 300 s: {what}"
            for what in ("processor time", "median error of a step, against without", "start lag, p99, against without")
        ),
        "{} more; error of a step {}, p99 of the start lag {} that without them",
    ),
    ("start of the process to its first probe", ("process start to first probe",), "{}"),
)
# The figures with a goal for both commits. Those of other programs show how the machine changed meanwhile.
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
    "1,250 fail by refusal: well again after",
    "5,000 targets every 60 s: resident memory",
)
OTHERS = (
    "a probe: blackbox_exporter, five URLs per target",
    "a probe: bare aiohttp, shared token, same handshakes",
    "a probe: blackbox_exporter, before and after the fleet",
    "error of a step by blackbox_exporter (`processing`)",
)


def figures() -> dict[str, dict[str, str]]:
    """Return the rows of the file by the names of their figures."""
    return {row["what"]: row for row in read(FIGURES)}


def amount(found: Mapping[str, Mapping[str, str]], name: str) -> str:
    return f"{found[name]['median']} {found[name]['unit']}".strip()


def answers() -> str:
    """Return the table of what a user wants to know."""
    found = figures()
    lines = ["| what | this run |", "| --- | --- |"]
    for question, names, text in QUESTIONS:
        known = all(name in found for name in names)
        lines.append(f"| {question} | {text.format(*(amount(found, name) for name in names)) if known else 'not measured'} |")
    return "\n".join(lines)


def goals() -> str:
    """Return the table of the goals for another commit and for this tree, and of the drift of the machine between both."""
    found = figures()
    lines = [f"*Before* is commit {what.removeprefix(BEFORE)}.\n" for what in found if what.startswith(BEFORE)]
    lines += ["| what | before | now | goal | met |", "| --- | --- | --- | --- | --- |"]
    for name in GOALS:
        row = found.get(name, {"before": "", "aim": "", "commit": ""})
        goal, _, met = (row["aim"] or row["commit"]).partition(": ")
        now = amount(found, name) if name in found else "not measured"
        lines.append(f"| {name} | {_before(row)} | {now} | {goal} | {met.replace('not met', '**no**').replace('met', 'yes')} |")
    lines += ["", "| other program | before | now | now against before |", "| --- | --- | --- | --- |"]
    for name in (name for name in OTHERS if name in found):
        row = found[name]
        drift = f"{_number(row['median']) / _number(row['before']):.2f} times" if row["before"] else ""
        lines.append(f"| {name} | {_before(row)} | {amount(found, name)} | {drift} |")
    return "\n".join(lines)


def _before(row: Mapping[str, str]) -> str:
    return f"{row['before']} {row['unit']}" if row["before"] else "not measured"


def _number(text: str) -> float:
    return float(text.replace(",", ""))


def profile() -> str:
    """Return the table of the shares of a probe."""
    found, kinds = figures(), (NAMES["twenty"], NAMES["own"])
    lines = [f"| share of a probe, in per cent | {' | '.join(kinds)} |", "| --- | --- | --- |"]
    for group in GROUPS:
        shares = [found.get(f"share of a probe, {kind}: {group}", {"median": "not measured"})["median"] for kind in kinds]
        lines.append(f"| {group} | {' | '.join(shares)} |")
    return "\n".join(lines)


def bounds() -> str:
    """Return the table of the figures with a bound, without the goals and those of docs/sizing.md."""
    lines = ["| what | before | median | lowest to highest | commit | aim |", "| --- | --- | --- | --- | --- | --- |"]
    for name, row in figures().items():
        if (row["commit"] or row["aim"]) and row["part"] != "failing" and name not in GOALS:
            limits = " | ".join(row[bound].replace("not met", "**not met**") for bound in ("commit", "aim"))
            spread = f"{row['lowest']} to {row['highest']}"
            lines.append(f"| {name} | {_before(row)} | {amount({name: row}, name)} | {spread} | {limits} |")
    return "\n".join(lines)


def machine() -> str:
    """Return the texts about the machine. If a text is not about all parts, it names the parts or those that are left out."""
    rows = figures().values()
    measured, lines = dict.fromkeys(row["part"] for row in rows if row["part"] != MACHINE), []
    for row in (row for row in rows if row["part"] == MACHINE and not row["what"].startswith(BEFORE)):
        about = [f"`{name}`" for name in measured if name in row["how"].split()]
        others = [f"`{name}`" for name in measured if name not in row["how"].split()]
        names = "" if not others else f"{', '.join(about)}: " if len(about) <= len(others) else f"all but {', '.join(others)}: "
        lines.append(f"- {names}{row['what']}")
    return "\n".join(lines)


def parts() -> str:
    """Return the table of the parts: the docstrings of their modules, once each."""
    names: dict[str, list[str]] = {}
    for name, part in BENCH_PARTS.items():
        words = inspect.getdoc(inspect.getmodule(part.measure)) or ""
        names.setdefault(" ".join(words.split()), []).append(f"`{name}`")
    return "\n".join(
        ["| part | measures |", "| --- | --- |", *(f"| {', '.join(found)} | {words} |" for words, found in names.items())]
    )


PARTS = (
    GeneratedPart("answers", answers),
    GeneratedPart("goals", goals),
    GeneratedPart("profile", profile),
    GeneratedPart("machine", machine),
    GeneratedPart("bounds", bounds),
    GeneratedPart("parts of the benchmark", parts),
)
