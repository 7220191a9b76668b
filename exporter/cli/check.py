"""The command `ekm-exporter check`: validate a configuration; many equal findings share a line.

It also prints the effective configuration, its cost or its schema. It starts nothing and sends no request.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.cli.main import BAD_USAGE, CONFIG, FINE, Command, Flag, Refusal
from exporter.config.cost import monthly_cost
from exporter.config.load import Loaded, load_config
from exporter.config.schema import dump_yaml, schema_text
from exporter.config.settings import Config
from exporter.config.tree import Problem
from exporter.core import counted
from exporter.runtime.process import ExtraMissingError, is_installed

if TYPE_CHECKING:
    from exporter.web.config_file import WebLoaded

_FIRST = 3  # lines of equal findings before the line with the number of the others


def finding_lines(problems: Sequence[Problem], mark: str = "", *, every: bool = False) -> list[str]:
    """Return a line for each finding, with `mark` before its text. Without `every`, equal findings share a line after the first three.

    Findings are equal if they have the same text about the same setting, whatever credential or target has it.
    """
    numbers = Counter(map(_kind, problems))
    seen: Counter[str] = Counter()
    lines = []
    for problem in problems:
        kind = _kind(problem)
        seen[kind] += 1
        others = numbers[kind] - _FIRST
        if every or others < 2 or seen[kind] <= _FIRST:
            lines.append(f"{problem.where}: {mark}{problem.what}")
        elif seen[kind] == _FIRST + 1:
            lines.append(f"and {others} more: {mark}{kind} (ekm-exporter check --verbose prints each)")
    return lines


def _kind(problem: Problem) -> str:
    """`credentials.*.secret_file: no such file`."""
    path = re.sub(r"\[\d+\]", "[*]", problem.path)
    path = re.sub(r"^(\w+)\..+\.(\w+)$", r"\1.*.\2", path)
    return f"{path}: {problem.message}" if path else problem.message


class _PrintSchema(argparse.Action):
    """Print the schema and exit, as --help does: no other flag is required."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(schema_text(), end="")
        parser.exit(FINE)


def run(args: argparse.Namespace) -> int:
    """Check the configuration; 0 without a problem, 2 with one."""
    loaded = load_config(args.config_file)
    if loaded.config is not None and loaded.config.sql_servers and not is_installed("sql"):
        text = str(ExtraMissingError("sql"))
        missing = Problem(file=str(args.config_file), line=1, column=1, path="sql_servers", message=text)
        loaded = replace(loaded, warnings=(*loaded.warnings, missing))
    print_findings(loaded, every=args.verbose)
    web = None if args.web_config_file is None else web_config(args.web_config_file)
    config = loaded.config
    if config is None or (web is not None and web.config is None):
        print(summary(args.config_file, loaded), file=sys.stderr)
        return BAD_USAGE
    # A requested text has standard output for itself, so that it can be redirected to a file.
    texts = [text for wanted, text in ((args.print_effective, dump_yaml), (args.cost, monthly_cost)) if wanted]
    print(summary(args.config_file, loaded), file=sys.stderr if texts else sys.stdout)
    print("\n".join(text(config).rstrip("\n") for text in texts), end="\n" if texts else "")
    return FINE


def configuration(path: Path) -> Config:
    """Load a configuration for a command that needs one. Raises Refusal after printing the problems."""
    loaded = load_config(path)
    if loaded.config is None:
        print_findings(loaded)
        raise Refusal
    return loaded.config


def web_config(path: Path) -> WebLoaded:
    """Read a web configuration, and print its findings and their number."""
    from exporter.web.config_file import load  # noqa: PLC0415 - its library for certificates takes a third of the time

    loaded = load(path)
    print_findings(loaded)
    if loaded.problems or loaded.warnings:
        print(f"{path}: {_findings(loaded)}", file=sys.stderr)
    return loaded


def print_findings(loaded: Loaded | WebLoaded, *, every: bool = False) -> None:
    """Print problems and warnings to standard error. Many equal findings share a line, unless `every`."""
    for line in (*finding_lines(loaded.problems, every=every), *finding_lines(loaded.warnings, "warning: ", every=every)):
        print(line, file=sys.stderr)


def summary(path: Path, loaded: Loaded) -> str:
    """`ekm.yml: 12 targets, 3 credentials: no problem, 2 warnings`."""
    found = _findings(loaded)
    config = loaded.config
    if config is None:
        return f"{path}: {found}"
    parts = [_count(len(config.targets), "target"), _count(len(config.credentials), "credential")]
    parts += [_count(len(config.sql_servers), "SQL Server")] if config.sql_servers else []
    return f"{path}: {', '.join(parts)}: {found}"


def _findings(loaded: Loaded | WebLoaded) -> str:
    return f"{_count(len(loaded.problems), 'problem')}, {_count(len(loaded.warnings), 'warning')}"


def _count(number: int, noun: str) -> str:
    return counted(number, noun) if number else f"no {noun}"


COMMAND = Command(
    description=(
        "Validates a configuration without any request, and prints every problem and warning with its line. "
        "Many equal findings share a line after the first three. "
        "A library that run needs for SQL Servers, and that is missing here, is a warning: run may have another installation. "
        "Exit code: 0 without a problem, 2 with one; warnings do not change it."
    ),
    epilog="examples: ekm-exporter check --config.file ekm.yml --print-effective; ekm-exporter check --print-schema",
    run=run,
    flags=(
        CONFIG,
        Flag("--web.config.file FILE", "also validate this web configuration"),
        Flag(
            "--print-effective",
            "print the whole valid configuration: includes merged, defaults filled in, paths absolute, no secrets",
        ),
        Flag(
            "--cost",
            "print requests, billable operations, rows of audit logs, sign-ins and readings of SQL Servers per month, for each credential",
        ),
        Flag("--verbose", "print each problem and warning, also if many are equal"),
        Flag("--print-schema", "print the JSON Schema for editors, and exit", action=_PrintSchema, nargs=0),
    ),
)
