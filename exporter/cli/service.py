"""The command `ekm-exporter service`: the exporter as a service of Windows.

The module imports little: Windows waits only half a minute for `service run` to connect.
"""

from __future__ import annotations

import argparse
from functools import partial
from importlib import import_module

from exporter.cli.main import add_flag, refuse
from exporter.runtime.process import is_windows

DEFAULT_NAME = "ekm-exporter"
ONLY_WINDOWS = "services exist only on Windows; on Linux use the systemd units: ekm-exporter docs install#systemd"


DESCRIPTION = (
    "Installs, changes and removes the exporter as a service of Windows, and writes its secret files. Run it as an "
    "administrator. Exit code: 0 if the service is as wanted, 1 if Windows refused something or the service does not "
    "start, 2 for bad arguments or a bad configuration."
)
EPILOG = "example: ekm-exporter service install --config.file ekm.yml --prometheus 10.1.2.3"


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the command's own commands and their flags."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="service_command", required=True)
    _add_install(commands)
    _add_remove(commands)
    _add_secret(commands)
    _add_run(commands)


def _add_install(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "install",
        help="create or change the service, and start it",
        description=(
            "Checks the configuration, creates or changes the service, and waits until the service listens. A second run with the "
            "same flags changes nothing. If the changed service does not start, the command restores the previous configuration "
            "and service. A flag that you leave out keeps its setting; the value none removes the setting."
        ),
        epilog=EPILOG,
    )
    _add_place(parser)
    flag = partial(add_flag, parser)
    flag(
        "--config.file FILE",
        "copy this configuration into the installation, with the files of the folder secrets next to it; a folder targets.d next to it "
        "replaces that of the installation",
        type=str,
    )
    flag("--web.listen-address ADDRESS", "HOST:PORT or :PORT to listen on (default :10377)", dest="listen")
    flag("--arguments FLAGS", 'further flags of the command run in one text, such as --arguments="--web.enable-pages"')
    flag(
        "--prometheus ADDRESS",
        "addresses that the firewall admits to the port (default: those of the last installation)",
        nargs="+",
    )
    flag(
        "--account ACCOUNT",
        r"a group managed service account such as CONTOSO\ekm$ (default: NT SERVICE\NAME, an account of this service alone)",
    )
    flag("--no-start", "do not start or restart the service", dest="start", action="store_false")
    flag("--dry-run", "only print what would change")
    flag("--log.file FILE", "write the output of this command to FILE, in UTF-8", type=str)


def _add_remove(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "remove",
        help="stop and delete the service",
        description=(
            "Stops and deletes the service, its firewall rule and its source of the event log. Program, configuration, secrets, state "
            "and logs stay. It can run twice."
        ),
        epilog="example: ekm-exporter service remove --dry-run",
    )
    _add_place(parser)
    add_flag(parser, "--remove-data", "also delete configuration, secrets, state and logs")
    add_flag(parser, "--dry-run", "only print what would be deleted")


def _add_secret(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "secret",
        help="type a secret, and write it to a file of the installation",
        description=(
            "Reads a secret without showing it, and writes it to the folder secrets of the installation. "
            "A running exporter reads a changed secret by itself. If standard input is no terminal, its first line is the secret."
        ),
        epilog="example: ekm-exporter service secret ekm-credential",
    )
    parser.add_argument("secret_name", metavar="NAME", help="name of the file, such as ekm-credential")
    _add_base(parser)


def _add_run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "run",
        help="run the service; only the service manager of Windows starts this",
        description="Runs the exporter under the service manager of Windows, which alone can start this command.",
        epilog="example: net start ekm-exporter",
    )
    _add_place(parser)
    parser.add_argument("run_flags", metavar="FLAG", nargs="*", help="after --: further flags of the command run")


def _add_place(parser: argparse.ArgumentParser) -> None:
    add_flag(parser, "--name NAME", f"name of the service (default {DEFAULT_NAME})", default=DEFAULT_NAME)
    _add_base(parser)


def _add_base(parser: argparse.ArgumentParser) -> None:
    add_flag(parser, "--base FOLDER", "folder of the installation (default: the folder above app, which has the program)")


def run(args: argparse.Namespace) -> int:
    """Import the module of the given command and run it; return the exit code."""
    if not is_windows():
        return refuse(ONLY_WINDOWS, "service")
    module = import_module(f"exporter.cli.service_{'run' if args.service_command == 'run' else 'install'}")
    code: int = getattr(module, args.service_command)(args)
    return code
