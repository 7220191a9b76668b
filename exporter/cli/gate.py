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

from exporter.cli.http_flags import add_http_flags, read_password, time_limit, typed
from exporter.config.secret_source import SecretUnreadableError
from exporter.core import durations
from exporter.core.gate.assess import assess
from exporter.core.gate.model import Answer, Question
from exporter.core.gate.render import as_json, as_text
from exporter.inventory.exporter_api import Access, AccessError, check_password, fetch_state, parse_url
from exporter.inventory.folder import FACTS
from exporter.inventory.known_instances import read_inventory

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
        allow_abbrev=False,
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--instance",
        dest="instances",
        metavar="NAME",
        action="append",
        help=r"INSTANCE or HOST\INSTANCE that restarts; may be repeated. Without a host, every instance of that name",
    )
    which.add_argument("--ag", metavar="NAME", help="every server of this availability group")
    which.add_argument("--all", dest="every", action="store_true", help="every instance of the inventory")
    parser.add_argument("--json", action="store_true", help="print JSON, for pipelines")
    _add_sources(parser)
    _add_limits(parser)
    parser.set_defaults(handler=gate)


def _add_sources(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url",
        metavar="URL",
        type=typed(parse_url),
        default=parse_url(DEFAULT_URL),
        help=f"the exporter that probes the targets (default {DEFAULT_URL})",
    )
    parser.add_argument(
        "--inventory",
        metavar="PATH",
        type=Path,
        default=Path("targets.d"),
        help=f"folder of the inventory, or its {FACTS} (default targets.d)",
    )
    add_http_flags(parser, "web", user="the exporter's --web.config.file", server="the exporter")
    parser.add_argument(
        "--timeout",
        metavar="DURATION",
        type=typed(time_limit),
        default=30.0,
        help="for the response of the exporter (default 30s)",
    )


def _add_limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--for",
        dest="ready_for",
        metavar="DURATION",
        type=typed(durations.parse),
        default=3600.0,
        help="how long each target must have been ready (default 1h)",
    )
    parser.add_argument(
        "--window",
        metavar="DURATION",
        type=typed(durations.parse),
        default=86400.0,
        help="no credential may expire within this time (default 24h)",
    )
    parser.add_argument(
        "--inventory-age",
        dest="inventory_age",
        metavar="DURATION",
        type=typed(durations.parse),
        default=35 * 86400.0,
        help="an older reading of an instance counts as not known (default 35d)",
    )
    parser.add_argument(
        "--unwrap-age",
        dest="unwrap_age",
        metavar="DURATION",
        type=typed(durations.parse),
        default=900.0,
        help="an older last unwrap of a target counts as not known (default 15m)",
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
    access = Access(url=url, timeout=args.timeout, user=args.user, password=read_password(args, "web"), ca_file=args.ca_file)
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
