"""The command `ekm-exporter report`: the minutes of a month, per vault.

Reads the history in Prometheus; probes nothing. `report_audit` has the sheet of one key.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, tzinfo
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from exporter.cli.flags import (
    DEFAULT_URL,
    add_exporter_flags,
    add_http_flags,
    read_password,
    sign_in_flags,
    time_limit,
    write_formats,
)
from exporter.cli.main import FAILED, FINE, FlagGroup, add_flag, refuse
from exporter.cli.report_audit import report_audit
from exporter.clients.peers import AccessError, ApiAccess, HistoryError, UnreadableHistoryError, on_loopback, parse_url
from exporter.config.settings import SecretSource, SecretUnreadableError, read_secret
from exporter.report.history import read_minutes
from exporter.report.minutes import Period, parse_month, parse_period
from exporter.report.render import as_csv, as_html, as_json, document

_PREFIX = "prometheus_"  # begins the attributes of --prometheus.user and its kind: --web.user is of the same command
_A_NAME = "write a name as in Europe/Zurich"
# Windows has its own names, and the zip has no pip.
_NO_NAMES = "this Python knows UTC alone: write --from and --to as in 2026-11-01T00:00:00+01:00, or add the package tzdata"
FORMATS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {"csv": as_csv, "json": as_json, "html": as_html}


DESCRIPTION = (
    "Reads a month of the history in Prometheus and counts, for each vault and target, the minutes by what the probes got. "
    "Exit code: 0 if the data are complete; 1 if they have gaps, which the report names, or if an answer of "
    "Prometheus is malformed or too large; 2 for bad arguments, or if Prometheus does not have the history. With --audit, prints "
    "the sheet of one key for a security officer instead, from a running exporter: who may use it, who did, when it was last "
    "proven, and what expires; exit code 3 if no exporter that answers has the key, and one does not answer."
)
EPILOG = (
    "examples: ekm-exporter report --month 2026-11 --prometheus http://localhost:9090 --out reports; "
    "ekm-exporter report --audit contoso-key0 --format html > audit.html"
)


def add_flags(parser: argparse.ArgumentParser) -> None:
    period = FlagGroup(parser, "a month", "the minutes of a period, from Prometheus")
    flag = partial(add_flag, period)
    flag("--month YYYY-MM", "the month to report; it must be over")
    flag("--from TIME", "instead of a month: 2026-11-01T00:00:00Z (RFC 3339)", dest="start")
    flag("--to TIME", "end of the period, which is not part of it", dest="end")
    flag("--timezone NAME", "of months and times, as in Europe/Zurich (default UTC)")
    flag("--prometheus URL", "the Prometheus that scrapes the exporters, with the prefix of its --web.external-url", type=_url)
    add_http_flags(period, "prometheus", user="basic authentication", server="Prometheus", dest=_PREFIX)
    flag("--prometheus.token.file FILE", "file with a bearer token, instead of a user")
    sheet = FlagGroup(parser, "a key", "instead of a period: the audit sheet of a key, from a running exporter")
    add_flag(sheet, "--audit KEY", "the key, by a target's name, KEY/VERSION or the key's URI")
    add_exporter_flags(sheet, text=f"an exporter that probes the key; repeatable (default {DEFAULT_URL})")
    add_flag(parser, "--out FOLDER", "write all formats as ekm-report-YYYY-MM.* or ekm-audit-VAULT-KEY.* into this folder")
    form = "without --out: the format to print (default csv; text with --audit)"
    add_flag(parser, "--format", form, choices=[*FORMATS, "text"])
    limit = "for each response (default 2m); the whole report has 60 times as long"
    add_flag(parser, "--timeout DURATION", limit, type=time_limit, default=120.0)
    parser.set_defaults(period_flags=period, sheet_flags=sheet)


def run(args: argparse.Namespace) -> int:
    return report_period(args) if args.audit is None else report_audit(args)


def report_period(args: argparse.Namespace) -> int:
    """Write or print the report of a period and return the exit code."""
    try:
        _check(args)
        period = _period(args)
        minutes = asyncio.run(read_minutes(_access(args), period))
        data = document(period, minutes)
        if args.out is None:
            sys.stdout.buffer.write(FORMATS[args.format or "csv"](data).encode())
        else:
            write_formats(args.out, f"ekm-report-{period.name}", FORMATS, data)
    except (AccessError, HistoryError, SecretUnreadableError, ValueError) as error:
        code = refuse(error, "report")
        return FAILED if isinstance(error, UnreadableHistoryError) else code
    return FINE if data["complete"] else FAILED


def _check(args: argparse.Namespace) -> None:
    """Refuse flags of the sheet. Raises ValueError with a text for the user."""
    if (flag := args.sheet_flags.first_given(args)) is not None:
        raise ValueError(f"{flag} is of --audit KEY: leave it out")
    if args.prometheus is None:
        raise ValueError("name the Prometheus: --prometheus URL, or report one key with --audit KEY")
    if args.format == "text":
        raise ValueError("--format text is of --audit: write csv, json or html")
    if args.out is not None and args.format is not None:
        raise ValueError("--out writes every format: leave out --format")


def _period(args: argparse.Namespace) -> Period:
    """Return the period of the flags. Raises ValueError with a text for the user."""
    name = args.timezone or "UTC"
    zone = _zone(name)
    if args.month is not None and args.start is None and args.end is None:
        period = parse_month(args.month, zone, name)
    elif args.month is None and args.start is not None and args.end is not None:
        period = parse_period(args.start, args.end, zone, name)
    else:
        raise ValueError("name the period: --month YYYY-MM, or --from and --to")
    if period.end > time.time():
        raise ValueError("the period is not over yet: report an earlier month, or write --from and --to")
    return period


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise ValueError(f"--timezone {name!r} is not known: {_A_NAME if available_timezones() else _NO_NAMES}") from None


def _access(args: argparse.Namespace) -> ApiAccess:
    """Return how to reach Prometheus. Raises AccessError and SecretUnreadableError."""
    user, token_file = args.prometheus_user, args.prometheus_token_file
    if user is not None and token_file is not None:
        raise AccessError("--prometheus.user and --prometheus.token.file exclude each other: give one")
    url = urlsplit(args.prometheus)
    signs_in = user is not None or token_file is not None
    if signs_in and url.scheme == "http" and not on_loopback(url.hostname or ""):
        raise AccessError("--prometheus: the password or token would be sent without TLS: use an https URL")
    password = read_password(args, "prometheus", dest=_PREFIX)
    token = None if token_file is None else read_secret(SecretSource(file=token_file))
    ca_file = args.prometheus_ca_file
    return ApiAccess(url=args.prometheus, timeout=args.timeout, user=user, password=password, token=token, ca_file=ca_file)


def _url(text: str) -> str:
    return parse_url(text, 9090, sign_in_flags("prometheus"))
