"""The command `ekm-exporter run`: read the flags and start the exporter.

A bad flag, a bad configuration and a port in use are reported here; `app.service` does the rest.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from exporter.app.reload import Shard, parse_shard
from exporter.app.service import CapacityError, files_left, require_threads, serve
from exporter.app.web_endpoint import DEFAULT_HISTORY, OnListening, RunOptions
from exporter.cli import check
from exporter.cli.main import BAD_USAGE, CONFIG, FINE, Command, Flag, Refusal, number
from exporter.clients.http.network import NetworkError
from exporter.config.load import load_config
from exporter.metrics.spec import Level
from exporter.runtime import logging
from exporter.runtime.process import ExtraMissingError
from exporter.state.store import StateDirError
from exporter.web.connections import MAX_UNFINISHED
from exporter.web.listener import ListenAddress, ListenError, parse_address
from exporter.web.options import web_options

DEFAULT_ADDRESS = ":10377"
REFUSALS: dict[type[Exception], int] = dict.fromkeys(
    (CapacityError, ExtraMissingError, ListenError, NetworkError, StateDirError), BAD_USAGE
)


def run(args: argparse.Namespace) -> int:
    """Run the exporter, or only validate the configuration; return the exit code."""
    if args.config_check:
        return check.run(argparse.Namespace(**{**vars(args), "print_effective": False, "cost": False, "verbose": False}))
    return run_exporter(args)


def run_exporter(
    args: argparse.Namespace,
    *,
    default_address: str = DEFAULT_ADDRESS,
    mode: str = "run",
    on_listening: OnListening | None = None,
) -> int:
    """Run the exporter until a signal stops it; return the exit code. Raises each of `REFUSALS`, and Refusal."""
    web_file: Path | None = args.web_config_file
    access = None if web_file is None else check.web_config(web_file)
    access_control = None
    if web_file is not None and access is not None and access.config is not None:
        from exporter.web.access_control import AccessControl  # noqa: PLC0415 - most exporters have no such file

        access_control = AccessControl(web_file, access)
    try:
        web = web_options(
            external_url=args.web_external_url,
            route_prefix=args.web_route_prefix,
            enable_pages=args.web_enable_pages,
            access_control=access_control,
            timeout_offset=args.timeout_offset,
            max_requests=args.web_max_requests,
            shard_offsets=_shard_offsets(args.shard, args.listen or [], default_address),
        )
    except ValueError as error:
        raise Refusal(str(error)) from None
    loaded = load_config(args.config_file)
    check.print_findings(loaded)
    if loaded.config is None or (access is not None and access.config is None):
        print(check.summary(args.config_file, loaded), file=sys.stderr)
        return BAD_USAGE
    logging.configure(args.log_level, logging.LogFormat(args.log_format), probes=args.log_prober)
    options = RunOptions(
        listen=listen_addresses(args, default_address=default_address),
        web=web,
        history_limit=args.history_limit,
        metrics_level=Level(args.metrics_level),
        state_dir=args.state_dir,
        shard=args.shard,
        scheduler=args.scheduler,
        config_file=args.config_file,
        auto_reload=getattr(args, "config_enable_auto_reload", False),
        mode=mode,
        on_listening=on_listening,
    )
    require_threads()
    options = replace(options, files=files_left(loaded.config, listeners=len(options.listen)))
    asyncio.run(serve(loaded.config, options))
    return FINE


def listen_addresses(args: argparse.Namespace, *, default_address: str = DEFAULT_ADDRESS) -> tuple[ListenAddress, ...]:
    return tuple(args.listen or [_default_listen(default_address, args.shard)])


def _default_listen(address: str, shard: Shard | None) -> ListenAddress:
    """Return the default address; each shard has its own port, so that all of them can run on one host."""
    first = parse_address(address)
    return first if shard is None else replace(first, port=first.port + shard.index)


def _shard_offsets(shard: Shard | None, listen: Sequence[ListenAddress], default: str) -> range:
    """Return the ports of the shards that are known: those of all shards, if this one has its default port."""
    expected = _default_listen(default, shard).port
    return range(1) if shard is None or any(address.port != expected for address in listen) else shard.offsets


def service_flags(default_address: str) -> list[Flag]:
    """Return the flags that `run` and `demo` share."""
    return [
        Flag(
            "--web.listen-address ADDRESS",
            "HOST:PORT, :PORT or [IPV6]:PORT to listen on; may be repeated "
            f"(default {default_address}; with --shard I/N that port plus I)",
            dest="listen",
            type=parse_address,
            action="append",
        ),
        Flag(
            "--web.config.file FILE",
            "TLS, client certificates, users and headers, in the format of Prometheus' exporter-toolkit (default: none)",
        ),
        Flag("--web.external-url URL", "URL of the exporter for browsers, if behind a proxy", default=""),
        Flag("--web.route-prefix PATH", "prefix of every path (default: the path of --web.external-url)"),
        Flag("--web.enable-pages", "serve pages and JSON also on listeners outside loopback"),
        Flag(
            "--web.max-requests N",
            f"unfinished responses at the same time; further requests get HTTP 503; 0: no limit (default {MAX_UNFINISHED})",
            type=number(int, 0, 100_000, "a whole number from 0 to 100000"),
            default=MAX_UNFINISHED,
        ),
        Flag(
            "--timeout-offset SECONDS",
            "subtracted from Prometheus' scrape timeout on /probe (default 0.5)",
            type=float,
            default=0.5,
        ),
        Flag(
            "--history.limit N",
            f"stored probes per target, and as many failed ones in addition (default {DEFAULT_HISTORY})",
            type=number(int, 1, 100_000, "a whole number from 1 to 100000"),
            default=DEFAULT_HISTORY,
        ),
        Flag(
            "--metrics.level",
            "minimal: what alerts use; default: and what dashboards use; full: every series (if the flag is absent: full)",
            choices=[*map(str, Level)],
            default=Level.FULL.value,
        ),
        Flag("--log.level", "lowest level to log (default info)", choices=logging.LEVELS, default="info"),
        Flag(
            "--log.prober",
            "lowest level to log about probes; debug logs every probe (default: --log.level)",
            choices=logging.LEVELS,
        ),
        Flag("--log.format", "format of log lines (default logfmt)", choices=[*map(str, logging.LogFormat)], default="logfmt"),
        Flag(
            "--state.dir DIR",
            "directory that keeps expiry dates, last successes, last failures and readings of SQL Servers across restarts (default: none)",
        ),
        Flag("--shard I/N", "probe only shard I of N, counted from 0, such as 0/2", type=parse_shard),
        Flag("--no-scheduler", "probe only on requests to /probe; report ready at once", dest="scheduler", action="store_false"),
    ]


COMMAND = Command(
    description="Probes every target at its interval and serves the results as metrics, pages and JSON.",
    epilog="example: ekm-exporter run --config.file ekm.yml --web.listen-address 127.0.0.1:10377",
    run=run,
    flags=(
        CONFIG,
        Flag("--config.enable-auto-reload", "apply a changed configuration automatically"),
        Flag("--config.check", "validate the configuration and exit, like the command check"),
        *service_flags(DEFAULT_ADDRESS),
    ),
    refusals=REFUSALS,
)
