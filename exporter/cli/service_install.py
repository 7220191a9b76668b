"""The commands `ekm-exporter service install`, `remove` and `secret`."""

from __future__ import annotations

import argparse
import contextlib
import getpass
import io
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PureWindowsPath

from exporter import __version__
from exporter.cli.check import finding_lines
from exporter.cli.main import FAILED, FINE, Refusal, build_parser, refuse
from exporter.cli.service import DEFAULT_NAME
from exporter.cli.service_run import run_words
from exporter.runtime.files import decoded, plainly
from exporter.windows import install as windows_install
from exporter.windows.api import ACCESS_DENIED
from exporter.windows.install import (
    BadConfigurationError,
    Installation,
    NotRunningError,
    RefusedError,
    StillThereError,
    check_service,
)
from exporter.windows.rules import (
    Existing,
    ServiceDefinition,
    ServiceSettings,
    account,
    check_name,
    check_secret_name,
    check_settings,
    folder_of_program,
    has_same_flags,
    make_plan,
    merge,
    run_flags,
    service_command,
)
from exporter.windows.service import CHANGE, LOGON_FAILED, READ, STOPPED, FirewallError, ServiceManager

_LARGEST = 64 * 1024  # bytes that are read of a pipe
HINTS = {  # by the error number of Windows
    ACCESS_DENIED: "run this as an administrator",
    LOGON_FAILED: 'give the account the right "Log on as a service" in secpol.msc, Local Policies, User Rights Assignment',
}


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Raise a Refusal for what cannot be done, and one that is a failure for what Windows refuses or what does not start."""
    try:
        yield
    except BadConfigurationError as error:
        print("\n".join(finding_lines(error.loaded.problems)), file=sys.stderr)
        raise Refusal(str(error)) from None
    except RefusedError as error:
        raise Refusal(str(error)) from None
    except (OSError, FirewallError, NotRunningError, StillThereError) as error:
        number = ACCESS_DENIED if isinstance(error, PermissionError) else getattr(error, "winerror", 0)
        hint = f": {HINTS[number]}" if number in HINTS else ""
        cause = f"{error.filename}: {plainly(error)}" if isinstance(error, OSError) and error.filename else error
        raise Refusal(f"{cause}{hint}", FAILED) from None


@refusing()
def remove(args: argparse.Namespace) -> int:
    """Remove the service; return the exit code. Raises Refusal."""
    if problem := check_name(args.name):
        raise Refusal(problem)
    base = base_folder(args.base, this_program())
    try:
        earlier = windows_install.read_settings(base)
    except RefusedError:
        if args.remove_data:
            raise
        earlier = None  # the service itself shows whether it is of this folder
    has_settings = earlier is not None and earlier.name.casefold() == args.name.casefold()
    name = earlier.name if earlier is not None and has_settings else args.name  # the firewall's rule has its case
    if args.remove_data and not has_settings:
        raise Refusal(f"{base} has no data of the service {args.name}: it lacks {windows_install.SETTINGS} of that service")
    with ServiceManager(READ if args.dry_run else CHANGE) as services:
        registered = services.find(args.name)
        check_service(base, args.name, registered)
        if registered is None and not has_settings:
            print(f"service {args.name}: not installed in {base}: nothing is removed")
            return FINE
        if not args.dry_run:
            windows_install.remove(base, name, services, data=args.remove_data)
    more = ", configuration, secrets, state and logs" if args.remove_data else ""
    print(
        f"service {args.name}: {'would be removed' if args.dry_run else 'removed'}: service, firewall rule and event source{more}"
    )
    if not args.remove_data:
        print(f"kept: {base}")
    return FINE


@refusing()
def secret(args: argparse.Namespace) -> int:
    """Read a secret and write its file; return the exit code. Raises Refusal."""
    if problem := check_secret_name(args.secret_name):
        raise Refusal(problem)
    typed = read_secret(args.secret_name)
    if not typed.strip():
        raise Refusal("no secret was typed; nothing is changed")
    if typed != typed.strip():
        print("warning: the secret begins or ends with a blank, which is written too", file=sys.stderr)
    path = windows_install.write_secret(base_folder(args.base, this_program()), args.secret_name, typed)
    print(f"written: {path}")
    return FINE


def read_secret(name: str) -> str:
    """Return what the user types, without showing it; from a pipe its first line."""
    if sys.stdin.isatty():
        return getpass.getpass(f"Secret for the file {name}: ")
    first, *_ = decoded(sys.stdin.buffer.read(_LARGEST)).splitlines() or [""]
    return first


def this_program() -> str:
    """Return the Python that runs, by its full name: not by a short name, a link or a drive of `subst`."""
    return str(Path(sys.executable).resolve())


def base_folder(given: Path | None, python: str) -> Path:
    """Return the folder of the installation, by its full name. Raises RefusedError if it has to be given."""
    found = folder_of_program(PureWindowsPath(python)) if given is None else given
    if found is None:
        raise RefusedError("this Python is not that of the zip or of the MSI: give the folder of the installation with --base")
    return Path(found).resolve()


_FLAGS_OF_PAGES = ("--web.config.file", "--web.external-url", "--web.route-prefix")


def install(args: argparse.Namespace) -> int:
    """Create or change the service; print what has changed, or write it to a file; return the exit code. Raises Refusal."""
    if not args.log_file:
        return _install(args)
    try:
        log = Path(args.log_file).open("w", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115 - closed below
    except OSError as error:
        raise Refusal(f"cannot write {args.log_file}: {error.strerror}") from None
    with log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
        try:
            return _install(args)
        except Refusal as error:
            refuse(error, "service")
            return error.code
        except Exception as error:
            print(f"ekm-exporter: internal error: {type(error).__name__}")  # no terminal shows what follows
            raise


@refusing()
def _install(args: argparse.Namespace) -> int:
    base = base_folder(args.base, this_program())
    with ServiceManager(READ if args.dry_run else CHANGE) as services:
        this = _prepare(args, base, services)
        head, changes = f"service {args.name}:", ", ".join(this.plan.changes)
        if args.dry_run:
            print(f"{head} would change: {changes}" if changes else f"{head} unchanged")
            return FINE
        for warning in windows_install.install(this, services):
            print(f"warning: {warning}", file=sys.stderr)
        print(f"{head} changed: {changes}" if changes else f"{head} unchanged")
        print(_state(this, services))
    return FINE


def _prepare(args: argparse.Namespace, base: Path, services: ServiceManager) -> Installation:
    """Check what is given and found, and plan. Raises RefusedError and OSError."""
    earlier = windows_install.read_settings(base)
    settings = _settings(args, earlier)
    if problem := check_settings(settings):
        raise RefusedError(problem)
    source = Path(args.config_file) if args.config_file else None
    if source is not None and not source.is_file():
        raise RefusedError(f"{source}: {'a directory, not a file' if source.is_dir() else 'no such file'}")
    registered, state = services.find(args.name), services.state(args.name)
    windows_install.check_place(base, args.name, earlier, registered)
    windows_install.check_program(this_program(), base, services)
    if not (settings.address and has_same_flags(settings, earlier)):
        settings = replace(settings, address=_check_flags(base, settings))
    command = service_command(this_program(), settings, PureWindowsPath(base))
    service = ServiceDefinition(name=settings.name, command=command, account=account(settings))
    changes = windows_install.changed_files(base, source)
    found = Existing(service=registered, settings=earlier, is_running=state is not None and state.state != STOPPED)
    configured = windows_install.CONFIGURATION in changes or (base / windows_install.CONFIGURATION).exists()
    plan = make_plan(found, service, settings, changes, starts=args.start and configured)
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


def _state(this: Installation, services: ServiceManager) -> str:
    configuration = this.base / windows_install.CONFIGURATION
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
    moves_pages = any(flag.startswith(_FLAGS_OF_PAGES) for flag in run_flags(this.settings))  # to another path, TLS or users
    return running if host or moves_pages else f"{running}\npage on this host: http://localhost:{port}/"
