"""The command `ekm-exporter report`: the minutes of a month, per vault.

Reads the history in Prometheus; probes nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Mapping
from datetime import UTC
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from exporter.cli.flags import Render, http_flags, read_password, sign_in_flags, time_limit, write_formats
from exporter.cli.main import BAD_USAGE, FAILED, FINE, Command, Flag, Refusal, refuse_if
from exporter.clients.peers import AccessError, ApiAccess, HistoryError, UnreadableHistoryError, on_loopback, parse_url
from exporter.config.settings import SecretSource, SecretUnreadableError, read_secret
from exporter.report.history import read_minutes
from exporter.report.minutes import Minutes, Period, parse_month, parse_period
from exporter.report.render import as_csv, as_html, as_json

_PREFIX = "prometheus_"  # begins the attributes of --prometheus.user and its kind
# Windows has its own names, and the zip has no pip.
_NO_NAMES = "this Python knows UTC alone: write --from and --to as in 2026-11-01T00:00:00+01:00, or add the package tzdata"
FORMATS: Mapping[str, Render[Minutes]] = {"csv": as_csv, "json": as_json, "html": as_html}


def run(args: argparse.Namespace) -> int:
    """Write or print the report of a period and return the exit code."""
    refuse_if((args.out is not None and args.format is not None, "--out writes every format: leave out --format"))
    period = _period(args)
    minutes = asyncio.run(read_minutes(_access(args), period))
    write_formats(args, f"ekm-report-{period.name}", "csv", FORMATS, minutes)
    return FAILED if minutes.gaps else FINE


def _period(args: argparse.Namespace) -> Period:
    """Return the period of the flags. Raises ValueError with a text for the user."""
    name = args.timezone
    try:
        zone = UTC if name == "UTC" else ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        known = "write a name as in Europe/Zurich" if available_timezones() else _NO_NAMES
        raise Refusal(f"--timezone {name!r} is not known: {known}") from None
    if args.month is not None and args.start is None and args.end is None:
        period = parse_month(args.month, zone, name)
    elif args.month is None and args.start is not None and args.end is not None:
        period = parse_period(args.start, args.end, zone, name)
    else:
        raise ValueError("name the period: --month YYYY-MM, or --from and --to")
    if period.end > time.time():
        raise ValueError("the period is not over yet: report an earlier month, or write --from and --to")
    return period


def _access(args: argparse.Namespace) -> ApiAccess:
    """Return how to reach Prometheus. Raises Refusal and SecretUnreadableError."""
    user, token_file, url = args.prometheus_user, args.prometheus_token_file, urlsplit(args.prometheus)
    is_sent_plainly = url.scheme == "http" and not on_loopback(url.hostname or "")
    refuse_if(
        (
            user is not None and token_file is not None,
            "--prometheus.user and --prometheus.token.file exclude each other: give one",
        ),
        (
            is_sent_plainly and (user is not None or token_file is not None),
            "--prometheus: the password or token would be sent without TLS: use an https URL",
        ),
    )
    return ApiAccess(
        url=args.prometheus,
        timeout=args.timeout,
        user=user,
        password=read_password(args, "prometheus", dest=_PREFIX),
        token=None if token_file is None else read_secret(SecretSource(file=token_file)),
        ca_file=args.prometheus_ca_file,
    )


COMMAND = Command(
    description=(
        "Reads a month of the history in Prometheus and counts, for each vault and target, the minutes by what the probes got. "
        "Exit code: 0 if the data are complete; 1 if they have gaps, which the report names, or if an answer of "
        "Prometheus is malformed or too large; 2 for bad arguments, or if Prometheus does not have the history."
    ),
    epilog="example: ekm-exporter report --month 2026-11 --prometheus http://localhost:9090 --out reports",
    run=run,
    flags=(
        Flag("--month YYYY-MM", "the month to report; it must be over"),
        Flag("--from TIME", "instead of a month: 2026-11-01T00:00:00Z (RFC 3339)", dest="start"),
        Flag("--to TIME", "end of the period, which is not part of it", dest="end"),
        Flag("--timezone NAME", "of months and times, as in Europe/Zurich (default UTC)", default="UTC"),
        Flag(
            "--prometheus URL",
            "the Prometheus that scrapes the exporters, with the prefix of its --web.external-url",
            type=lambda text: parse_url(text, 9090, sign_in_flags("prometheus")),
            required=True,
        ),
        *http_flags("prometheus", user="basic authentication", server="Prometheus", dest=_PREFIX),
        Flag("--prometheus.token.file FILE", "file with a bearer token, instead of a user"),
        Flag("--out FOLDER", "write all formats as ekm-report-YYYY-MM.* into this folder"),
        Flag("--format", "without --out: the format to print (default csv)", choices=[*FORMATS]),
        Flag(
            "--timeout DURATION",
            "for each response (default 2m); the whole report has 60 times as long",
            type=time_limit,
            default=120.0,
        ),
    ),
    refusals={
        UnreadableHistoryError: FAILED,
        **dict.fromkeys((AccessError, HistoryError, SecretUnreadableError, ValueError), BAD_USAGE),
    },
)
