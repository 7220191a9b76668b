"""The commands `ekm-exporter service remove` and `secret`, and what they share with `install`."""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path, PureWindowsPath

from exporter.installation import data, files
from exporter.installation.data import RefusedError
from exporter.installation.place import check_service
from exporter.installation.service_states import StillThereError
from exporter.installation.services import WindowsHost
from exporter.installation.settings import check_name, check_secret_name, folder_of_program
from exporter.runtime.encodings import decoded
from exporter.runtime.files import plainly
from exporter.runtime.windows.api import ACCESS_DENIED
from exporter.runtime.windows.firewall import FirewallError
from exporter.runtime.windows.service_manager import CHANGE, LOGON_FAILED, READ, ServiceManager

FINE, FAILED, BAD_USAGE = 0, 1, 2
_LARGEST = 64 * 1024  # bytes that are read of a pipe
HINTS = {  # by the error number of Windows
    ACCESS_DENIED: "run this as an administrator",
    LOGON_FAILED: 'give the account the right "Log on as a service" in secpol.msc, Local Policies, User Rights Assignment',
}


def remove(args: argparse.Namespace) -> int:
    """Remove the service; return the exit code."""
    if problem := check_name(args.name):
        return refuse(problem)
    try:
        return _remove(args, base_folder(args.base, this_program()))
    except RefusedError as error:
        return refuse(error)
    except (OSError, FirewallError, StillThereError) as error:
        return fail(error)


def _remove(args: argparse.Namespace, base: Path) -> int:
    try:
        earlier = data.read_settings(base)
    except RefusedError:
        if args.remove_data:
            raise
        earlier = None  # the service itself shows whether it is of this folder
    has_settings = earlier is not None and earlier.name.casefold() == args.name.casefold()
    name = earlier.name if earlier is not None and has_settings else args.name  # the firewall's rule has its case
    if args.remove_data and not has_settings:
        return refuse(f"{base} has no data of the service {args.name}: it lacks {files.SETTINGS} of that service")
    with ServiceManager(READ if args.dry_run else CHANGE) as services:
        registered = services.find(args.name)
        check_service(base, args.name, registered)
        if registered is None and not has_settings:
            print(f"service {args.name}: not installed in {base}: nothing is removed")
            return FINE
        if not args.dry_run:
            data.remove(base, name, services, WindowsHost(), data=args.remove_data)
    more = ", configuration, secrets, state and logs" if args.remove_data else ""
    print(
        f"service {args.name}: {'would be removed' if args.dry_run else 'removed'}: service, firewall rule and event source{more}"
    )
    if not args.remove_data:
        print(f"kept: {base}")
    return FINE


def secret(args: argparse.Namespace) -> int:
    """Read a secret and write its file; return the exit code."""
    if problem := check_secret_name(args.secret_name):
        return refuse(problem)
    try:
        typed = read_secret(args.secret_name)
        if not typed.strip():
            return refuse("no secret was typed; nothing is changed")
        if typed != typed.strip():
            print("warning: the secret begins or ends with a blank, which is written too", file=sys.stderr)
        path = data.write_secret(base_folder(args.base, this_program()), args.secret_name, typed, WindowsHost())
    except RefusedError as error:
        return refuse(error)
    except OSError as error:
        return fail(error)
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


def refuse(problem: object) -> int:
    """Print why nothing was done, and return the exit code."""
    print(f"ekm-exporter service: {problem}", file=sys.stderr)
    return BAD_USAGE


def fail(error: Exception) -> int:
    """Print what Windows refused or what did not start, and return the exit code."""
    number = ACCESS_DENIED if isinstance(error, PermissionError) else getattr(error, "winerror", 0)
    hint = f": {HINTS[number]}" if number in HINTS else ""
    cause = f"{error.filename}: {plainly(error)}" if isinstance(error, OSError) and error.filename else error
    print(f"ekm-exporter service: {cause}{hint}", file=sys.stderr)
    return FAILED
