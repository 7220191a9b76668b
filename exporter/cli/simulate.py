"""`ekm-exporter simulate` and `ekm-exporter demo`: a vault to break.

For: starting the simulator alone, and starting the ordinary exporter beside one.
Not for: anything simulated (see `exporter.simulator`). `demo` gives the exporter a configuration like any other's; the
story happens in the simulator's process, and the exporter cannot know it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

from exporter.app.service import DEMO
from exporter.cli import run
from exporter.cli.check import print_findings
from exporter.config import load_config
from exporter.config.model import Config
from exporter.config.secret_source import SecretUnreadableError
from exporter.runtime import process
from exporter.simulator import Simulator, chaos, demo_story
from exporter.simulator.configuration import build_environment, exporter_variables, write_config
from exporter.simulator.reload import reload_credentials

_FINE, _BAD_USAGE, _INTERNAL = 0, 2, 3
_PORT, _MANAGEMENT_PORT = 10443, 10378
_DEMO_ADDRESS = "127.0.0.1:10377"
_START_SECONDS = 20.0
_STOP_SECONDS = 3.0
_READY = "management port: "


def add_parsers(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds both commands; each sets `handler` to the function that carries it out and returns the exit code."""
    _add_simulate(subparsers)
    demo_parser = subparsers.add_parser(
        "demo",
        help="a running exporter with live failures, no Azure needed",
        description="Starts a simulator with a built-in configuration and story, and the ordinary exporter against it.",
        epilog="example: ekm-exporter demo, then open http://127.0.0.1:10377/",
        allow_abbrev=False,
    )
    run.add_service_flags(demo_parser, default_address=_DEMO_ADDRESS)
    demo_parser.set_defaults(handler=demo)


def _add_simulate(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    alone = subparsers.add_parser(
        "simulate",
        help="the simulator alone, for game days",
        description="Serves, on loopback, the vaults, tenants and credentials that a configuration names, to be broken at will.",
        epilog="example: ekm-exporter simulate --config.file ekm.yml --out sim",
        allow_abbrev=False,
    )
    alone.add_argument("--config.file", dest="config_file", metavar="FILE", type=Path, required=True, help="the configuration")
    alone.add_argument("--out", metavar="DIR", type=Path, required=True, help="where ca.pem and ekm.yml are written")
    _add_places(alone)
    _add_chaos(alone)
    alone.add_argument("--for-demo", action="store_true", help=argparse.SUPPRESS)
    alone.set_defaults(handler=simulate)


def _add_places(alone: argparse.ArgumentParser) -> None:
    alone.add_argument(
        "--sim.port",
        dest="port",
        metavar="PORT",
        type=_port,
        default=_PORT,
        help=f"of vaults and Entra; 0: any (default {_PORT})",
    )
    alone.add_argument(
        "--sim.management-port",
        dest="management_port",
        metavar="PORT",
        type=_port,
        default=_MANAGEMENT_PORT,
        help=f"where faults are set; 0: any (default {_MANAGEMENT_PORT})",
    )
    alone.add_argument(
        "--sim.arc-token-folder",
        dest="arc_token_folder",
        metavar="DIR",
        type=Path,
        help="answer as Azure Arc's agent, too, with its key files here (azure-identity wants /var/opt/azcmagent/tokens)",
    )


def _add_chaos(alone: argparse.ArgumentParser) -> None:
    alone.add_argument(
        "--chaos", metavar="SECONDS", type=_seconds, help="every so many seconds, a scenario at random on a vault at random"
    )
    alone.add_argument(
        "--chaos.seed",
        dest="seed",
        metavar="NUMBER",
        type=int,
        help="what happens: the same number, the same chaos (default: any)",
    )


def simulate(args: argparse.Namespace) -> int:
    """Runs until SIGINT, SIGTERM or SIGHUP; 2 where the configuration is bad or a port is in use."""
    loaded = load_config(args.config_file)
    if loaded.config is None:
        print_findings(loaded)
        return _BAD_USAGE
    try:
        # The loop of every system but Windows, where the default one cannot peek at a connection.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(_simulate(args, loaded.config))
    except (OSError, SecretUnreadableError) as error:
        print(f"ekm-exporter simulate: {error}", file=sys.stderr)
        return _BAD_USAGE
    return _FINE


async def _simulate(args: argparse.Namespace, config: Config) -> None:
    ports = {"port": args.port, "management_port": args.management_port}
    simulator = Simulator(build_environment(config), **ports, arc_token_folder=args.arc_token_folder)
    stop = asyncio.Event()
    process.on_stop(stop.set, hangup=True)
    await simulator.start()
    try:
        if args.for_demo:
            demo_story.begin(simulator)
            _at_end_of_input(stop.set)
        write_config(simulator, config, args.out)
        if not args.for_demo:
            simulator.on_routes_changed = lambda: _rewrite(simulator, config, args.out)
            simulator.on_reload = lambda: _reload(simulator, config, args.out)
        print(_READY + simulator.management_url if args.for_demo else _banner(simulator, config, args.out), flush=True)
        playing = _playing(simulator, args)
        await stop.wait()
        if playing is not None:
            playing.cancel()
    finally:
        await simulator.stop()
        if args.for_demo:
            shutil.rmtree(args.config_file.parent, ignore_errors=True)  # made for this run; a killed parent cannot


def _playing(simulator: Simulator, args: argparse.Namespace) -> asyncio.Task[None] | None:
    """What happens by itself from now on: the demo's story, chaos, or nothing."""
    if args.for_demo:
        return asyncio.create_task(demo_story.play(simulator))
    if args.chaos is None:
        return None
    seed = secrets.randbelow(1_000_000) if args.seed is None else args.seed
    _tell(f"every {args.chaos:g}s, seed {seed} (--chaos.seed {seed} makes it happen again)")
    return asyncio.create_task(chaos.run_chaos(simulator, args.chaos, seed, _tell))


def _tell(what: str) -> None:
    print(f"{datetime.now():%H:%M:%S} chaos: {what}", flush=True)  # noqa: DTZ005 - the time of the reader's own clock


def _rewrite(simulator: Simulator, config: Config, out: Path) -> None:
    written = write_config(simulator, config, out)
    print(f"{written} was written again, because a route has changed: reload the exporter", flush=True)


async def _reload(simulator: Simulator, config: Config, out: Path) -> Mapping[str, str]:
    became = await reload_credentials(simulator, config)
    write_config(simulator, config, out)  # the token of a service account, too, is good for another day
    return became


def _at_end_of_input(callback: Callable[[], None]) -> None:
    """Calls back when standard input ends: the pipe's other end is gone, and with it whoever started us."""
    loop = asyncio.get_running_loop()

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 4096):  # not `sys.stdin.read`: its lock would be held at the interpreter's end
            pass
        with contextlib.suppress(RuntimeError):  # the loop has ended before
            loop.call_soon_threadsafe(callback)

    threading.Thread(target=wait, name="end-of-input", daemon=True).start()


