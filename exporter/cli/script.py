"""The command `ekm-exporter script`: T-SQL, PowerShell and KQL for a DBA.

The command prints a script and never runs one. install-hosts.ps1 is in the archive of the documentation.
"""

from __future__ import annotations

import argparse
import re
import sys

from exporter.cli.main import FINE, Command, Flag, Refusal
from exporter.core.connector import fill_query
from exporter.core.names import host_name, nearest, vault_host
from exporter.presentation.documentation import Documentation
from exporter.sqlserver.script import script_bytes, script_names, summary


def _key_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9-]{1,127}", text):
        raise ValueError("not the name of a key: write its letters, digits and hyphens, without a version")
    return text


def run(args: argparse.Namespace) -> int:
    """Print a script or the list; return 0, or 2 for an unknown name."""
    scripts = {name: script_bytes(name) for name in script_names()}
    if (documentation := Documentation.load()) is not None:
        others = (page for page in documentation.pages() if page.name.endswith("/install-hosts.ps1"))
        scripts |= {page.name.rpartition("/")[2]: documentation.text(page).encode() for page in others}
    if args.name is None:
        print(_list(scripts))
        return FINE
    if args.name not in scripts:
        raise Refusal(f"no script {args.name!r}{nearest(args.name, scripts)}\n\n{_list(scripts)}")
    values = {name: value for name in ("vault", "key") if (value := getattr(args, name)) is not None}
    text = scripts[args.name].decode("ascii")
    unused = next((name for name in values if not re.search(rf"^let {name} = ", text, re.MULTILINE)), None)
    if unused is not None:
        raise Refusal(f"{args.name} has no {unused} to fill in: leave out --{unused}")
    sys.stdout.flush()
    sys.stdout.buffer.write(fill_query(text, values).encode())  # its bytes: a text stream of Windows would change the line ends
    return FINE


def _list(scripts: dict[str, bytes]) -> str:
    width = max(map(len, scripts))
    return "\n".join(f"{name:{width}}  {summary(content)}" for name, content in sorted(scripts.items()))


COMMAND = Command(
    description=(
        "Prints a script for SQL Server, for the logs of vaults and Entra ID, or for an installation on many hosts. Without a name, it lists them. It "
        "runs none: read a script before you run it. Exit code: 2 for an unknown name."
    ),
    epilog="example: ekm-exporter script prove.sql > prove.sql",
    run=run,
    flags=(
        Flag("NAME", "the file's name (default: list all)", nargs="?"),
        Flag(
            "--vault VAULT",
            "name, host name or URL of the vault that a .kql query is about",
            type=lambda text: host_name(vault_host(text)),
        ),
        Flag("--key KEY", "name of the key that a .kql query is about", type=_key_name),
    ),
)
