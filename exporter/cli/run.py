"""`ekm-exporter run`: the exporter.

For: the flags, read into one value, and what stops before anything is started: a bad flag, a bad configuration, a taken port.
Not for: what runs (see `app.service`).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from exporter.app.service import DEFAULT_HISTORY, RunOptions, serve
from exporter.app.sharding import Shard, parse_shard
from exporter.cli import check
from exporter.clients import NetworkError
from exporter.config import load_config
from exporter.runtime import logging
from exporter.state.files import StateDirError
from exporter.web import MOST_ANSWERS, ListenAddress, ListenError, WebOptions, parse_address, web_options
from exporter.web.webconfig import AccessControl

T = TypeVar("T")

FINE, BAD_USAGE = 0, 2
DEFAULT_ADDRESS = ":10377"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "run",
        help="run the exporter",
        description="Probes every target at its interval and serves what it finds.",
        epilog="example: ekm-exporter run --config.file ekm.yml --web.listen-address 127.0.0.1:10377",
        allow_abbrev=False,
    )
    parser.add_argument("--config.file", dest="config_file", metavar="FILE", type=Path, required=True, help="the configuration")
    parser.add_argument(
        "--config.enable-auto-reload",
        dest="auto_reload",
        action="store_true",
        help="take over a changed configuration without being told",
    )
    parser.add_argument(
        "--config.check", dest="config_check", action="store_true", help="validate the configuration and exit, as `check` does"
    )
    add_service_flags(parser, default_address=DEFAULT_ADDRESS)
    parser.set_defaults(handler=run)


def add_service_flags(parser: argparse.ArgumentParser, *, default_address: str) -> None:
    """The flags that `run` and `demo` share."""
    parser.add_argument(
        "--web.listen-address",
        dest="listen",
        metavar="ADDRESS",
        type=_typed(parse_address),
        action="append",
        help=f"HOST:PORT, :PORT or [IPV6]:PORT to serve on; may be repeated (default {default_address})",
    )
    parser.add_argument(
        "--web.config.file",
        dest="web_config_file",
        metavar="FILE",
        type=Path,
        help="TLS, client certificates, users and headers, in the format of Prometheus' exporter-toolkit",
    )
    parser.add_argument("--web.external-url", dest="external_url", metavar="URL", default="", help="where a browser finds it")
    parser.add_argument("--web.route-prefix", dest="route_prefix", metavar="PATH", help="prefix of every path")
    parser.add_argument(
        "--web.enable-pages",
        dest="enable_pages",
        action="store_true",
        help="serve the pages also on listeners that are not on loopback",
    )
    parser.add_argument(
        "--web.max-requests",
        dest="max_requests",
        metavar="N",
        type=_typed(_count),
        default=MOST_ANSWERS,
        help=f"unfinished answers at once; further requests get 503; 0 for no limit (default {MOST_ANSWERS})",
    )
    parser.add_argument(
        "--timeout-offset",
        dest="timeout_offset",
        metavar="SECONDS",
        type=float,
        default=0.5,
        help="kept back from Prometheus' scrape timeout (default 0.5)",
    )
    parser.add_argument(
        "--history.limit",
        dest="history_limit",
        metavar="N",
        type=_typed(_positive),
        default=DEFAULT_HISTORY,
        help=f"probes remembered per target, and failures as many again (default {DEFAULT_HISTORY})",
    )
    parser.add_argument("--log.level", dest="log_level", choices=logging.LEVELS, default="info", help="default info")
    parser.add_argument(
        "--log.prober",
        dest="log_prober",
        choices=logging.LEVELS,
        help="level of lines about probes (default: as --log.level); debug: one for every probe",
    )
    parser.add_argument(
        "--log.format",
        dest="log_format",
        choices=[fmt.value for fmt in logging.LogFormat],
        default="logfmt",
        help="default logfmt",
    )
    parser.add_argument(
        "--state.dir", dest="state_dir", metavar="DIR", type=Path, help="keep here what was learned, over a restart"
    )
    parser.add_argument("--shard", metavar="I/N", type=_typed(parse_shard), help="probe only the targets of shard I of N")
    parser.add_argument(
        "--no-scheduler", dest="scheduler", action="store_false", help="probe only when asked on /probe; ready at once"
    )


def run(args: argparse.Namespace) -> int:
    if args.config_check:
        return check.run(
            argparse.Namespace(
                config_file=args.config_file, web_config_file=args.web_config_file, print_effective=False, cost=False
            )
        )
    return run_exporter(args, default_address=DEFAULT_ADDRESS, mode="run")


def run_exporter(args: argparse.Namespace, *, default_address: str, mode: str) -> int:
    """Starts the exporter on `args.config_file` and returns when it was told to stop."""
    web_file: Path | None = args.web_config_file
    door = None if web_file is None else check.web_config(web_file)
    try:
        web = web_options(
            external_url=args.external_url,
            route_prefix=args.route_prefix,
            enable_pages=args.enable_pages,
            lock=None if web_file is None or door is None or door.config is None else AccessControl(web_file, door),
            timeout_offset=args.timeout_offset,
            max_requests=args.max_requests,
        )
    except ValueError as error:
        return _refuse(str(error))
    loaded = load_config(args.config_file)
    check.print_findings(loaded)
    if loaded.config is None or (door is not None and door.config is None):
        print(check.summary(args.config_file, loaded), file=sys.stderr)
        return BAD_USAGE
    logging.configure(args.log_level, logging.LogFormat(args.log_format), probes=args.log_prober)
    options = _options(args, web, default_address=default_address, mode=mode)
    try:
        asyncio.run(serve(loaded.config, options))
    except (ListenError, NetworkError, StateDirError) as error:
        return _refuse(str(error))
    return FINE


def _options(args: argparse.Namespace, web: WebOptions, *, default_address: str, mode: str) -> RunOptions:
    listen: list[ListenAddress] = args.listen or [parse_address(default_address)]
    shard: Shard | None = args.shard
    return RunOptions(
        listen=tuple(listen),
        web=web,
        history_limit=args.history_limit,
        state_dir=args.state_dir,
        shard=shard,
        scheduler=args.scheduler,
        config_file=args.config_file,
        auto_reload=getattr(args, "auto_reload", False),
        mode=mode,
    )


def _refuse(message: str) -> int:
    print(f"ekm-exporter: {message}", file=sys.stderr)
    return BAD_USAGE


def _positive(text: str, least: int = 1) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 7 and least <= int(text) <= 100_000):
        raise ValueError(f"{text!r} is not a number from {least} to 100000")
    return int(text)


def _count(text: str) -> int:
    return _positive(text, least=0)


def _typed(convert: Callable[[str], T]) -> Callable[[str], T]:
    """A converter whose ValueError argparse shows: of that class it hides the text."""

    def converted(text: str) -> T:
        try:
            return convert(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return converted
