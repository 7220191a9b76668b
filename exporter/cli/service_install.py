"""The commands `ekm-exporter service install`, `remove` and `secret`."""

from __future__ import annotations

import argparse
import getpass
import socket
import sys
from pathlib import Path, PureWindowsPath

from exporter import __version__
from exporter.cli import check
from exporter.cli.main import build_parser
from exporter.cli.run import listen_addresses
from exporter.cli.service_run import run_words
from exporter.installation import files
from exporter.installation import install as installer
from exporter.installation.install import BadConfigurationError, BadPlaceError, Installation, NotRunningError
from exporter.installation.plan import Action, Found, Plan, Wanted, make_plan
from exporter.installation.service_states import StillThereError
from exporter.installation.services import Services, WindowsHost
from exporter.installation.settings import (
    Settings,
    account,
    check_secret_name,
    check_settings,
    folder_of_program,
    merge,
    run_flags,
    service_command,
)
from exporter.runtime.windows.api import WindowsError
from exporter.runtime.windows.firewall import FirewallError
from exporter.runtime.windows.service_control import STOPPED
from exporter.runtime.windows.service_definition import ServiceDefinition
from exporter.runtime.windows.service_manager import ACCESS_DENIED, ServiceManager

FINE, FAILED, BAD_USAGE = 0, 1, 2


def install(args: argparse.Namespace) -> int:
    """Create or change the service, and print what has changed; return the exit code."""
    try:
        base = base_folder(args.base, sys.executable)
        with ServiceManager() as services:
            return _install(args, base, services)
    except BadConfigurationError as error:
        check.print_findings(error.loaded)
        return _refuse("the configuration has problems; nothing is changed")
    except BadPlaceError as error:
        return _refuse(str(error))
    except (OSError, FirewallError, NotRunningError, StillThereError) as error:
        return _fail(error)


def _install(args: argparse.Namespace, base: Path, services: Services) -> int:
    earlier = installer.read_settings(base)
    settings = _settings(args, earlier)
    if problem := check_settings(settings):
        return _refuse(problem)
    installer.check_place(base, settings.name, earlier)
    this = _planned(args, base, services, earlier, settings)
    head = f"service {settings.name}:"
    changes = ", ".join(this.plan.changes)
    if args.dry_run:
        print(f"{head} would change: {changes}" if changes else f"{head} unchanged")
        return FINE
    for warning in installer.install(this, services, WindowsHost()):
        print(f"warning: {warning}", file=sys.stderr)
    print(f"{head} changed: {changes}" if changes else f"{head} unchanged")
    print(_state(this, services, start=args.start))
    return FINE


def _settings(args: argparse.Namespace, earlier: Settings | None) -> Settings:
    given = {"listen": args.listen, "arguments": args.arguments, "account": args.account}
    addresses = [one for text in args.prometheus or () for one in text.replace(",", " ").split()]
    current = Settings(name=args.name, version=__version__)
    before = current if earlier is None else earlier
    merged = merge(before, {**given, "prometheus": addresses})
    return merge(merged, {"version": __version__})


def _planned(
    args: argparse.Namespace, base: Path, services: Services, earlier: Settings | None, settings: Settings
) -> Installation:
    words = run_words(base, run_flags(settings))
    port = listen_addresses(build_parser(words).parse_args(words))[0].port  # the parser refuses bad flags
    command = service_command(sys.executable, settings, PureWindowsPath(base))
    service = ServiceDefinition(name=settings.name, command=command, account=account(settings))
    state = services.state(settings.name)
    found = Found(service=services.find(settings.name), settings=earlier, is_running=state is not None and state.state != STOPPED)
    changes = files.changed_files(base, Path(args.config_file) if args.config_file else None)
    configured = files.CONFIGURATION in changes or (base / files.CONFIGURATION).exists()
    wanted = Wanted(service=service, settings=settings, changed_files=changes, has_configuration=configured, start=args.start)
    plan: Plan = make_plan(found, wanted)
    return Installation(base=base, settings=settings, service=service, port=port, changes=changes, plan=plan)


def _state(this: Installation, services: Services, *, start: bool) -> str:
    configuration = this.base / files.CONFIGURATION
    if not configuration.exists():
        return (
            f"not started: write {configuration}, then run: ekm-exporter service install\n"
            "or write it elsewhere and add to that command: --config.file FILE"
        )
    state = services.state(this.settings.name)
    if state is None or state.state == STOPPED:
        return f"not running: net start {this.settings.name}"
    waiting = "" if start or this.plan.action is not Action.NOTHING else "; a changed program or setting waits for a restart"
    return f"running: http://{socket.gethostname()}:{this.port}/metrics{waiting}"


def remove(args: argparse.Namespace) -> int:
    """Remove the service; return the exit code."""
    try:
        base = base_folder(args.base, sys.executable)
        earlier = installer.read_settings(base)
        if args.remove_data and (earlier is None or earlier.name != args.name):
            return _refuse(f"{base} has no data of the service {args.name}: it lacks {files.SETTINGS} of that service")
        what = "service, firewall rule and event source" + (
            ", configuration, secrets, state and logs" if args.remove_data else ""
        )
        if not args.dry_run:
            with ServiceManager() as services:
                installer.remove(base, args.name, services, WindowsHost(), data=args.remove_data)
    except BadPlaceError as error:
        return _refuse(str(error))
    except (OSError, FirewallError, StillThereError) as error:
        return _fail(error)
    print(f"service {args.name}: {'would be removed' if args.dry_run else 'removed'}: {what}")
    if not args.remove_data:
        print(f"kept: {base}")
    return FINE


def secret(args: argparse.Namespace) -> int:
    """Ask for a secret and write its file; return the exit code."""
    if problem := check_secret_name(args.secret_name):
        return _refuse(problem)
    try:
        typed = ask(args.secret_name)
        if not typed:
            return _refuse("no secret was typed; nothing is changed")
        path = installer.write_secret(base_folder(args.base, sys.executable), args.secret_name, typed, WindowsHost())
    except BadPlaceError as error:
        return _refuse(str(error))
    except OSError as error:
        return _fail(error)
    print(f"written: {path}")
    return FINE


def ask(name: str) -> str:
    """Return what the user types, without showing it; from a pipe its first line."""
    if sys.stdin.isatty():
        return getpass.getpass(f"Secret for the file {name}: ")
    return sys.stdin.readline().rstrip("\r\n").removeprefix("\ufeff")


def base_folder(given: Path | None, python: str) -> Path:
    """Return the folder of the installation. Raises BadPlaceError if it has to be given."""
    found = folder_of_program(PureWindowsPath(python)) if given is None else given
    if found is None:
        raise BadPlaceError("this Python is not that of the zip or of the MSI: give the folder of the installation with --base")
    return Path(found).absolute()


def _refuse(problem: str) -> int:
    print(f"ekm-exporter service: {problem}", file=sys.stderr)
    return BAD_USAGE


def _fail(error: Exception) -> int:
    denied = isinstance(error, PermissionError) or (isinstance(error, WindowsError) and error.number == ACCESS_DENIED)
    hint = ": run this as an administrator" if denied else ""
    print(f"ekm-exporter service: {error}{hint}", file=sys.stderr)
    return FAILED
