"""The command `ekm-exporter gate`: may these SQL Servers restart tonight?

Reads the inventory's file and the API of a running exporter; probes nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path

from exporter.cli.http_flags import add_http_flags, read_password, time_limit
from exporter.cli.parser import add_flag
from exporter.clients.exporter_api import AccessError, ApiAccess, check_password, parse_url
from exporter.config.settings import SecretUnreadableError
from exporter.core import durations
from exporter.inventory.exporter_state import fetch_state
from exporter.inventory.folder import FACTS
from exporter.inventory.known_instances import read_inventory
from exporter.tde.gate.assess import assess
from exporter.tde.gate.model import Answer, Question
from exporter.tde.gate.render import as_json, as_text

READY, NOT_READY, BAD_USAGE = 0, 1, 2
DEFAULT_URL = "http://localhost:10377"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its flags."""
    parser = subparsers.add_parser(
        "gate",
        help="before a restart of SQL Servers: would they find their keys?",
        description=(
            "Reads which databases and keys each instance has (targets.d/inventory.json of the command inventory), and their state from a "
            "running exporter. Exit code: 0 if every key is ready and was for an hour, no credential expires within a day, and the restart "
            "stays below the vault's request limit; 1 with reasons otherwise, also if something is not known; 2 for bad arguments."
        ),
        epilog=r"examples: ekm-exporter gate --instance n1\SQLPRD01; ekm-exporter gate --ag AG7 --json",
    )
    which = parser.add_mutually_exclusive_group(required=True)
    add_flag(
        which,
        "--instance NAME",
        r"INSTANCE or HOST\INSTANCE that restarts; may be repeated. Without a host, every instance of that name",
        dest="instances",
        action="append",
    )
    add_flag(which, "--ag NAME", "every server of this availability group")
    add_flag(which, "--all", "every instance of the inventory", dest="every", action="store_true")
    add_flag(parser, "--json", "print JSON, for pipelines", action="store_true")
    _add_sources(parser)
    _add_limits(parser)
    parser.set_defaults(handler=gate)


def _add_sources(parser: argparse.ArgumentParser) -> None:
    add_flag(
        parser,
        "--url URL",
        f"the exporter that probes the targets (default {DEFAULT_URL})",
        type=parse_url,
        default=parse_url(DEFAULT_URL),
    )
    add_flag(
        parser,
        "--inventory PATH",
        f"folder of the inventory, or its {FACTS} (default targets.d)",
        type=Path,
        default=Path("targets.d"),
    )
    add_http_flags(parser, "web", user="the exporter's --web.config.file", server="the exporter")
    add_flag(parser, "--timeout DURATION", "for the response of the exporter (default 30s)", type=time_limit, default=30.0)


def _add_limits(parser: argparse.ArgumentParser) -> None:
    add_flag(
        parser,
        "--for DURATION",
        "how long each target must have been ready (default 1h)",
        dest="ready_for",
        type=durations.parse,
        default=3600.0,
    )
    add_flag(
        parser,
        "--window DURATION",
        "no credential may expire within this time (default 24h)",
        type=durations.parse,
        default=86400.0,
    )
    add_flag(
        parser,
        "--inventory-age DURATION",
        "an older reading of an instance counts as not known (default 35d)",
        type=durations.parse,
        default=35 * 86400.0,
    )
    add_flag(
        parser,
        "--unwrap-age DURATION",
        "an older last unwrap of a target counts as not known (default 15m)",
        type=durations.parse,
        default=900.0,
    )


def gate(args: argparse.Namespace) -> int:
    """Print the answer and return the exit code."""
    try:
        answer = _answer(args)
    except (AccessError, SecretUnreadableError) as error:
        print(f"ekm-exporter gate: {error}", file=sys.stderr)
        return BAD_USAGE
    print(json.dumps(as_json(answer), indent=2) if args.json else as_text(answer).rstrip("\n"))
    return READY if answer.verdict == "ready" else NOT_READY


def _answer(args: argparse.Namespace) -> Answer:
    url: str = args.url
    access = ApiAccess(url=url, timeout=args.timeout, user=args.user, password=read_password(args, "web"), ca_file=args.ca_file)
    check_password(access)
    question = Question(
        instances=tuple(args.instances or ()),
        group=args.ag,
        every=args.every,
        ready_for=args.ready_for,
        window=args.window,
        inventory_age=args.inventory_age,
        unwrap_age=args.unwrap_age,
        folder=str(args.inventory.parent if args.inventory.name == FACTS else args.inventory),
    )
    inventory = read_inventory(args.inventory)
    exporter = asyncio.run(fetch_state(access))
    return assess(question, inventory, exporter, now=time.time(), url=url.rstrip("/"))
