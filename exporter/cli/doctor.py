"""`ekm-exporter doctor`: the DBA's check-list for one target, line by line, with what would fix what fails.

For: arguments, with a configuration or without one, and an exit code that a script can use.
Not for: the checks (see `exporter.doctor`) or their wording (see `exporter.core.checks`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from exporter.cli import check
from exporter.cli.probe import BAD_USAGE, FAILED, FINE, INTERNAL, named
from exporter.clients import NetworkError, quiet_sdk_loggers
from exporter.config import load_config
from exporter.config.model import Config, SecretSource, Target
from exporter.config.secret_source import SecretUnreadableError, read_secret
from exporter.core.checks import CheckResult
from exporter.doctor import run_checks
from exporter.doctor.adhoc import bare_config, split_key
from exporter.doctor.report import as_data, as_text, is_ok
from exporter.runtime import logging
from exporter.runtime.thread_pool import PoolExhausted

EPILOG = """\
examples:
  ekm-exporter doctor contoso-key0 --config.file ekm.yml
  ekm-exporter doctor --vault contoso-prod --key ContosoRSAKey0/cgacf4f763ar42 \\
    --connector-secret-file ekm-credential
"""


class _UsageError(Exception):
    """What is wrong with the arguments, for people."""


@dataclass(frozen=True, slots=True)
class _Asked:
    config: Config
    target: Target


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "doctor",
        help="the check-list for one target, with fixes",
        description=(
            "Goes through everything that SQL Server needs of the vault's side, check by check: names, ports, certificates, sign-in, "
            "permissions, key. Says which code SQL Server would show, and what fixes it. A secret is never an argument."
        ),
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("target", metavar="TARGET", nargs="?", help="a target's name in the configuration")
    parser.add_argument("--config.file", dest="config_file", metavar="FILE", type=Path, help="the configuration")
    parser.add_argument("--credential", metavar="NAME", help="another credential of the configuration, such as a staged one")
    parser.add_argument("--key", metavar="NAME/VERSION", help="another key or version; without a configuration, the key")
    parser.add_argument(
        "--vault", metavar="VAULT", help="without a configuration: the vault, as in IDENTITY of the SQL credential"
    )
    parser.add_argument(
        "--connector-secret-file",
        metavar="FILE",
        type=Path,
        help="without a configuration: a file with the SECRET of the SQL credential",
    )
    parser.add_argument("--tenant", metavar="TENANT", help="without a configuration: the tenant, else the vault names it")
    parser.add_argument("--json", action="store_true", help="as JSON, for a script")
    parser.set_defaults(handler=doctor)


def doctor(args: argparse.Namespace) -> int:
    """0 where no check failed, 1 where one did, 2 for arguments or a configuration that are wrong."""
    try:
        asked = _with_configuration(args) if args.config_file is not None else _without_configuration(args)
    except (_UsageError, ValueError) as error:
        print(f"ekm-exporter doctor: {error}", file=sys.stderr)
        return BAD_USAGE
    if asked is None:
        return BAD_USAGE
    logging.configure("error", logging.LogFormat.LOGFMT)
    quiet_sdk_loggers()
    try:
        results = asyncio.run(run_checks(asked.config, asked.target, again=_again(args)))
    except NetworkError as error:
        print(f"ekm-exporter: {error}", file=sys.stderr)
        return BAD_USAGE
    except PoolExhausted as busy:
        print(f"ekm-exporter: the checks could not be made: {busy}", file=sys.stderr)
        return INTERNAL
    return _tell(asked.target, results, as_json=args.json)


def _tell(target: Target, results: Sequence[CheckResult], *, as_json: bool) -> int:
    if as_json:
        print(json.dumps(as_data(target, results), indent=2))
    else:
        print(as_text(target, results), end="")
    return FINE if is_ok(results) else FAILED


def _with_configuration(args: argparse.Namespace) -> _Asked | None:
    """None where the complaint has been printed."""
    if args.vault or args.connector_secret_file or args.tenant:
        raise _UsageError("--vault, --connector-secret-file and --tenant are for use without --config.file")
    if args.target is None:
        raise _UsageError("name a TARGET of the configuration")
    loaded = load_config(args.config_file)
    if loaded.config is None:
        check.print_findings(loaded)
        return None
    target = named(loaded.config.targets, args.target, "target")
    if target is None:
        return None
    if args.credential is not None and named(loaded.config.credentials, args.credential, "credential") is None:
        return None
    target = replace(target, credential=args.credential or target.credential)
    if args.key is not None:
        name, version = split_key(args.key)
        target = replace(target, key_name=name, key_version=version)
    return _Asked(loaded.config, target)


def _without_configuration(args: argparse.Namespace) -> _Asked:
    if args.target is not None or args.credential is not None:
        raise _UsageError("a TARGET and --credential need --config.file")
    if not (args.vault and args.key and args.connector_secret_file):
        raise _UsageError("give TARGET and --config.file, or --vault, --key and --connector-secret-file")
    config = bare_config(args.vault, args.key, args.connector_secret_file, args.tenant)
    try:
        read_secret(SecretSource(file=args.connector_secret_file))
    except SecretUnreadableError as error:
        raise _UsageError(f"--connector-secret-file: {error.what}") from None
    return _Asked(config, next(iter(config.targets.values())))


def _again(args: argparse.Namespace) -> str:
    """The command that was given, for those who mend and look again."""
    named_ones = (
        ("--config.file", args.config_file),
        ("--credential", args.credential),
        ("--vault", args.vault),
        ("--key", args.key),
        ("--connector-secret-file", args.connector_secret_file),
        ("--tenant", args.tenant),
    )
    given = [word for flag, value in named_ones if value is not None for word in (flag, str(value))]
    return shlex.join(["ekm-exporter", "doctor", *([args.target] if args.target else []), *given])
