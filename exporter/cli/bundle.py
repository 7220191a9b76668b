"""`ekm-exporter bundle`: one probe now, and all of it in a zip file for a support case.

For: the same archive as the running exporter's, where none runs or where it may not be reached.
Not for: what is in it (see `exporter.presentation.support_bundle`), making the probe (see `probe_once`).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

from exporter import __version__
from exporter.cli import check
from exporter.cli.probe import BAD_USAGE, FAILED, FINE, INTERNAL, named
from exporter.cli.probe_once import ProbeOnceResult, probe_once
from exporter.clients import NetworkError
from exporter.config import load_config
from exporter.config.model import Config
from exporter.presentation.support_bundle import archive, collect_bundle
from exporter.runtime import logging


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "bundle",
        help="one probe now, as a zip file for a support case",
        description=(
            "Makes one probe of a configured target, looks at what is beside it, and writes everything into a zip file "
            "without secrets: report, transcript with masked requests and answers, versions, masked configuration. The exit "
            "code is the probe's: 0 where every step succeeded, 1 where one failed. An exporter that runs has the history, too: "
            "/api/v1/targets/TARGET/support-bundle."
        ),
        epilog="example: ekm-exporter bundle contoso-key0 --config.file ekm.yml --out case.zip",
        allow_abbrev=False,
    )
    parser.add_argument("target", metavar="TARGET", help="a target's name in the configuration")
    parser.add_argument("--config.file", dest="config_file", metavar="FILE", type=Path, required=True, help="the configuration")
    parser.add_argument(
        "--out", metavar="FILE.zip", type=Path, required=True, help="the file to write; one that is there is kept"
    )
    parser.set_defaults(handler=bundle)


def bundle(args: argparse.Namespace) -> int:
    """0 where every step of the probe succeeded, 1 where one failed, 2 for a bad configuration, name or file."""
    loaded = load_config(args.config_file)
    if loaded.config is None:
        check.print_findings(loaded)
        return BAD_USAGE
    target = named(loaded.config.targets, args.target, "target")
    if target is None:
        return BAD_USAGE
    logging.configure("error", logging.LogFormat.LOGFMT)
    out: Path = args.out
    try:
        out.touch(mode=0o600, exist_ok=False)  # before the probe: a name that cannot be written costs none
    except OSError as error:
        return _refuse(f"{out} is there already" if isinstance(error, FileExistsError) else str(error))
    try:
        seen = asyncio.run(probe_once(loaded.config, target, None))
        if seen is not None:
            out.write_bytes(_archive(loaded.config, seen))
    except NetworkError as error:
        out.unlink()
        return _refuse(str(error))
    except BaseException:
        out.unlink()
        raise
    if seen is None:
        out.unlink()
        print("ekm-exporter: the probe could not be made: no thread was free to resolve a name", file=sys.stderr)
        return INTERNAL
    print(f"{out}: {'every step succeeded' if seen.report.success else 'a step failed'}. Read it before you send it.")
    return FINE if seen.report.success else FAILED


def _archive(config: Config, seen: ProbeOnceResult) -> bytes:
    record = seen.record
    record.history.add(seen.report, 1, most_bytes=float("inf"))
    ends = [end for told in seen.ends.values() for end in told]
    return archive(collect_bundle(config, record.target, record, ends, version=__version__, now=time.time()))


def _refuse(message: str) -> int:
    print(f"ekm-exporter: {message}", file=sys.stderr)
    return BAD_USAGE
