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
from exporter.installation.install import BadConfigurationError, Installation, NotRunningError, RefusedError
from exporter.installation.plan import Found, Wanted, make_plan
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
from exporter.web import ListenAddress

FINE, FAILED, BAD_USAGE = 0, 1, 2


def install(args: argparse.Namespace) -> int:
    """Create or change the service, and print what has changed; return the exit code."""
    try:
        base = base_folder(args.base, sys.executable)
        with ServiceManager() as services:
            return _install(args, base, services)
    except BadConfigurationError as error:
        check.print_findings(error.loaded)
        return _refuse(error)
    except RefusedError as error:
        return _refuse(error)
    except (OSError, FirewallError, NotRunningError, StillThereError) as error:
        return _fail(error)


def _install(args: argparse.Namespace, base: Path, services: Services) -> int:
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


def _prepare(args: argparse.Namespace, base: Path, services: Services) -> Installation:
    """Check what is given and found, and plan. Raises RefusedError and OSError."""
    earlier = installer.read_settings(base)
    settings = _settings(args, earlier)
    if problem := check_settings(settings):
        raise RefusedError(problem)
    source = Path(args.config_file) if args.config_file else None
    if source is not None and not source.is_file():
        raise RefusedError(f"{source}: no such file")
    registered, state = services.find(args.name), services.state(args.name)
    installer.check_place(base, args.name, earlier, registered)
    address = _check_flags(base, settings)
    command = service_command(sys.executable, settings, PureWindowsPath(base))
    service = ServiceDefinition(name=args.name, command=command, account=account(settings))
    changes = files.changed_files(base, source)
    found = Found(service=registered, settings=earlier, is_running=state is not None and state.state != STOPPED)
    configured = files.CONFIGURATION in changes or (base / files.CONFIGURATION).exists()
    wanted = Wanted(service=service, settings=settings, changed_files=changes, has_configuration=configured, start=args.start)
    plan = make_plan(found, wanted)
    return Installation(base=base, settings=settings, service=service, address=address, changes=changes, plan=plan)


def _settings(args: argparse.Namespace, earlier: Settings | None) -> Settings:
    given = {"listen": args.listen, "arguments": args.arguments, "account": args.account, "version": __version__}
    addresses = [one for text in args.prometheus or () for one in text.replace(",", " ").split()]
    return merge(earlier or Settings(name=args.name), {**given, "prometheus": addresses})


def _check_flags(base: Path, settings: Settings) -> ListenAddress:
    """Return the first address to listen on; the parser refuses bad flags. Raises RefusedError."""
    words = run_words(base, run_flags(settings))
    flags = build_parser(words).parse_args(words)
    web_file: Path | None = flags.web_config_file
    if web_file is not None and check.web_config(base / web_file).config is None:
        raise RefusedError("the web configuration has problems; nothing is changed")
    return listen_addresses(flags)[0]


def _state(this: Installation, services: Services) -> str:
    configuration = this.base / files.CONFIGURATION
    if not configuration.exists():
        return (
            f"not started: write {configuration}, then run: ekm-exporter service install\n"
            "or write it elsewhere and add to that command: --config.file FILE"
        )
    state = services.state(this.settings.name)
    if state is None or state.state == STOPPED:
        return f"not running: net start {this.settings.name}"
    host = this.address.host or socket.gethostname()
    return f"running: http://{ListenAddress(host, this.address.port)}/metrics"


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
    except RefusedError as error:
        return _refuse(error)
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
    except RefusedError as error:
        return _refuse(error)
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
    """Return the folder of the installation. Raises RefusedError if it has to be given."""
    found = folder_of_program(PureWindowsPath(python)) if given is None else given
    if found is None:
        raise RefusedError("this Python is not that of the zip or of the MSI: give the folder of the installation with --base")
    return Path(found).absolute()


def _refuse(problem: object) -> int:
    print(f"ekm-exporter service: {problem}", file=sys.stderr)
    return BAD_USAGE


def _fail(error: Exception) -> int:
    denied = isinstance(error, PermissionError) or (isinstance(error, WindowsError) and error.number == ACCESS_DENIED)
    hint = ": run this as an administrator" if denied else ""
    print(f"ekm-exporter service: {error}{hint}", file=sys.stderr)
    return FAILED