def _banner(simulator: Simulator, config: Config, out: Path) -> str:
    vault = next(iter(config.targets.values())).vault
    variables = "".join(f"{name}={shlex.quote(value)} " for name, value in exporter_variables(simulator, config, out).items())
    written = shlex.quote(str(out / "ekm.yml"))
    return f"""\
=====================================================================================
  THIS IS A SIMULATOR. No Azure, no vault, no key behind it; all is forgotten at its end.
=====================================================================================
vaults and Entra on {simulator.address}, {_READY}{simulator.management_url}

start the exporter:  {variables}ekm-exporter run --config.file {written}
break a vault:       curl -d '{{"vault": "{vault}", "scenario": "unwrap_forbidden"}}' {simulator.management_url}/sim/fault
all is well again:   curl -X DELETE {simulator.management_url}/sim/fault
what can be broken:  curl {simulator.management_url}/sim/scenarios
what it was asked:   curl {simulator.management_url}/sim/requests
after a new secret:  curl -X POST {simulator.management_url}/sim/reload
stop:                Ctrl-C"""


def demo(args: argparse.Namespace) -> int:
    """The exporter's own exit code; 3 where the simulator does not start."""
    with (
        tempfile.TemporaryDirectory(prefix="ekm-demo-", ignore_cleanup_errors=True) as folder,
        _simulator_beside(Path(folder)) as management_url,
    ):
        if management_url is None:
            print("ekm-exporter demo: the simulator did not start", file=sys.stderr)
            return _INTERNAL
        address = str(args.listen[0]) if args.listen else _DEMO_ADDRESS
        print(_where_to_look(f"127.0.0.1{address}" if address.startswith(":") else address, management_url), flush=True)
        args.config_file = Path(folder, "out", "ekm.yml")
        return run.run_exporter(args, default_address=_DEMO_ADDRESS, mode=DEMO)


@contextlib.contextmanager
def _simulator_beside(folder: Path) -> Iterator[str | None]:
    """A simulator as a child process that plays the story; yields its management URL, None where it failed."""
    config = demo_story.write_demo(folder)
    flags = ["--config.file", str(config), "--out", str(folder / "out"), "--sim.port", "0", "--sim.management-port", "0"]
    command = [sys.executable, "-m", "exporter", "simulate", "--for-demo", *flags]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:  # noqa: S603 - ourselves
        try:
            yield _management_url(child)
        finally:
            child.terminate()
            try:
                child.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()


def _management_url(child: subprocess.Popen[str]) -> str | None:
    """What the child says once it is ready; None where it ends or takes too long."""
    assert child.stdout is not None  # noqa: S101 - it was started with a pipe
    patience = threading.Timer(_START_SECONDS, child.kill)
    patience.start()
    try:
        line = child.stdout.readline()
    finally:
        patience.cancel()
    return line.removeprefix(_READY).strip() if line.startswith(_READY) else None


def _where_to_look(address: str, management_url: str) -> str:
    return f"""\
THIS IS A DEMO: eleven simulated vaults on loopback, seven of them in trouble now and then. No Azure.

  look:        http://{address}/
  metrics:     curl http://{address}/metrics
  one probe:   curl 'http://{address}/probe?target=billing-invoices&debug=true'
  break more:  curl -d '{{"vault": "contoso-sales", "scenario": "unwrap_forbidden"}}' {management_url}/sim/fault
  repair:      curl -X DELETE {management_url}/sim/fault
  stop:        Ctrl-C

Within a minute: 3011 throttled in waves, 3077 no longer allowed to unwrap, 3303 secret expired, 3900 vault gone."""


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0.05 <= seconds <= 86400:
        raise argparse.ArgumentTypeError("not from 0.05 to 86400 seconds")
    return seconds


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port < 65536:
        raise ValueError(text)
    return port
