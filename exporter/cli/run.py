"""The command `ekm-exporter run`: read the flags and start the exporter.

A bad flag, a bad configuration and a port in use are reported here; `app.lifecycle` does the rest.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from exporter.app.lifecycle import serve
from exporter.app.service import DEFAULT_HISTORY, RunOptions
from exporter.app.sharding import Shard, parse_shard
from exporter.cli import check
from exporter.clients import NetworkError
from exporter.config import load_config
from exporter.metrics.spec import Level
from exporter.runtime import logging
from exporter.state.files import StateDirError
from exporter.web import MAX_UNFINISHED, ListenAddress, ListenError, WebOptions, parse_address, web_options
from exporter.web.webconfig import AccessControl

T = TypeVar("T")

FINE, BAD_USAGE = 0, 2
DEFAULT_ADDRESS = ":10377"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its flags."""
    parser = subparsers.add_parser(
        "run",
        help="run the exporter",
        description="Probes every target at its interval and serves the results as metrics, pages and JSON.",
        epilog="example: ekm-exporter run --config.file ekm.yml --web.listen-address 127.0.0.1:10377",
        allow_abbrev=False,
    )
    parser.add_argument("--config.file", dest="config_file", metavar="FILE", type=Path, required=True, help="the configuration")
    parser.add_argument(
        "--config.enable-auto-reload",
        dest="auto_reload",
        action="store_true",
        help="apply a changed configuration automatically",
    )
    parser.add_argument(
        "--config.check",
        dest="config_check",
        action="store_true",
        help="validate the configuration and exit, like the command check",
    )
    add_service_flags(parser, default_address=DEFAULT_ADDRESS)
    parser.set_defaults(handler=run)


def add_service_flags(parser: argparse.ArgumentParser, *, default_address: str) -> None:
    """Add the flags that `run` and `demo` share."""
    parser.add_argument(
        "--web.listen-address",
        dest="listen",
        metavar="ADDRESS",
        type=_typed(parse_address),
        action="append",
        help="HOST:PORT, :PORT or [IPV6]:PORT to listen on; may be repeated "
        f"(default {default_address}; with --shard I/N that port plus I)",
    )
    parser.add_argument(
        "--web.config.file",
        dest="web_config_file",
        metavar="FILE",
        type=Path,
        help="TLS, client certificates, users and headers, in the format of Prometheus' exporter-toolkit (default: none)",
    )
    parser.add_argument(
        "--web.external-url",
        dest="external_url",
        metavar="URL",
        default="",
        help="URL of the exporter for browsers, if behind a proxy",
    )
    parser.add_argument(
        "--web.route-prefix",
        dest="route_prefix",
        metavar="PATH",
        help="prefix of every path (default: the path of --web.external-url)",
    )
    parser.add_argument(
        "--web.enable-pages",
        dest="enable_pages",
        action="store_true",
        help="serve pages and JSON also on listeners outside loopback",
    )
    parser.add_argument(
        "--web.max-requests",
        dest="max_requests",
        metavar="N",
        type=_typed(_count),
        default=MAX_UNFINISHED,
        help=f"unfinished responses at the same time; further requests get HTTP 503; 0: no limit (default {MAX_UNFINISHED})",
    )
    parser.add_argument(
        "--timeout-offset",
        dest="timeout_offset",
        metavar="SECONDS",
        type=float,
        default=0.5,
        help="subtracted from Prometheus' scrape timeout on /probe (default 0.5)",
    )
    parser.add_argument(
        "--history.limit",
        dest="history_limit",
        metavar="N",
        type=_typed(_positive),
        default=DEFAULT_HISTORY,
        help=f"stored probes per target, and as many failed ones in addition (default {DEFAULT_HISTORY})",
    )
    parser.add_argument(
        "--metrics.level",
        dest="metrics_level",
        choices=[level.value for level in Level],
        default=Level.FULL.value,
        help="minimal: what alerts use; default: and what dashboards use; full: every series (if the flag is absent: full)",
    )
    parser.add_argument(
        "--log.level", dest="log_level", choices=logging.LEVELS, default="info", help="lowest level to log (default info)"
    )
    parser.add_argument(
        "--log.prober",
        dest="log_prober",
        choices=logging.LEVELS,
        help="lowest level to log about probes; debug logs every probe (default: --log.level)",
    )
    parser.add_argument(
        "--log.format",
        dest="log_format",
        choices=[fmt.value for fmt in logging.LogFormat],
        default="logfmt",
        help="format of log lines (default logfmt)",
    )
    parser.add_argument(
        "--state.dir",
        dest="state_dir",
        metavar="DIR",
        type=Path,
        help="directory that keeps expiry dates, last successes and last failures across restarts (default: none)",
    )
    parser.add_argument(
        "--shard", metavar="I/N", type=_typed(parse_shard), help="probe only shard I of N, counted from 0, such as 0/2"
    )
    parser.add_argument(
        "--no-scheduler", dest="scheduler", action="store_false", help="probe only on requests to /probe; report ready at once"
    )


