"""`ekm-exporter probe`: one probe now and what is beside it, told to a person.

For: the same probe that the exporter makes, with a fresh token, and an exit code that a script can use.
Not for: making it (see `probe_once`), the wording (see `presentation.text` and `presentation.target_text`) or the JSON (see `presentation.payloads`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from exporter.cli import check
from exporter.cli.probe_once import ProbeOnceResult, probe_once
from exporter.clients import NetworkError
from exporter.config import load_config
from exporter.config.model import Config
from exporter.core.suggestions import nearest
from exporter.presentation.payloads import Payload, probe_payload, target_details_payload, verdict_payload
from exporter.presentation.target_text import target_text
from exporter.presentation.text import transcript
from exporter.runtime import logging

T = TypeVar("T")

_NAMED = 10  # names shown where none is like the one that was asked for
FINE, FAILED, BAD_USAGE, INTERNAL = 0, 1, 2, 3


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "probe",
        help="one probe now, step by step",
        description=(
            "Makes one probe of a configured target, with a fresh token, and says what SQL Server would have said. Then looks "
            "at what is declared beside it: staged credential, retained key versions, recovery vault, newest version, and when "
            "credentials end. The exit code is the probe's alone: 0 where every step succeeded, 1 where one failed; what is "
            "amiss beside it is a line that begins with warning."
        ),
        epilog="example: ekm-exporter probe contoso-key0 --config.file ekm.yml",
        allow_abbrev=False,
    )
    parser.add_argument("target", metavar="TARGET", help="a target's name in the configuration")
    parser.add_argument("--config.file", dest="config_file", metavar="FILE", type=Path, required=True, help="the configuration")
    parser.add_argument(
        "--credential",
        metavar="NAME",
        help="probe with another credential of the configuration, such as a staged one, and look at nothing beside",
    )
    parser.add_argument("--json", action="store_true", help="as JSON, for a script")
    parser.set_defaults(handler=probe)


def probe(args: argparse.Namespace) -> int:
    """0 where every step of the probe succeeded, 1 where one failed, whatever is amiss beside it, 2 for a configuration or a name that is wrong."""
    loaded = load_config(args.config_file)
    if loaded.config is None:
        check.print_findings(loaded)
        return BAD_USAGE
    config = loaded.config
    target = named(config.targets, args.target, "target")
    if target is None:
        return BAD_USAGE
    if args.credential is not None and named(config.credentials, args.credential, "credential") is None:
        return BAD_USAGE
    logging.configure("error", logging.LogFormat.LOGFMT)
    try:
        seen = asyncio.run(probe_once(config, target, args.credential))
    except NetworkError as error:
        print(f"ekm-exporter: {error}", file=sys.stderr)
        return BAD_USAGE
    if seen is None:
        print("ekm-exporter: the probe could not be made: no thread was free to resolve a name", file=sys.stderr)
        return INTERNAL
    if args.json:
        print(json.dumps(as_json(config, seen, now=time.time()), indent=2))
    else:
        print(as_text(config, seen, now=time.time()), end="")
    return FINE if seen.report.success else FAILED


def as_text(config: Config, seen: ProbeOnceResult, *, now: float) -> str:
    """Everything that was seen of a target, for a person; `now` is a Unix time."""
    target, chosen = seen.record.target, seen.chosen
    first = "" if chosen is None else f"with credential {chosen}, as asked: nothing beside the probe is looked at\n\n"
    told = transcript(target, seen.report, vantage=config.settings.vantage)
    expected = config.modules[target.module].expect_path
    return first + told + target_text(target, seen.record, seen.ends, expected, now=now, auxiliary=chosen is None)


def as_json(config: Config, seen: ProbeOnceResult, *, now: float) -> Payload:
    """The same for a script."""
    target = seen.record.target
    ends = [end for told in seen.ends.values() for end in told]
    return {
        **probe_payload(target, seen.report),
        "credential": target.credential,
        **verdict_payload(seen.report.readiness, config.settings.vantage),
        **target_details_payload(target, seen.record, ends, config.modules[target.module].expect_path, now=now),
    }


def named(things: Mapping[str, T], name: str, what: str) -> T | None:
    """The thing of that name; where there is none, None and a line that names the nearest or the first few."""
    if name in things:
        return things[name]
    known = ", ".join(list(things)[:_NAMED]) + (", ..." if len(things) > _NAMED else "")
    hint = nearest(name, things) or f"; it has: {known}"
    print(f"ekm-exporter: the configuration has no {what} {name!r}{hint}", file=sys.stderr)
    return None
