"""The command `ekm-exporter bundle`: probe once and write a support bundle.

The archive has the same format as that of a running exporter, for hosts on which none runs or answers.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

from exporter import __version__
from exporter.cli.main import BAD_USAGE, FAILED, FINE, INTERNAL, add_flag, refuse
from exporter.cli.probe import NO_PROBE, ProbeOnceResult, configured, probe_once
from exporter.clients.http.network import NetworkError
from exporter.config.settings import Config
from exporter.core.names import is_device
from exporter.presentation.bundle import archive, collect_bundle
from exporter.runtime import logging
from exporter.runtime.files import plainly
from exporter.runtime.process import is_windows

DESCRIPTION = (
    "Probes one target of the configuration, runs its auxiliary probes, and writes the result to a zip file without "
    "secrets: report, transcript with masked requests and responses, versions, masked configuration. "
    "Exit code: 0 if every step succeeded, 1 if a step failed, 2 for bad arguments or a bad configuration. "
    "The bundle of a running exporter also has the history: download /api/v1/targets/TARGET/support-bundle."
)
EPILOG = "example: ekm-exporter bundle contoso-key0 --config.file ekm.yml --out case.zip"


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="TARGET", help="name of a target in the configuration")
    add_flag(parser, "--config.file FILE", "the configuration", required=True)
    add_flag(parser, "--out FILE.zip", "file to write; an existing file is never overwritten", type=Path, required=True)


def run(args: argparse.Namespace) -> int:
    """Probe, write the archive and return the exit code."""
    found = configured(args)
    if found is None:
        return BAD_USAGE
    config, target = found
    logging.configure("error", logging.LogFormat.LOGFMT)
    out: Path = args.out
    if is_windows() and is_device(out.name):
        return refuse(f"--out: {out}: Windows takes this name for a device: choose another name")
    try:
        out.touch(mode=0o600, exist_ok=False)  # before the probe: an unusable name costs no request
    except FileExistsError:
        return refuse(f"{out} already exists: choose another name, or remove the file")
    except OSError as error:
        return refuse(f"--out: {out}: {plainly(error)}: name a file in a folder that exists and that you may write")
    try:
        result = asyncio.run(probe_once(config, target, None))
        if result is not None:
            out.write_bytes(_archive(config, result))
    except NetworkError as error:
        out.unlink()
        return refuse(error)
    except BaseException:
        out.unlink()
        raise
    if result is None:
        out.unlink()
        print(NO_PROBE, file=sys.stderr)
        return INTERNAL
    print(f"{out}: {'every step succeeded' if result.report.success else 'a step failed'}. Read the file before you send it.")
    return FINE if result.report.success else FAILED


def _archive(config: Config, result: ProbeOnceResult) -> bytes:
    record = result.record
    record.history.add(result.report, 1, most_bytes=float("inf"))
    expiries = [expiry for each in result.expiries.values() for expiry in each]
    return archive(collect_bundle(config, record.target, record, expiries, version=__version__, now=time.time()))
