"""The command `ekm-exporter simulate`: the simulator alone, with or without SQL Servers."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from exporter.cli.check import configuration
from exporter.cli.main import BAD_USAGE, CONFIG, FINE, PORT, Command, Flag, Refusal
from exporter.config.settings import Config, SecretSource, SecretUnreadableError, read_secret
from exporter.core.quoting import powershell, sh
from exporter.runtime import signals
from exporter.runtime.files import plainly
from exporter.runtime.process import is_windows
from exporter.simulator import story
from exporter.simulator.build import (
    SQL_PASSWORD,
    SQL_SERVERS,
    build_environment,
    exporter_variables,
    reload_credentials,
    write_config,
)
from exporter.simulator.simulator import Simulator
from exporter.simulator.sql_servers import USER

# Commands that a text shows for copying: for sh, and on Windows for PowerShell.


def quoted(text: object) -> str:
    """Return a text as one word of a command."""
    return powershell(str(text)) if is_windows() else sh(str(text))


def with_variables(values: Mapping[str, str], command: str) -> str:
    """Return a command with the environment variables that it needs."""
    if is_windows():
        return "".join(f"$env:{name} = {quoted(value)}; " for name, value in values.items()) + command
    return "".join(f"{name}={quoted(value)} " for name, value in values.items()) + command


def request(url: str, method: str = "GET", body: str = "") -> str:
    """Return a command that sends a request. PowerShell 5.1 has another program under the name of curl, and drops quotes in its words."""
    if is_windows():
        words = ["irm", *(["-Method", method] if method != "GET" else []), *(["-Body", quoted(body)] if body else []), url]
    else:
        words = ["curl", *(["-d", quoted(body)] if body else ["-X", method] if method != "GET" else []), url]
    return " ".join(words)


_SHOWN = 10  # SQL Servers in the text at the start
_INDENT = " " * 21


def sql_banner(simulator: Simulator, out: Path) -> str:
    """Return the lines about SQL Servers; empty if none is served."""
    if simulator.sql is None:
        return ""
    addresses = simulator.sql.addresses
    shown = [f"{_INDENT}{name}: {address}" for name, address in list(addresses.items())[:_SHOWN]]
    more = [f"{_INDENT}and {len(addresses) - _SHOWN} more, in {out / SQL_SERVERS}"] if len(addresses) > _SHOWN else []
    files = {"--servers": SQL_SERVERS, "--sql.password.file": SQL_PASSWORD, "--sql.ca.file": "ca.pem"}
    flags = " ".join(f"{flag} {quoted(out / file)}" for flag, file in files.items())
    restart = request(f"{simulator.management_url}/sim/restart", "POST", json.dumps({"sql": next(iter(addresses))}))
    lines = [
        f"SQL Servers:         {len(addresses)}, login {USER}, password in {out / SQL_PASSWORD}",
        *shown,
        *more,
        f"read them:           ekm-exporter inventory {flags} --sql.user {USER} --out targets.d --config.file FILE",
        f"restart one:         {restart}",
    ]
    return "".join(f"{line}\n" for line in lines)


_PORT, _MANAGEMENT_PORT = 10443, 10378
READY = "management port: "  # `demo` waits for this line


def run(args: argparse.Namespace) -> int:
    """Run until SIGINT, SIGTERM or SIGHUP; return the exit code."""
    config = configuration(args.config_file)
    try:
        asyncio.run(_simulate(args, config))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Refusal("a port is in use: choose others with --sim.port, --sim.management-port and --sql.port") from None
        named = f"{error.filename}: {plainly(error)}: name a folder that you may write"
        raise Refusal(str(error) if error.filename is None else named) from None
    return FINE


async def _simulate(args: argparse.Namespace, config: Config) -> None:
    environment = build_environment(config)
    if args.sql and not environment.sql_servers:
        raise Refusal("--sql: no target has `instances`: list the SQL Servers of a target there")
    password = args.sql_password_file if args.sql else None
    simulator = Simulator(
        environment,
        port=args.sim_port,
        management_port=args.sim_management_port,
        arc_token_folder=args.sim_arc_token_folder,
        sql_port=args.sql_port if args.sql else None,
        sql_password=None if password is None else read_secret(SecretSource(file=password)),
    )
    stop = asyncio.Event()
    signals.on_stop(stop.set, hangup=True)
    await simulator.start()
    try:
        if args.for_demo:
            story.begin(simulator)
            _call_at_end_of_input(stop.set)
        write_config(simulator, config, args.out)
        if not args.for_demo:
            simulator.on_routes_changed = lambda: _rewrite(simulator, config, args.out)
            simulator.on_reload = lambda: _reload(simulator, config, args.out)
        print(READY + simulator.management_url if args.for_demo else _banner(simulator, config, args.out), flush=True)
        task = asyncio.create_task(story.play(simulator)) if args.for_demo else None
        await stop.wait()
        if task is not None:
            task.cancel()
    finally:
        await simulator.stop()
        if args.for_demo:
            shutil.rmtree(args.config_file.parent, ignore_errors=True)  # a killed parent cannot remove it


def _rewrite(simulator: Simulator, config: Config, out: Path) -> None:
    written = write_config(simulator, config, out)
    print(f"a route changed, so {written} was rewritten: reload the exporter", flush=True)


async def _reload(simulator: Simulator, config: Config, out: Path) -> Mapping[str, str]:
    changed = await reload_credentials(simulator, config)
    write_config(simulator, config, out)  # also renews the token of a service account
    return changed


def _call_at_end_of_input(callback: Callable[[], None]) -> None:
    """Call back at the end of standard input: the parent process has ended."""
    loop = asyncio.get_running_loop()

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 4096):  # sys.stdin.read would hold a lock at the interpreter's exit
            pass
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(callback)

    threading.Thread(target=wait, name="end-of-input", daemon=True).start()


def _banner(simulator: Simulator, config: Config, out: Path) -> str:
    vault = next(iter(config.targets.values())).vault
    start = with_variables(
        exporter_variables(simulator, config, out), f"ekm-exporter run --config.file {quoted(out / 'ekm.yml')}"
    )
    url = f"{simulator.management_url}/sim"
    fault = request(f"{url}/fault", "POST", json.dumps({"vault": vault, "scenario": "unwrap_forbidden"}))
    return f"""\
