"""`ekm-exporter probe`: one probe now, told to a person.

For: the same probe that the exporter makes, with a fresh token, and an exit code that a script can use.
Not for: the wording (see `transcript`) or the JSON (see `shapes`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

from exporter import logs
from exporter.cli import check
from exporter.config import load
from exporter.config.model import Config, Credential, Target
from exporter.core.model import ProbeReport
from exporter.keyvault import NetworkError, quiet_sdk_loggers
from exporter.looplag import LoopLag
from exporter.prober import Listeners, Prober
from exporter.shapes import probe_shape
from exporter.transcript import transcript

T = TypeVar("T")

_NAMED = 10  # names shown where none is like the one that was asked for
FINE, FAILED, BAD_USAGE, INTERNAL = 0, 1, 2, 3


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "probe",
        help="one probe now, step by step",
        description="Makes one probe of a configured target, with a fresh token, and says what SQL Server would have said.",
        epilog="example: ekm-exporter probe contoso-key0 --config.file ekm.yml",
        allow_abbrev=False,
    )
    parser.add_argument("target", metavar="TARGET", help="a target's name in the configuration")
    parser.add_argument("--config.file", dest="config_file", metavar="FILE", type=Path, required=True, help="the configuration")
    parser.add_argument("--credential", metavar="NAME", help="another credential of the configuration, such as a staged one")
    parser.add_argument("--json", action="store_true", help="as JSON, for a script")
    parser.set_defaults(handler=probe)


def probe(args: argparse.Namespace) -> int:
    """0 where every step succeeded, 1 where one failed, 2 for a configuration or a name that is wrong."""
    loaded = load(args.config_file)
    if loaded.config is None:
        check.print_findings(loaded)
        return BAD_USAGE
    config = loaded.config
    target = named(config.targets, args.target, "target")
    if target is None:
        return BAD_USAGE
    credential = named(config.credentials, args.credential or target.credential, "credential")
    if credential is None:
        return BAD_USAGE
    logs.configure("error", logs.LogFormat.LOGFMT)
    try:
        report = asyncio.run(_probe(config, target, credential))
    except NetworkError as error:
        print(f"ekm-exporter: {error}", file=sys.stderr)
        return BAD_USAGE
    if report is None:
        print("ekm-exporter: the probe could not be made: no thread was free to resolve a name", file=sys.stderr)
        return INTERNAL
    if args.json:
        print(json.dumps(probe_shape(target, report), indent=2))
    else:
        print(transcript(target, report, vantage=config.settings.vantage), end="")
    return FINE if report.success else FAILED


async def _probe(config: Config, target: Target, credential: Credential) -> ProbeReport | None:
    quiet_sdk_loggers()
    tell = Listeners(bug=_say_bug, starved=lambda: None, token_requested=lambda: None)
    prober = Prober(config, lag=LoopLag(), tell=tell)
    try:
        return await prober.requested(target, credential=credential, fresh=True)
    finally:
        await prober.aclose()


def _say_bug(error: Exception) -> None:
    print(f"ekm-exporter: internal error: {type(error).__name__}", file=sys.stderr)


def named(things: Mapping[str, T], name: str, what: str) -> T | None:
    """The thing of that name; where there is none, None and a line that names the nearest or the first few."""
    if name in things:
        return things[name]
    near = get_close_matches(name, things, n=1)
    known = ", ".join(list(things)[:_NAMED]) + (", ..." if len(things) > _NAMED else "")
    hint = f" (did you mean {near[0]!r}?)" if near else f"; it has: {known}"
    print(f"ekm-exporter: the configuration has no {what} {name!r}{hint}", file=sys.stderr)
    return None
