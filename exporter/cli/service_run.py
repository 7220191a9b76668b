"""The command `ekm-exporter service run`: the process that the service manager of Windows starts.

It connects first and imports the exporter afterwards, since Windows waits only half a minute.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from exporter import __version__
from exporter.cli.main import BAD_USAGE, FINE, INTERNAL, Refusal, build_parser, run_command
from exporter.runtime import signals
from exporter.runtime.logging import LogStream, fields, place_of
from exporter.windows.api import WindowsCallError
from exporter.windows.event_log import EventLog, EventLogHandler
from exporter.windows.service import NOT_STARTED_BY_MANAGER, ServiceControl

if TYPE_CHECKING:
    from exporter.app.web_endpoint import OnListening

_log = logging.getLogger(__name__)


def run(args: argparse.Namespace) -> int:
    """Run the service until the service manager stops it; return the exit code, which the service manager gets too."""
    control = ServiceControl(
        args.name, on_stop=lambda: signals.request(signals.STOP), on_reload=lambda: signals.request(signals.RELOAD)
    )
    error = control.connect()
    if error:
        raise Refusal(
            f"only the service manager starts this: net start {args.name}"
            if error == NOT_STARTED_BY_MANAGER
            else str(WindowsCallError("connect to the service manager", error))
        )
    code = INTERNAL
    try:
        code = _run_logged(args, control, EventLog(args.name))
    finally:
        control.report_stopped(code)
    return code


def _run_logged(args: argparse.Namespace, control: ServiceControl, events: EventLog) -> int:
    """Run with everything that is printed in the log file; the event log gets start, end and trouble."""
    path = args.base / "logs" / "ekm-exporter.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.chdir(args.base)  # for relative paths of the flags
        stream = LogStream(path)
    except OSError as error:
        events.write("start failed", f"ekm-exporter {__version__} cannot write its log {path}: {error.strerror}")
        return BAD_USAGE
    started: list[str] = []

    def report(urls: Sequence[str]) -> None:
        control.report_running()
        started.extend(urls)
        events.write("started", f"ekm-exporter {__version__} started: {' '.join(urls)}")
        logging.getLogger("exporter").addHandler(EventLogHandler(events))

    with stream, contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        code = _run_exporter(args, report)
    if started and code == FINE:
        events.write("stopped", f"ekm-exporter {__version__} stopped")
    else:
        reason = "\n".join(stream.last_lines())
        what = "ended" if started else "did not start"
        events.write("start failed", f"ekm-exporter {__version__} {what}, exit code {code}. The end of {path}:\n{reason}")
    return code


def _run_exporter(args: argparse.Namespace, report: OnListening) -> int:
    """Run the command `run`. An internal error is logged, since no terminal shows it."""
    try:
        from exporter.cli.run import run_exporter  # noqa: PLC0415 - see above

        words = run_words(args.base, args.run_flags)
        parsed = build_parser(words).parse_args(words)
        parsed.handler = partial(run_exporter, on_listening=report)
        return run_command(parsed)
    except SystemExit as error:  # the parser has printed what is wrong
        return error.code if isinstance(error.code, int) else BAD_USAGE
    except Exception as error:  # noqa: BLE001 - the last line of defence
        _log.error("internal error", extra=fields(**place_of(error)))
        return INTERNAL


def run_words(base: Path, flags: Sequence[str]) -> list[str]:
    """Return the arguments of the command `run` for an installation."""
    place = ["--config.file", str(base / "ekm.yml"), "--state.dir", str(base / "state")]
    return ["run", *place, "--config.enable-auto-reload", *flags]
