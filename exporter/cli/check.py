"""`ekm-exporter check`: is this configuration good, what does it come to, what would it cost?

For: printing what `exporter.config` has found. Starts nothing and asks nobody.
Not for: rules.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from exporter.config import Loaded, dump_yaml, load_config, monthly_cost
from exporter.web import webconfig

FINE, BAD_CONFIGURATION = 0, 2


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command and its flags."""
    parser = subparsers.add_parser(
        "check",
        help="validate a configuration",
        description="Validates a configuration: prints every problem and every warning, and starts nothing.",
        epilog="example: ekm-exporter check --config.file ekm.yml --print-effective",
    )
    parser.add_argument("--config.file", dest="config_file", metavar="FILE", type=Path, required=True, help="the configuration")
    parser.add_argument(
        "--web.config.file", dest="web_config_file", metavar="FILE", type=Path, help="validate this web configuration as well"
    )
    parser.add_argument("--print-effective", action="store_true", help="print the merged configuration; it holds no secrets")
    parser.add_argument("--cost", action="store_true", help="print requests, billable operations, log rows and sign-ins a month")
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """0 where there is no problem, 2 where there is one."""
    loaded = load_config(args.config_file)
    print_findings(loaded)
    web_file: Path | None = getattr(args, "web_config_file", None)
    web = None if web_file is None else web_config(web_file)
    config = loaded.config
    if config is None or (web is not None and web.config is None):
        print(summary(args.config_file, loaded), file=sys.stderr)
        return BAD_CONFIGURATION
    # What was asked for goes to standard output alone, so that it can be kept in a file.
    asked = [text for wanted, text in ((args.print_effective, dump_yaml), (args.cost, monthly_cost)) if wanted]
    print(summary(args.config_file, loaded), file=sys.stderr if asked else sys.stdout)
    print("\n".join(text(config).rstrip("\n") for text in asked), end="\n" if asked else "")
    return FINE


def web_config(path: Path) -> webconfig.WebLoaded:
    """A web configuration, its findings printed, and their number where there is one."""
    loaded = webconfig.load(path)
    print_findings(loaded)
    if loaded.problems or loaded.warnings:
        print(f"{path}: {_findings(loaded)}", file=sys.stderr)
    return loaded


def print_findings(loaded: Loaded | webconfig.WebLoaded) -> None:
    """Every problem and every warning on standard error, one line each."""
    for problem in loaded.problems:
        print(problem, file=sys.stderr)
    for warning in loaded.warnings:
        print(f"{warning.where}: warning: {warning.what}", file=sys.stderr)


def summary(path: Path, loaded: Loaded) -> str:
    """`ekm.yml: 12 targets, 3 credentials: no problem, 2 warnings`."""
    found = _findings(loaded)
    config = loaded.config
    if config is None:
        return f"{path}: {found}"
    return f"{path}: {_count(len(config.targets), 'target')}, {_count(len(config.credentials), 'credential')}: {found}"


def _findings(loaded: Loaded | webconfig.WebLoaded) -> str:
    return f"{_count(len(loaded.problems), 'problem')}, {_count(len(loaded.warnings), 'warning')}"


def _count(number: int, noun: str) -> str:
    if number == 0:
        return f"no {noun}"
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