def run(args: argparse.Namespace) -> int:
    """Run the exporter, or only validate the configuration; return the exit code."""
    if args.config_check:
        flags = {"print_effective": False, "cost": False, "verbose": False}
        return check.run(argparse.Namespace(config_file=args.config_file, web_config_file=args.web_config_file, **flags))
    return run_exporter(args, default_address=DEFAULT_ADDRESS, mode="run")


def run_exporter(args: argparse.Namespace, *, default_address: str, mode: str) -> int:
    """Run the exporter until a signal stops it; return the exit code."""
    web_file: Path | None = args.web_config_file
    access = None if web_file is None else check.web_config(web_file)
    try:
        web = web_options(
            external_url=args.external_url,
            route_prefix=args.route_prefix,
            enable_pages=args.enable_pages,
            access_control=None
            if web_file is None or access is None or access.config is None
            else AccessControl(web_file, access),
            timeout_offset=args.timeout_offset,
            max_requests=args.max_requests,
            shard_offsets=_shard_offsets(args.shard, args.listen or [], default_address),
        )
    except ValueError as error:
        return _refuse(str(error))
    loaded = load_config(args.config_file)
    check.print_findings(loaded)
    if loaded.config is None or (access is not None and access.config is None):
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
    shard: Shard | None = args.shard
    listen: list[ListenAddress] = args.listen or [_default_listen(default_address, shard)]
    return RunOptions(
        listen=tuple(listen),
        web=web,
        history_limit=args.history_limit,
        metrics_level=Level(args.metrics_level),
        state_dir=args.state_dir,
        shard=shard,
        scheduler=args.scheduler,
        config_file=args.config_file,
        auto_reload=getattr(args, "auto_reload", False),
        mode=mode,
    )


def _default_listen(address: str, shard: Shard | None) -> ListenAddress:
    """Return the default address; each shard has its own port, so that all of them can run on one host."""
    first = parse_address(address)
    return first if shard is None else replace(first, port=first.port + shard.index)


def _shard_offsets(shard: Shard | None, listen: Sequence[ListenAddress], default: str) -> range:
    """Return the ports of the shards that are known: those of all shards, if this one has its default port."""
    expected = _default_listen(default, shard).port
    return range(1) if shard is None or any(address.port != expected for address in listen) else shard.offsets


def _refuse(message: str) -> int:
    print(f"ekm-exporter: {message}", file=sys.stderr)
    return BAD_USAGE


def _positive(text: str, least: int = 1) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 7 and least <= int(text) <= 100_000):
        raise ValueError(f"{text!r} is not a whole number from {least} to 100000")
    return int(text)


def _count(text: str) -> int:
    return _positive(text, least=0)


def _typed(convert: Callable[[str], T]) -> Callable[[str], T]:
    """Return a converter for argparse, which hides the text of a ValueError."""

    def converted(text: str) -> T:
        try:
            return convert(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return converted