=====================================================================================
  THIS IS A SIMULATOR: no Azure, no real vault, no real key. It stores nothing.
=====================================================================================
vaults and Entra ID on {simulator.address}, {READY}{simulator.management_url}

start the exporter:  {start}
break a vault:       {fault}
end every fault:     {request(f"{url}/fault", "DELETE")}
list the scenarios:  {request(f"{url}/scenarios")}
list the requests:   {request(f"{url}/requests")}
after a new secret:  {request(f"{url}/reload", "POST")}
{sql_banner(simulator, out)}stop:                Ctrl-C"""


COMMAND = Command(
    description=(
        "Serves the vaults, tenants and credentials of a configuration on loopback, and writes the configuration with which "
        "an exporter probes them. Faults are set on the management port."
    ),
    epilog="example: ekm-exporter simulate --config.file ekm.yml --out sim",
    run=run,
    flags=(
        CONFIG,
        Flag("--out DIR", "directory for ca.pem and the changed ekm.yml", required=True),
        Flag(
            "--sim.port PORT",
            f"port of the vaults and Entra ID; 0: any free port (default {_PORT})",
            type=PORT,
            default=_PORT,
        ),
        Flag(
            "--sim.management-port PORT",
            f"port on which faults are set; 0: any free port (default {_MANAGEMENT_PORT})",
            type=PORT,
            default=_MANAGEMENT_PORT,
        ),
        Flag(
            "--sim.arc-token-folder DIR",
            "also act as the agent of Azure Arc, with its key files in DIR (azure-identity requires /var/opt/azcmagent/tokens)",
        ),
        Flag("--sql", "also serve the SQL Servers of `instances`, over TDS"),
        Flag(
            "--sql.port PORT",
            "port of the first SQL Server; the others follow; 0: any free ports (default 0)",
            type=PORT,
            default=0,
        ),
        Flag(
            "--sql.password.file FILE",
            f"the password of the SQL login {USER} (default: an invented one, in the folder of --out)",
        ),
        Flag("--for-demo", argparse.SUPPRESS),
    ),
    refusals={SecretUnreadableError: BAD_USAGE},
)
