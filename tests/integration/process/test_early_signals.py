"""Signals before the event loop of a process runs, and repeated signals at its end."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.process.conftest import write_configuration
from tests.support.patience import PATIENCE

DELAYS = [0.0, 0.3]  # seconds after the first instruction of the exporter
ROOT = Path(__file__).parents[3]
HANGUP = 1 << (signal.SIGHUP - 1)


def proc(running, name):
    return Path(f"/proc/{running.process.pid}", name).read_text()


def is_handled(running):
    return bool(int(re.search(r"^SigCgt:\s*(\w+)$", proc(running, "status"), re.MULTILINE)[1], 16) & HANGUP)


async def begun(running, delay):
    """Wait until the exporter handles signals, and `delay` more. Before that a signal kills Python."""
    async with asyncio.timeout(PATIENCE):
        while not is_handled(running):
            assert running.process.returncode is None, running.text
            await asyncio.sleep(0.001)
    await asyncio.sleep(delay)


@pytest.fixture
def arguments(tmp_path):
    source = write_configuration(tmp_path)
    ports = ("--sim.port", 0, "--sim.management-port", 0)
    listen = ("--web.listen-address", "127.0.0.1:0")
    return {
        "run": ("run", "--config.file", source, "--no-scheduler", *listen),
        "demo": ("demo", *listen),
        "simulate": ("simulate", "--config.file", source, "--out", tmp_path / "sim", *ports),
    }


@pytest.mark.parametrize("delay", DELAYS)
async def test_hangup_during_the_start_reloads_afterwards(plain_command, arguments, delay):
    running = await plain_command(*arguments["run"])
    await begun(running, delay)
    running.process.send_signal(signal.SIGHUP)
    await running.output("listening(.|\n)*configuration applied")
    assert await running.stop() == 0


@pytest.fixture
def ignored_hangup():
    """Ignore SIGHUP, also in the processes that the test starts."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("ignored_hangup")
async def test_hangups_from_the_first_instruction_reload_if_ignored_at_first(plain_command, arguments):
    running = await plain_command(*arguments["run"])
    async with asyncio.timeout(PATIENCE):
        while "listening" not in running.text:
            running.process.send_signal(signal.SIGHUP)
            await asyncio.sleep(0.001)
    await running.output("configuration applied")
    assert await running.stop() == 0


@pytest.mark.usefixtures("ignored_hangup")
async def test_ignored_hangup_leaves_a_demo_running(plain_command, arguments):
    running = await plain_command(*arguments["demo"])
    await running.output("listening")
    assert not is_handled(running)
    assert await running.stop() == 0


IMPORTED = """
import resource, signal, sys
class Finder:
    def find_spec(self, name, *_):
        if name == "exporter.cli.run":
            print(*(signal.getsignal(one) != signal.SIG_DFL for one in (signal.SIGHUP, signal.SIGTERM)))
            print("_ssl" in sys.modules, *resource.getrlimit(resource.RLIMIT_CORE), flush=True)
            try:
                signal.raise_signal(signal.SIGTERM)
            except BaseException:
                print("a library that swallows exceptions would go on")
sys.meta_path.insert(0, Finder())
sys.argv = ["ekm-exporter", "run"]
from exporter.__main__ import main
main()
"""


def test_signals_are_held_and_no_core_is_dumped_before_imports():
    """A SIGTERM ends the process at once: a library may swallow exceptions during its import."""
    done = subprocess.run([sys.executable, "-c", IMPORTED], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 - a fixed script
    assert done.stdout == "True True\nFalse 0 0\n"


def test_signals_are_held_before_slow_imports():
    script = "import sys; before = {*sys.modules}; import exporter.runtime.signals; print(*{*sys.modules} - before)"
    done = subprocess.run([sys.executable, "-S", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 - a fixed script
    assert not {"asyncio", "pathlib", "re", "typing"} & set(done.stdout.split())


@pytest.mark.parametrize("delay", DELAYS)
@pytest.mark.parametrize("name", ["run", "demo", "simulate"])
async def test_sigterm_during_the_start_exits_0(command, arguments, name, delay):
    running = await command(*arguments[name])
    await begun(running, delay)
    assert await running.stop(signal.SIGTERM) == 0
    assert "Traceback" not in running.text


@pytest.mark.parametrize("name", ["demo", "simulate"])
async def test_hangup_during_the_start_ends_terminal_commands(plain_command, arguments, name):
    running = await plain_command(*arguments[name])
    await begun(running, 0.1)
    running.process.send_signal(signal.SIGHUP)
    assert await running.end() == 0
    assert "Traceback" not in running.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("name", ["run", "demo", "simulate"])
async def test_repeated_signal_exits_0(command, arguments, name, number):
    """SIGHUP ends the two commands of a terminal."""
    running = await command(*arguments[name])
    await running.output("listening|management port")
    running.process.send_signal(signal.SIGTERM if name == "run" else number)
    async with asyncio.timeout(PATIENCE):
        while running.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # `send_signal` of Python 3.11 would take the exit code from asyncio
                os.kill(running.process.pid, number)
            await asyncio.sleep(0.001)
    assert await running.end() == 0
    assert "Traceback" not in running.text
