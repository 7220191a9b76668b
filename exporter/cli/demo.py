"""The command `ekm-exporter demo`: the exporter with simulated vaults that fail.

It starts the simulator in a child process and runs the ordinary exporter on its configuration.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from exporter.app.web_endpoint import DEMO
from exporter.cli.main import INTERNAL, Command, Refusal
from exporter.cli.run import REFUSALS, run_exporter, service_flags
from exporter.cli.simulate import READY, quoted, request
from exporter.simulator import story

_ADDRESS = "127.0.0.1:10377"
_START_SECONDS = 300.0  # a cold and busy computer reads thousands of files first
_STOP_SECONDS = 3.0


def run(args: argparse.Namespace) -> int:
    """Run until a signal; return the exit code, 3 if the simulator fails."""
    with (
        tempfile.TemporaryDirectory(prefix="ekm-demo-", ignore_cleanup_errors=True) as folder,
        _child_simulator(Path(folder)) as management_url,
    ):
        address = str(args.listen[0]) if args.listen else _ADDRESS
        print(_banner(f"127.0.0.1{address}" if address.startswith(":") else address, management_url), flush=True)
        args.config_file = Path(folder, "out", "ekm.yml")
        return run_exporter(args, default_address=_ADDRESS, mode=DEMO)


@contextlib.contextmanager
def _child_simulator(folder: Path) -> Iterator[str]:
    """Run a simulator with the demo's story as a child process. Yields its management URL. Raises Refusal if it did not start."""
    config = story.write_demo(folder)
    flags = ["--config.file", str(config), "--out", str(folder / "out"), "--sim.port", "0", "--sim.management-port", "0"]
    command = [sys.executable, "-m", "exporter", "simulate", "--for-demo", *flags]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:  # noqa: S603 - this program
        try:
            yield _management_url(child)
        finally:
            child.terminate()
            try:
                child.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()


def _management_url(child: subprocess.Popen[str]) -> str:
    """Return the URL that the child prints when it is ready. Raises Refusal if it ends or is too slow."""
    assert child.stdout is not None  # noqa: S101 - it was started with a pipe
    timer = threading.Timer(_START_SECONDS, child.kill)
    timer.start()
    try:
        line, is_late = child.stdout.readline(), not timer.is_alive()
    finally:
        timer.cancel()
    if line.startswith(READY):
        return line.removeprefix(READY).strip()
    code = child.wait()
    why = f"was not ready after {_START_SECONDS:g} seconds" if is_late else f"ended with exit code {code} before it was ready"
    raise Refusal(f"the simulator {why}", INTERNAL)


def _banner(address: str, management_url: str) -> str:
    fault, breaking = f"{management_url}/sim/fault", '{"vault": "contoso-sales", "scenario": "unwrap_forbidden"}'
    return f"""\
THIS IS A DEMO: eleven simulated vaults on loopback. Six of them stay broken, one fails in waves. No Azure.

  pages:       http://{address}/
  metrics:     {request(f"http://{address}/metrics")}
  one probe:   {request(quoted(f"http://{address}/probe?target=billing-invoices&debug=true"))}
  break more:  {request(fault, "POST", breaking)}
  repair:      {request(fault, "DELETE")}
  stop:        Ctrl-C

Within a minute: 3011 throttled in waves, 3077 no longer allowed to unwrap, 3303 secret expired, 3900 vault gone."""


COMMAND = Command(
    description=(
        "Starts simulated vaults, most of which fail, and the exporter with a configuration for them. "
        "Needs no Azure and no configuration; everything is on loopback."
    ),
    epilog="example: ekm-exporter demo, then open http://127.0.0.1:10377/",
    run=run,
    flags=service_flags(_ADDRESS),
    refusals=REFUSALS,
)
