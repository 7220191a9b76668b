"""The command `ekm-exporter service install`."""

from __future__ import annotations

import argparse
import contextlib
import io
import socket
import sys
from dataclasses import replace
from pathlib import Path, PureWindowsPath

from exporter import __version__
from exporter.cli.main import build_parser
from exporter.cli.problem_lines import finding_lines
from exporter.cli.service import DEFAULT_NAME
from exporter.cli.service_data import base_folder, fail, refuse, this_program
from exporter.cli.service_run import run_words
from exporter.installation import data, files, place
from exporter.installation import install as installer
from exporter.installation.data import RefusedError
from exporter.installation.install import BadConfigurationError, Installation, NotRunningError
from exporter.installation.plan import Existing, Wanted, make_plan
from exporter.installation.service_states import StillThereError
from exporter.installation.services import HostServices, WindowsHost
from exporter.installation.settings import (
    ServiceSettings,
    account,
    check_settings,
    has_same_flags,
    merge,
    run_flags,
    service_command,
)
from exporter.runtime.windows.firewall import FirewallError
from exporter.runtime.windows.service_control import STOPPED
from exporter.runtime.windows.service_definition import ServiceDefinition
from exporter.runtime.windows.service_manager import CHANGE, READ, ServiceManager

FINE = 0
_FLAGS_OF_PAGES = ("--web.config.file", "--web.external-url", "--web.route-prefix")


def install(args: argparse.Namespace) -> int:
    """Create or change the service; print what has changed, or write it to a file; return the exit code."""
    if not args.log_file:
        return _install_or_report(args)
    try:
        log = Path(args.log_file).open("w", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115 - closed below
    except OSError as error:
        return refuse(f"cannot write {args.log_file}: {error.strerror}")
    with log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
        try:
            return _install_or_report(args)
        except Exception as error:
            print(f"ekm-exporter: internal error: {type(error).__name__}")  # no terminal shows what follows
            raise


def _install_or_report(args: argparse.Namespace) -> int:
    try:
        base = base_folder(args.base, this_program())
        with ServiceManager(READ if args.dry_run else CHANGE) as services:
            return _install(args, base, services)
    except BadConfigurationError as error:
        print("\n".join(finding_lines(error.loaded.problems)), file=sys.stderr)
        return refuse(error)
    except RefusedError as error:
        return refuse(error)
    except (OSError, FirewallError, NotRunningError, StillThereError) as error:
        return fail(error)


def _install(args: argparse.Namespace, base: Path, services: HostServices) -> int:
    this = _prepare(args, base, services)
    head, changes = f"service {args.name}:", ", ".join(this.plan.changes)
    if args.dry_run:
        print(f"{head} would change: {changes}" if changes else f"{head} unchanged")
        return FINE
    for warning in installer.install(this, services, WindowsHost()):
        print(f"warning: {warning}", file=sys.stderr)
    print(f"{head} changed: {changes}" if changes else f"{head} unchanged")
    print(_state(this, services))
    return FINE


def _prepare(args: argparse.Namespace, base: Path, services: HostServices) -> Installation:
    """Check what is given and found, and plan. Raises RefusedError and OSError."""
    earlier = data.read_settings(base)
    settings = _settings(args, earlier)
    if problem := check_settings(settings):
        raise RefusedError(problem)
    source = Path(args.config_file) if args.config_file else None
    if source is not None and not source.is_file():
        raise RefusedError(f"{source}: {'a directory, not a file' if source.is_dir() else 'no such file'}")
    registered, state = services.find(args.name), services.state(args.name)
    place.check_place(base, args.name, earlier, registered)
    place.check_program(this_program(), base, services)
    if not (settings.address and has_same_flags(settings, earlier)):
        settings = replace(settings, address=_check_flags(base, settings))
    command = service_command(this_program(), settings, PureWindowsPath(base))
    service = ServiceDefinition(name=settings.name, command=command, account=account(settings))
    changes = files.changed_files(base, source)
    found = Existing(service=registered, settings=earlier, is_running=state is not None and state.state != STOPPED)
    configured = files.CONFIGURATION in changes or (base / files.CONFIGURATION).exists()
    wanted = Wanted(service=service, settings=settings, changed_files=changes, has_configuration=configured, start=args.start)
    plan = make_plan(found, wanted)
    return Installation(base=base, settings=settings, service=service, found=found, changes=changes, plan=plan)


def _settings(args: argparse.Namespace, earlier: ServiceSettings | None) -> ServiceSettings:
    given = {"listen": args.listen, "arguments": args.arguments, "account": args.account, "version": __version__}
    addresses = [one for text in args.prometheus or () for one in text.replace(",", " ").split()]
    return merge(earlier or ServiceSettings(name=args.name), {**given, "prometheus": addresses})


def _check_flags(base: Path, settings: ServiceSettings) -> str:
    """Return the first address to listen on. Raises RefusedError with what the parser of `run` finds wrong."""
    from exporter.cli import check  # noqa: PLC0415 - these import the whole exporter, and most calls give no flags
    from exporter.cli.run import listen_addresses  # noqa: PLC0415

    words = run_words(base, run_flags(settings))
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(printed):
            flags = build_parser(words).parse_args(words)
    except SystemExit:
        *_, problem = printed.getvalue().strip().splitlines() or ["with these flags the command run prints something and ends"]
        raise RefusedError(f"{problem}; nothing is changed") from None
    web_file: Path | None = flags.web_config_file
    if web_file is not None and check.web_config(base / web_file).config is None:
        raise RefusedError("the web configuration has problems; nothing is changed")
    return str(listen_addresses(flags)[0])


def _state(this: Installation, services: HostServices) -> str:
    configuration = this.base / files.CONFIGURATION
    if not configuration.exists():
        name = this.settings.name
        place = "" if name == DEFAULT_NAME else f' --name {name} --base "{this.base}"'
        return (
            f"not started: write {configuration}, then run: ekm-exporter service install{place}\n"
            "or write it elsewhere and add to that command: --config.file FILE"
        )
    state = services.state(this.settings.name)
    if state is None or state.state == STOPPED:
        return f"not running: net start {this.settings.name}"
    host, _, port = this.settings.address.rpartition(":")
    running = f"running: http://{host or socket.gethostname()}:{port}/metrics"
    return running if host or _moves_pages(this.settings) else f"{running}\npage on this host: http://localhost:{port}/"


def _moves_pages(settings: ServiceSettings) -> bool:
    """Whether flags may give the pages another path, TLS or users."""
    return any(flag.startswith(_FLAGS_OF_PAGES) for flag in run_flags(settings))
