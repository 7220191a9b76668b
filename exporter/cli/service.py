"""The command `ekm-exporter service`: the exporter as a service of Windows.

The module imports little: Windows waits only half a minute for `service run` to connect.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from exporter.cli.main import add_flag
from exporter.runtime.process import is_windows

BAD_USAGE = 2
DEFAULT_NAME = "ekm-exporter"
ONLY_WINDOWS = (
    "ekm-exporter service: services exist only on Windows; on Linux use the systemd units: ekm-exporter docs install#systemd"
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command, its own commands and their flags."""
    parser = subparsers.add_parser(
        "service",
        description=(
            "Installs, changes and removes the exporter as a service of Windows, and writes its secret files. Run it as an "
            "administrator. Exit code: 0 if the service is as wanted, 1 if Windows refused something or the service does not "
            "start, 2 for bad arguments or a bad configuration."
        ),
        epilog="example: ekm-exporter service install --config.file ekm.yml --prometheus 10.1.2.3",
    )
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
        epilog="example: ekm-exporter service install --config.file ekm.yml --prometheus 10.1.2.3",
    )
    _add_place(parser)
    add_flag(
        parser,
        "--config.file FILE",
        "copy this configuration into the installation, with the files of the folder secrets next to it; a folder targets.d next to it "
        "replaces that of the installation",
        type=str,
    )
    add_flag(parser, "--web.listen-address ADDRESS", "HOST:PORT or :PORT to listen on (default :10377)", dest="listen")
    add_flag(
        parser, "--arguments FLAGS", 'further flags of the command run in one text, such as --arguments="--web.enable-pages"'
    )
    add_flag(
        parser,
        "--prometheus ADDRESS",
        "addresses that the firewall admits to the port (default: those of the last installation)",
        nargs="+",
    )
    add_flag(
        parser,
        "--account ACCOUNT",
        r"a group managed service account such as CONTOSO\ekm$ (default: NT SERVICE\NAME, an account of this service alone)",
    )
    add_flag(parser, "--no-start", "do not start or restart the service", dest="start", action="store_false")
    add_flag(parser, "--dry-run", "only print what would change", action="store_true")
    add_flag(parser, "--log.file FILE", "write the output of this command to FILE, in UTF-8", type=str)
    parser.set_defaults(handler=_handler("service_install", "install"))


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
    add_flag(parser, "--remove-data", "also delete configuration, secrets, state and logs", action="store_true")
    add_flag(parser, "--dry-run", "only print what would be deleted", action="store_true")
    parser.set_defaults(handler=_handler("service_install", "remove"))


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
    parser.set_defaults(handler=_handler("service_install", "secret"))


def _add_run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "run",
        help="run the service; only the service manager of Windows starts this",
        description="Runs the exporter under the service manager of Windows, which alone can start this command.",
        epilog="example: net start ekm-exporter",
    )
    _add_place(parser)
    parser.add_argument("run_flags", metavar="FLAG", nargs="*", help="after --: further flags of the command run")
    parser.set_defaults(handler=_handler("service_run", "run"))


def _add_place(parser: argparse.ArgumentParser) -> None:
    add_flag(parser, "--name NAME", f"name of the service (default {DEFAULT_NAME})", default=DEFAULT_NAME)
    _add_base(parser)


def _add_base(parser: argparse.ArgumentParser) -> None:
    add_flag(
        parser, "--base FOLDER", "folder of the installation (default: the folder above app, which has the program)", type=Path
    )


def _handler(module: str, name: str) -> Callable[[argparse.Namespace], int]:
    """Return a handler that imports its module when Windows calls it."""

    def handle(args: argparse.Namespace) -> int:
        if not is_windows():
            print(ONLY_WINDOWS, file=sys.stderr)
            return BAD_USAGE
        code: int = getattr(import_module(f"exporter.cli.{module}"), name)(args)
        return code

    return handle
