"""The command `ekm-exporter service`: the exporter as a service of Windows.

The module imports little: Windows waits only half a minute for `service run` to connect.
"""

from __future__ import annotations

import argparse
from importlib import import_module

from exporter.cli.main import Command, Flag, Refusal
from exporter.runtime.process import is_windows

DEFAULT_NAME = "ekm-exporter"
ONLY_WINDOWS = "services exist only on Windows; on Linux use the systemd units: ekm-exporter docs install#systemd"
_EXAMPLE = "example: ekm-exporter service install --config.file ekm.yml --prometheus 10.1.2.3"


_BASE = Flag("--base FOLDER", "folder of the installation (default: the folder above app, which has the program)")
_PLACE = (Flag("--name NAME", f"name of the service (default {DEFAULT_NAME})", default=DEFAULT_NAME), _BASE)


def run(args: argparse.Namespace) -> int:
    """Import the module of the given command and run it; return the exit code."""
    if not is_windows():
        raise Refusal(ONLY_WINDOWS)
    module = import_module(f"exporter.cli.service_{'run' if args.service_command == 'run' else 'install'}")
    code: int = getattr(module, args.service_command)(args)
    return code


_INSTALL = Command(
    description=(
        "Checks the configuration, creates or changes the service, and waits until the service listens. A second run with the "
        "same flags changes nothing. If the changed service does not start, the command restores the previous configuration "
        "and service. A flag that you leave out keeps its setting; the value none removes the setting."
    ),
    epilog=_EXAMPLE,
    run=run,
    flags=(
        *_PLACE,
        Flag(
            "--config.file FILE",
            "copy this configuration into the installation, with the files of the folder secrets next to it; a folder targets.d next to "
            "it replaces that of the installation",
            type=str,
        ),
        Flag("--web.listen-address ADDRESS", "HOST:PORT or :PORT to listen on (default :10377)", dest="listen"),
        Flag("--arguments FLAGS", 'further flags of the command run in one text, such as --arguments="--web.enable-pages"'),
        Flag(
            "--prometheus ADDRESS",
            "addresses that the firewall admits to the port (default: those of the last installation)",
            nargs="+",
        ),
        Flag(
            "--account ACCOUNT",
            r"a group managed service account such as CONTOSO\ekm$ (default: NT SERVICE\NAME, an account of this service alone)",
        ),
        Flag("--no-start", "do not start or restart the service", dest="start", action="store_false"),
        Flag("--dry-run", "only print what would change"),
        Flag("--log.file FILE", "write the output of this command to FILE, in UTF-8", type=str),
    ),
)
_REMOVE = Command(
    description=(
        "Stops and deletes the service, its firewall rule and its source of the event log. Program, configuration, secrets, state "
        "and logs stay. It can run twice."
    ),
    epilog="example: ekm-exporter service remove --dry-run",
    run=run,
    flags=(
        *_PLACE,
        Flag("--remove-data", "also delete configuration, secrets, state and logs"),
        Flag("--dry-run", "only print what would be deleted"),
    ),
)
_SECRET = Command(
    description=(
        "Reads a secret without showing it, and writes it to the folder secrets of the installation. "
        "A running exporter reads a changed secret by itself. If standard input is no terminal, its first line is the secret."
    ),
    epilog="example: ekm-exporter service secret ekm-credential",
    run=run,
    flags=(Flag("NAME", "name of the file, such as ekm-credential", dest="secret_name"), _BASE),
)
_RUN = Command(
    description="Runs the exporter under the service manager of Windows, which alone can start this command.",
    epilog="example: net start ekm-exporter",
    run=run,
    flags=(*_PLACE, Flag("FLAG", "after --: further flags of the command run", dest="run_flags", nargs="*")),
)
COMMAND = Command(
    description=(
        "Installs, changes and removes the exporter as a service of Windows, and writes its secret files. Run it as an "
        "administrator. Exit code: 0 if the service is as wanted, 1 if Windows refused something or the service does not "
        "start, 2 for bad arguments or a bad configuration."
    ),
    epilog=_EXAMPLE,
    run=run,
    commands={
        "install": ("create or change the service, and start it", _INSTALL),
        "remove": ("stop and delete the service", _REMOVE),
        "secret": ("type a secret, and write it to a file of the installation", _SECRET),
        "run": ("run the service; only the service manager of Windows starts this", _RUN),
    },
)
